"""The sweep, ``clearsessions``: of many rows, users and members, and interrupted."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import SweepIncomplete
from expire_sessions.models import LoggedSession
from expire_sessions.protocol import listing
from expire_sessions.protocol.listing import Page
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.signals import session_ended, sessions_swept
from expire_sessions.transport.connections import connection_for
from expire_sessions.transport.running import Call, Flow, run
from tests.asking import (
    add_members,
    live_keys,
    lose_payload,
    members,
    redis_client,
)
from tests.sessions import make_older, reasons
from tests.sessions import sign_in as sign_in_store

pytestmark = pytest.mark.django_db

Told = list[tuple[str, dict[str, Any]]]


@override_settings(EXPIRE_MAX_USERS=0)
def test_the_sweep_leaves_what_is_live(ann: Any, bob: Any) -> None:
    stores = [sign_in_store(user) for user in [ann, bob] * 3]
    for store in stores[:2]:
        lose_payload(store.session_key)
    make_older()
    call_command("clearsessions")
    assert reasons(ann) == reasons(bob) == ["expired", "", ""]
    assert [len(live_keys(user)) for user in (ann, bob)] == [2, 2]


@override_settings(EXPIRE_MAX_USERS=0)
def test_the_sweep_leaves_what_is_live_of_a_user_with_many_sessions(ann: Any) -> None:
    """More than a login looks at, and than a small index of Redis holds."""
    stores = [sign_in_store(ann) for _ in range(210)]
    for store in stores[100:105]:
        lose_payload(store.session_key)
    make_older()
    call_command("clearsessions")
    assert reasons(ann) == [""] * 100 + ["expired"] * 5 + [""] * 105
    assert len(members(ann)) == 205


@pytest.mark.parametrize("log_limit,kept", [(None, 1203), (2, 2), (0, 0)])
def test_the_sweep_goes_through_many_rows_of_many_users(
    ann: Any, log_limit: int | None, kept: int
) -> None:
    store = sign_in_store(ann)
    users = get_user_model()._default_manager
    users.bulk_create(users.model(username=f"user{n}") for n in range(230))
    others = list(users.exclude(pk=ann.pk))
    LoggedSession.objects.bulk_create(
        LoggedSession(user=user, session_id=session_id(f"gone{n}"))
        for n, user in enumerate([ann] * 1203 + others)
    )
    make_older()
    with override_settings(EXPIRE_LOG_LIMIT=log_limit):
        call_command("clearsessions")
    rows = LoggedSession.objects
    assert rows.active().get().session_id == session_id(str(store.session_key))
    assert rows.ended().for_user(ann).count() == kept
    assert rows.exclude(user=ann).count() == (0 if log_limit == 0 else len(others))
    assert set(rows.ended().values_list("end_reason", flat=True)) <= {"expired"}


def test_the_sweep_goes_through_large_indexes(ann: Any, bob: Any) -> None:
    store = sign_in_store(ann)
    add_members(ann, {f"dead{n:05}": n for n in range(3000)})
    for n in range(300):
        add_members(f"nobody{n}", {"dead": 1})
    call_command("clearsessions")
    assert members(ann) == [store.session_key]
    assert redis_client().keys("*nobody*") == []
    assert reasons(ann) == [""]


def test_an_interrupted_sweep_is_finished_by_the_next(ann: Any) -> None:
    add_members(ann, {f"dead{n:05}": n for n in range(3000)})

    def interrupt() -> None:
        raise KeyboardInterrupt

    def stop(page: Page) -> Flow[None]:
        yield Call(interrupt)

    connection = connection_for("default")
    with pytest.raises(KeyboardInterrupt):
        run(connection, listing.sweep(connection.keys, stop))
    assert 0 < len(members(ann)) < 3000
    call_command("clearsessions")
    assert members(ann) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_sweep_whose_listener_raises_is_finished_at_last(
    ann: Any, bob: Any, server: Any, error: type[BaseException]
) -> None:
    """The rows are closed before anybody else is told."""
    for user in (ann, bob):
        lose_payload(sign_in_store(user).session_key)
    make_older()

    def fail(**kwargs: object) -> None:
        raise error

    session_ended.connect(fail)
    try:
        call_command("clearsessions")
    except KeyboardInterrupt:
        assert reasons(ann) + reasons(bob) == ["expired", "expired"]
    finally:
        session_ended.disconnect(fail)
    if error is KeyboardInterrupt:
        call_command("clearsessions")
    assert reasons(ann) + reasons(bob) == ["expired", "expired"]
    assert server.keys("*index*") == []


@override_settings(EXPIRE_LOG_LIMIT=0)
def test_the_sweep_of_others_goes_on_where_the_handler_fails_for_one(
    ann: Any, bob: Any, handle: Any
) -> None:
    for user in (ann, bob):
        lose_payload(sign_in_store(user).session_key)
    make_older()

    def handler(sender: Any, **kwargs: object) -> None:
        if sender == ann:
            raise RuntimeError

    handle(handler)
    call_command("clearsessions")
    assert reasons(ann) == ["expired"]
    assert reasons(bob) == []


def test_the_sweep_tells_of_each_end(ann: Any, told: Told) -> None:
    store = sign_in_store(ann)
    lose_payload(store.session_key)
    told.clear()
    call_command("clearsessions")
    (ended,) = (kwargs for name, kwargs in told if name == "session_ended")
    swept = [kwargs["live"] for name, kwargs in told if name == "sessions_swept"]
    assert ended["user_id"] == str(ann.pk)
    assert ended["session_id"] == session_id(str(store.session_key))
    assert ended["reason"] == "expired"
    assert swept == [(), None]


def test_an_error_at_the_end_of_the_sweep_is_told_too(ann: Any) -> None:
    """When all pages are done, what listens may look at the rest, and fail."""

    def fail(*, live: Any, **kwargs: object) -> None:
        if live is None:
            raise RuntimeError("not today")

    sessions_swept.connect(fail)
    try:
        with pytest.raises(SweepIncomplete, match="not today"):
            SessionStore.sweep()
    finally:
        sessions_swept.disconnect(fail)
