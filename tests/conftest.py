"""What the tests share."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.dispatch import Signal
from django.test import Client, override_settings

from example_project.redis_server import RedisServer
from expire_sessions import signals
from expire_sessions.transport import exchanging
from expire_sessions.transport.connections import forget_connections
from tests.asking import redis_client
from tests.caches import other_cache
from tests.server_plugin import another_server


@pytest.fixture(autouse=True)
def server() -> redis.Redis:
    """The Redis of the run, empty, as a client of its own."""
    forget_connections()
    client: redis.Redis = redis_client()
    client.flushall()
    return client


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A Redis to do things to."""
    with another_server() as server, other_cache(server.url):
        yield server


@pytest.fixture
def admin(own_server: RedisServer) -> Iterator[redis.Redis]:
    """A client to do them with."""
    with redis.Redis(unix_socket_path=str(own_server.socket)) as client:
        yield client


@pytest.fixture
def no_retries() -> Iterator[None]:
    """Let an outage be an error at once, as after ``EXPIRE_TIMEOUT``."""
    with override_settings(EXPIRE_TIMEOUT=0):
        yield


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody look on, also where another test has installed Sentry for good."""
    monkeypatch.setattr(exchanging, "EXECUTE", redis.Redis.execute_command)


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


@pytest.fixture(params=["", "/a"], ids=["sync", "async"])
def site(request: pytest.FixtureRequest) -> str:
    """Where the sync or the async views are."""
    return str(request.param)


@pytest.fixture
def handle() -> Iterator[Callable[[Callable[..., None]], None]]:
    """Connect handlers to expire_check until the test is over."""
    handlers: list[Callable[..., None]] = []

    def connect(handler: Callable[..., None]) -> None:
        handlers.append(handler)
        signals.expire_check.connect(handler)

    yield connect
    for handler in handlers:
        signals.expire_check.disconnect(handler)


@pytest.fixture
def commits(
    django_capture_on_commit_callbacks: Any,
) -> Callable[[], AbstractContextManager[Any]]:
    """Do at the end of a block what is to be done after a commit.

    The test itself is in a transaction, which is never committed.
    """
    return partial(django_capture_on_commit_callbacks, execute=True)


@pytest.fixture
def told() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Note the name and the arguments of every signal of the package."""
    noted: list[tuple[str, dict[str, Any]]] = []
    listeners: list[tuple[Signal, Callable[..., None]]] = []
    for name, signal in vars(signals).items():
        if isinstance(signal, Signal):

            def listen(*, _name: str = name, signal: Signal, **kwargs: Any) -> None:
                noted.append((_name, kwargs))

            listeners.append((signal, listen))
            signal.connect(listen)
    yield noted
    for signal, listener in listeners:
        signal.disconnect(listener)
