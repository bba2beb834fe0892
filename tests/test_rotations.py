"""A session gets another key, also while other requests are on their way.

Run for user models with an integer, a UUID and an awkward string for a key.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user, update_session_auth_hash
from django.test import Client, override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession
from expire_sessions.protocol.session_keys import session_id
from tests.asking import id_of, live_keys, put_payload
from tests.sessions import key_of, reasons, request_of, who
from tests.sessions import sign_in as sign_in_store

pytestmark = pytest.mark.django_db

SignIn = Callable[..., Client]


@override_settings(EXPIRE_MAX_USERS=2)
def test_a_password_change_keeps_the_session_and_evicts_nobody(
    ann: Any, sign_in: SignIn, site: str
) -> None:
    other, browser = sign_in(ann), sign_in(ann)
    before = key_of(browser)
    browser.get(f"{site}/password/", {"password": "new"})
    assert key_of(browser) != before
    assert live_keys(ann) == [key_of(other), key_of(browser)]
    assert reasons(ann) == ["", ""]
    assert LoggedSession.objects.filter(session_id=session_id(before)).count() == 0
    assert who(browser) == "ann"
    assert who(other) == "", "Django drops the sessions with the old password"
    assert reasons(ann) == ["flushed", ""]


def new_secret() -> override_settings:
    """Settings with a new SECRET_KEY, and the old one to fall back to."""
    fallbacks = [settings.SECRET_KEY]
    return override_settings(SECRET_KEY="a new one", SECRET_KEY_FALLBACKS=fallbacks)


def test_a_new_secret_moves_the_session(ann: Any, sign_in: SignIn, site: str) -> None:
    browser = sign_in(ann)
    before = key_of(browser)
    with new_secret():
        assert who(browser, site) == "ann"
        assert key_of(browser) != before
        assert live_keys(ann) == [key_of(browser)]
        after = key_of(browser)
        assert who(browser, site) == "ann"
        assert key_of(browser) == after
    assert reasons(ann) == [""]


@pytest.mark.parametrize("changed", [False, True])
def test_requests_that_move_a_session_at_once_end_in_one(
    ann: Any, changed: bool
) -> None:
    store = sign_in_store(ann)
    requests = [request_of(store) for _ in range(3)]
    with new_secret():
        for number, request in enumerate(requests):
            if changed:
                request.session["x"] = number
            assert get_user(request) == ann
            request.session.save()
        (key,) = {request.session.session_key for request in requests}
        assert live_keys(ann) == [key]
        assert get_user(request_of(requests[0].session)) == ann
    assert SessionStore(key).get("x") == (2 if changed else None)
    assert LoggedSession.objects.get().session_id == session_id(str(key))
    assert SessionStore(store.session_key).load() == {}, "an old cookie leads nowhere"


def test_a_slow_request_follows_a_session_that_moved_twice(ann: Any) -> None:
    store = sign_in_store(ann)
    slow = request_of(store)
    for _ in range(2):
        store.cycle_key()
    slow.session.cycle_key()
    assert slow.session.session_key == store.session_key


def test_a_slow_request_that_changed_nothing_takes_the_data_of_the_faster(
    ann: Any,
) -> None:
    store = sign_in_store(ann)
    slow = request_of(store)
    store["x"] = 1
    store.cycle_key()
    store.save()
    slow.session.cycle_key()
    assert slow.session["x"] == 1


@pytest.mark.parametrize("moved", [False, True])
def test_moving_a_session_that_has_ended_leaves_the_request_anonymous(
    ann: Any, moved: bool
) -> None:
    store = sign_in_store(ann)
    late = request_of(store)
    if moved:
        store.cycle_key()
    sign_in_store(ann)
    late.session.cycle_key()
    assert late.session.session_key is None
    notice = getattr(late.session, "notice", None)
    assert getattr(notice, "reason", None) == (None if moved else "evicted")
    assert dict(late.session.items()) == {}
    assert len(live_keys(ann)) == 1


def test_a_password_change_in_a_session_that_has_ended_signs_nobody_in(
    ann: Any,
) -> None:
    late = request_of(sign_in_store(ann))
    late.user = get_user(late)
    newest = sign_in_store(ann)
    update_session_auth_hash(late, ann)
    late.session.save()
    assert SESSION_KEY not in SessionStore(late.session.session_key)
    assert live_keys(ann) == [newest.session_key]


def test_a_new_secret_does_not_bring_back_a_session_that_has_ended(ann: Any) -> None:
    late = request_of(sign_in_store(ann))
    newest = sign_in_store(ann)
    with new_secret():
        get_user(late)
        late.session.save()
        assert get_user(request_of(late.session)).is_anonymous
    assert live_keys(ann) == [newest.session_key]
    assert reasons(ann) == ["evicted", ""]


def test_a_new_key_for_data_of_another_user_ends_the_session(
    ann: Any, bob: Any
) -> None:
    store = sign_in_store(ann)
    store[SESSION_KEY] = id_of(bob)
    store.cycle_key()
    store.save()
    assert live_keys(ann) == []
    assert live_keys(bob) == [store.session_key]


def test_a_slow_request_does_not_follow_to_what_it_cannot_read(ann: Any) -> None:
    store = sign_in_store(ann)
    slow = request_of(store)
    store.cycle_key()
    put_payload(store.session_key, b"no payload")
    slow.session.cycle_key()
    assert slow.session.is_empty()
