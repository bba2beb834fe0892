"""What the tests share."""

from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.test import Client

from expire_sessions.connections import connection_for, forget_connections


@pytest.fixture(autouse=True)
def server() -> redis.Redis:
    """The Redis of the run, empty, as a client of its own."""
    forget_connections()
    client: redis.Redis = connection_for("default").client
    client.flushall()
    return client


@pytest.fixture
def ann(db: None) -> Any:
    """A user."""
    return get_user_model().objects.create_user(username="ann", password="ann")


@pytest.fixture
def bob(db: None) -> Any:
    """Another one."""
    return get_user_model().objects.create_user(username="bob", password="bob")


@pytest.fixture
def sign_in() -> Callable[..., Client]:
    """Sign a user in with a new browser."""

    def sign_in(user: Any, **extra: Any) -> Client:
        browser = Client(**extra)
        name = user.get_username()
        response = browser.get("/login/", {"username": name, "password": name})
        assert response.status_code == 200
        return browser

    return sign_in
