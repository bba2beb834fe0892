"""Sessions that are used in the sync way where an event loop runs: in an async view."""

import asyncio
from typing import Any

import pytest

from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession
from expire_sessions.sessions import UserSessions
from tests.asking import id_of, redis_client
from tests.sessions import reasons, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


async def take_a_place(user: Any) -> SessionStore:
    """Sign a user in without awaiting anything, but for Django's own queries."""
    store = SessionStore()
    store["_auth_user_id"] = id_of(user)
    store.save()
    return store


async def sign_out(store: SessionStore) -> None:
    store.remember_logout()
    store.flush()


async def rotate(store: SessionStore) -> None:
    store.cycle_key()


def test_the_history_is_written_all_the_same(
    ann: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sign_in(ann)
    store = asyncio.run(take_a_place(ann))
    assert reasons(ann) == ["evicted", ""]
    asyncio.run(rotate(store))
    (info,) = UserSessions(ann).list()
    assert info.since is not None, "its row has followed"
    asyncio.run(sign_out(store))
    assert reasons(ann) == ["evicted", "logout"]
    assert caplog.text == ""


def test_a_write_that_fails_there_is_logged_as_elsewhere(
    ann: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no row today")

    monkeypatch.setattr(LoggedSession.objects, "create", fail)
    store = asyncio.run(take_a_place(ann))
    assert SessionStore(store.session_key).load()
    assert "no row today" in caplog.text


def test_the_thread_leaves_no_connection_behind(ann: Any) -> None:
    for _ in range(20):
        asyncio.run(take_a_place(ann))
    assert len(redis_client().client_list()) <= 3
    assert LoggedSession.objects.active().count() == 1
