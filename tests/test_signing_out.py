"""Signing out, and data that goes on as nobody's or somebody else's.

Run for user models with an integer, a UUID and an awkward string for a key.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.test import Client

from expire_sessions.backend import SessionStore
from tests.asking import id_of, live_keys
from tests.sessions import key_of, log_in, reasons, request_of, who
from tests.sessions import sign_in as sign_in_store

pytestmark = pytest.mark.django_db


def test_a_logout_frees_the_place(ann: Any, site: str, server: Any) -> None:
    browser = Client()
    log_in(browser, "ann", site)
    key = key_of(browser)
    browser.get(f"{site}/logout/")
    assert who(browser) == ""
    assert not SessionStore().exists(key)
    assert server.keys("*index*") == []
    assert reasons(ann) == ["logout"]


TAKING_AWAY: dict[str, Callable[[SessionStore], Any]] = {
    "pop": lambda store: store.pop(SESSION_KEY),
    "clear": lambda store: store.clear(),
}


@pytest.mark.parametrize("how", TAKING_AWAY)
def test_data_of_nobody_any_more_goes_on_under_another_key(ann: Any, how: str) -> None:
    store = sign_in_store(ann)
    key = store.session_key
    TAKING_AWAY[how](store)
    store["x"] = 1
    store.save()
    assert not SessionStore().exists(key)
    assert SESSION_KEY not in SessionStore(store.session_key)
    assert SessionStore(store.session_key)["x"] == 1
    assert live_keys(ann) == []
    assert reasons(ann) == ["flushed"]


def test_data_of_somebody_else_goes_on_under_another_key(ann: Any, bob: Any) -> None:
    store = sign_in_store(ann)
    key = store.session_key
    store[SESSION_KEY] = id_of(bob)
    store.save()
    assert not SessionStore().exists(key)
    assert live_keys(ann) == []
    assert live_keys(bob) == [store.session_key]
    assert (reasons(ann), reasons(bob)) == (["flushed"], [""])


def test_a_logout_follows_a_session_that_has_just_moved(ann: Any) -> None:
    store = sign_in_store(ann)
    slow = request_of(store)
    store.cycle_key()
    slow.session.flush()
    assert live_keys(ann) == []
    assert reasons(ann) == ["flushed"]
