"""How long a session lives, and its index with it.

Run for user models with an integer, a UUID and an awkward string for a key.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import SESSION_KEY, login
from django.contrib.sessions.backends.base import UpdateError
from django.http import HttpRequest
from django.test import Client, override_settings
from django.utils import timezone

from expire_sessions.backend import SessionStore
from tests.asking import id_of, index_name, live_keys, payload_name, redis_client
from tests.sessions import key_of, reasons
from tests.sessions import sign_in as sign_in_store

pytestmark = pytest.mark.django_db

SignIn = Callable[..., Client]

HOUR = 3600


def ages(store: SessionStore, user: Any) -> tuple[float, float]:
    """Return the seconds that payload and index have left."""
    payload = redis_client().pttl(payload_name(store.session_key))
    index = redis_client().pttl(index_name(user))
    return payload / 1000, index / 1000


EXPIRIES: dict[str, tuple[Callable[[], Any], int]] = {
    "none of its own": (lambda: None, settings.SESSION_COOKIE_AGE),
    "seconds": (lambda: HOUR, HOUR),
    "at browser close": (lambda: 0, settings.SESSION_COOKIE_AGE),
    "a timedelta": (lambda: timedelta(hours=1), HOUR),
    "a date": (lambda: timezone.now() + timedelta(hours=1), HOUR),
}


@pytest.mark.parametrize("case", EXPIRIES)
def test_payload_and_index_live_as_long_as_the_session(ann: Any, case: str) -> None:
    expiry, seconds = EXPIRIES[case]
    store = sign_in_store(ann)
    store.flush()
    request = HttpRequest()
    store = request.session = SessionStore()
    store.set_expiry(expiry())
    login(request, ann)
    store.save()
    assert ages(store, ann) == pytest.approx((seconds, seconds), abs=60)


@override_settings(EXPIRE_MAX_USERS=2)
def test_the_index_lives_as_long_as_the_longest(ann: Any) -> None:
    sign_in_store(ann)
    short = sign_in_store(ann)
    short.set_expiry(HOUR)
    short.save()
    short.cycle_key()
    expected = (HOUR, settings.SESSION_COOKIE_AGE)
    assert ages(short, ann) == pytest.approx(expected, abs=60)


@pytest.mark.parametrize("expiry", [-1, timedelta(days=-1)])
def test_an_age_in_the_past_ends_the_session(ann: Any, expiry: Any) -> None:
    store = sign_in_store(ann)
    store.set_expiry(expiry)
    store.save()
    assert live_keys(ann) == []
    assert reasons(ann) == ["expired"]


def test_reading_does_not_prolong_a_session(ann: Any) -> None:
    """To Django, reading is no activity."""
    store = sign_in_store(ann)
    redis_client().expire(payload_name(store.session_key), HOUR)
    with override_settings(EXPIRE_TOUCH_INTERVAL=0):
        SessionStore(store.session_key).load()
    assert ages(store, ann)[0] == pytest.approx(HOUR, abs=60)


@override_settings(SESSION_SAVE_EVERY_REQUEST=True)
def test_a_save_of_every_request_renews_the_age(ann: Any, sign_in: SignIn) -> None:
    browser = sign_in(ann)
    store = SessionStore(key_of(browser))
    for key in (payload_name(key_of(browser)), index_name(ann)):
        redis_client().expire(key, HOUR)
    response = browser.get("/get/x/")
    age = settings.SESSION_COOKIE_AGE
    assert response.cookies["sessionid"]["max-age"] == age
    assert ages(store, ann) == pytest.approx((age, age), abs=60)


def test_an_age_beyond_all_measure_is_a_century(ann: Any) -> None:
    store = sign_in_store(ann)
    store.set_expiry(10**17)
    store.save()
    assert ages(store, ann)[0] == pytest.approx(100 * 365 * 86400, abs=60)


def test_a_new_session_with_an_age_in_the_past_never_begins(ann: Any) -> None:
    store = SessionStore()
    store[SESSION_KEY] = id_of(ann)
    store.set_expiry(-1)
    store.save()
    assert live_keys(ann) == []
    with pytest.raises(UpdateError):
        store.save()
