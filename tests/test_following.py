"""What ends a session finds it wherever rotations have moved it meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import UpdateError
from django.test import override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession
from expire_sessions.protocol import commands
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.sessions import UserSessions
from tests.asking import id_of, live_keys
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db

Told = list[tuple[str, dict[str, Any]]]


def move(key: Any, times: int = 2) -> str:
    """Rotate a session in other requests; return the key that it has then."""
    for _ in range(times):
        store = SessionStore(key)
        store.cycle_key()
        key = store.session_key
    return str(key)


def log_out(store: SessionStore) -> None:
    store.remember_logout()
    store.flush()


def delete_own(store: SessionStore) -> None:
    store.delete()


def delete_by_key(store: SessionStore) -> None:
    SessionStore().delete(store.session_key)


def save_with_no_age(store: SessionStore) -> None:
    store.set_expiry(-1)
    store.save()


ENDS: dict[str, tuple[Callable[[SessionStore], None], str]] = {
    "a logout": (log_out, "logout"),
    "a delete": (delete_own, "deleted"),
    "a delete by the key": (delete_by_key, "deleted"),
    "a save without age": (save_with_no_age, "expired"),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("times", [0, 1, 2, 5])
def test_it_ends_under_the_key_that_it_has(
    ann: Any, end: str, times: int, told: Told
) -> None:
    store = sign_in(ann)
    store.get("x")
    key = move(store.session_key, times)
    act, reason = ENDS[end]
    act(store)
    assert live_keys(ann) == []
    assert not SessionStore().exists(key)
    (row,) = LoggedSession.objects.all()
    assert (row.end_reason, row.session_id) == (reason, session_id(key))
    (ended,) = (kwargs for name, kwargs in told if name == "session_ended")
    assert (ended["session_id"], ended["user_id"]) == (session_id(key), str(ann.pk))


def while_moving(
    monkeypatch: pytest.MonkeyPatch, key: Any, times: int = 2
) -> list[str]:
    """Let other requests rotate a session right before a removal from outside."""
    moved: list[str] = []
    remove = commands.remove_many

    def remove_late(*args: Any) -> Any:
        moved.append(move(moved[-1] if moved else key, times))
        return remove(*args)

    monkeypatch.setattr(commands, "remove_many", remove_late)
    return moved


def test_one_that_is_ended_from_outside_while_it_moves(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = sign_in(ann)
    while_moving(monkeypatch, store.session_key)
    assert UserSessions(ann).end(session_id(str(store.session_key)))
    assert live_keys(ann) == []
    assert LoggedSession.objects.get().end_reason == "ended"


def test_all_end_while_one_moves(ann: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = sign_in(ann)
    while_moving(monkeypatch, store.session_key)
    assert UserSessions(ann).end_all() == 1
    assert live_keys(ann) == []
    assert LoggedSession.objects.get().end_reason == "ended"


@override_settings(EXPIRE_MAX_USERS=0)
def test_the_others_end_while_one_of_them_moves(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = sign_in(ann), sign_in(ann)
    while_moving(monkeypatch, other.session_key)
    assert UserSessions(ann, mine.session_key).end_others() == 1
    assert live_keys(ann) == [mine.session_key]


@override_settings(EXPIRE_MAX_USERS=0)
@pytest.mark.parametrize("before", [0, 1, 2])
def test_ones_own_session_stays_though_it_moves(
    ann: Any, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    mine, _ = sign_in(ann), sign_in(ann)
    key = mine.session_key
    now = move(key, before)
    moved = while_moving(monkeypatch, now, times=1)
    assert UserSessions(ann, key).end_others() == 1
    assert live_keys(ann) == [moved[-1]]


@override_settings(EXPIRE_LOG_LIMIT=0)
def test_a_delete_during_a_rotation_prunes_no_row_of_a_live_session(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted between the rotation in Redis and its row: the row goes, as does it."""
    store = sign_in(ann)
    follow = LoggedSession.objects.follow
    key = str(store.session_key)

    def follow_late(previous_id: str, name: str) -> int:
        SessionStore().delete(key)
        return follow(previous_id, name)

    monkeypatch.setattr(LoggedSession.objects, "follow", follow_late)
    store.cycle_key()
    assert live_keys(ann) == []
    assert LoggedSession.objects.count() == 0


def test_a_rotation_that_comes_late_joins_the_last_one(ann: Any) -> None:
    store = sign_in(ann)
    store.get("x")
    key = move(store.session_key, 3)
    store.cycle_key()
    assert store.session_key == key
    assert live_keys(ann) == [key]
    assert LoggedSession.objects.get().active


def without_user(store: SessionStore, bob: Any) -> None:
    del store[SESSION_KEY]


def as_bob(store: SessionStore, bob: Any) -> None:
    store[SESSION_KEY] = id_of(bob)


@pytest.mark.parametrize("change", [without_user, as_bob])
@pytest.mark.parametrize("moves", [0, 2])
def test_a_save_in_flight_does_not_carry_on_what_was_ended(
    ann: Any, bob: Any, change: Callable[..., None], moves: int, server: Any
) -> None:
    store = sign_in(ann)
    store["cart"] = "secret"
    move(store.session_key, moves)
    UserSessions(ann).end_all()
    change(store, bob)
    with pytest.raises(UpdateError):
        store.save()
    assert live_keys(ann) == live_keys(bob) == []
    assert server.keys("*sessions.cache*") == []
    assert LoggedSession.objects.get().end_reason == "ended"


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_a_save_that_changes_the_user_of_a_live_session_ends_it(
    ann: Any, bob: Any, moves: int
) -> None:
    store = sign_in(ann)
    store.get("x")
    move(store.session_key, moves)
    as_bob(store, bob)
    store.save()
    assert live_keys(ann) == []
    assert live_keys(bob) == [store.session_key]


def test_a_rotation_of_what_was_ended_goes_on_anonymous_and_empty(
    ann: Any, bob: Any
) -> None:
    store = sign_in(ann)
    UserSessions(ann).end_all()
    as_bob(store, bob)
    store.cycle_key()
    store.save()
    assert live_keys(bob) == []
    assert SESSION_KEY not in SessionStore(store.session_key)
