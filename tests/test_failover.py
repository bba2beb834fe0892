"""Whatever a failover, a flush or a lost write left: live = members = active rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import override_settings
from django.utils import timezone

from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession, LoggedSessionQuerySet
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.reasons import EndReason
from tests.asking import index_name, lose_payload
from tests.sessions import live_ids, reasons, sign_in

pytestmark = pytest.mark.django_db

Told = list[tuple[str, dict[str, Any]]]


@contextmanager
def undone(server: redis.Redis) -> Iterator[None]:
    """Lose what is written in the block, as a replica that lagged has when it leads."""
    kept = {
        key: (server.dump(key), server.pttl(key))
        for key in (name.decode() for name in server.scan_iter("*"))
    }
    yield
    server.flushall()
    for key, (value, milliseconds) in kept.items():
        server.restore(key, milliseconds, value or b"")


def an_hour_passes() -> None:
    """Move all that the history knows into the past."""
    an_hour = timedelta(hours=1)
    for row in LoggedSession.objects.all():
        row.date_logged -= an_hour
        if row.ended_at:
            row.ended_at -= an_hour
        row.save()


def active(user: Any) -> set[str]:
    rows = LoggedSession.objects.for_user(user).active()
    return set(rows.values_list("session_id", flat=True))


def sweep() -> None:
    call_command("clearsessions")


@pytest.fixture
def two_that_came_back(ann: Any, server: redis.Redis) -> list[SessionStore]:
    """One was evicted and one signed out, and a failover has undone both."""
    with override_settings(EXPIRE_MAX_USERS=2):
        stores = [sign_in(ann), sign_in(ann)]
    with undone(server):
        third = sign_in(ann)
        stores[1].remember_logout()
        stores[1].flush()
        third.delete()
    an_hour_passes()
    assert len(live_ids(ann)) == 2
    return stores


@override_settings(EXPIRE_MAX_USERS=3)
def test_what_had_ended_is_ended_again_at_the_next_login(
    ann: Any, two_that_came_back: list[SessionStore], told: Told
) -> None:
    before = reasons(ann)
    store = sign_in(ann)
    assert live_ids(ann) == active(ann) == {session_id(str(store.session_key))}
    assert reasons(ann) == [*before, ""]
    ended = {kwargs["reason"] for name, kwargs in told if name == "session_ended"}
    assert ended == {"evicted"}


def test_what_had_ended_is_ended_again_by_the_sweep(
    ann: Any, two_that_came_back: list[SessionStore]
) -> None:
    before = reasons(ann)
    sweep()
    assert live_ids(ann) == active(ann) == set()
    assert reasons(ann) == before


@override_settings(EXPIRE_MAX_USERS=2)
def test_an_end_that_is_under_way_is_left_alone(ann: Any) -> None:
    """Its row is closed by somebody who is about to end it in Redis."""
    store = sign_in(ann)
    name = session_id(str(store.session_key))
    LoggedSession.objects.close([name], EndReason.ENDED)
    sweep()
    sign_in(ann)
    assert name in live_ids(ann)


def test_rows_that_were_closed_while_redis_was_empty_open_again(
    ann: Any, bob: Any, server: redis.Redis
) -> None:
    for user in (ann, bob):
        sign_in(user)
    an_hour_passes()
    with undone(server):
        server.flushall()
        sweep()
        assert reasons(ann) == reasons(bob) == ["expired"]
    sweep()
    assert reasons(ann) == reasons(bob) == [""]
    assert live_ids(ann) == active(ann)


@pytest.mark.parametrize("how", ["login", "sweep"])
@override_settings(EXPIRE_MAX_USERS=3)
def test_a_row_that_was_never_written_is_made(ann: Any, how: str) -> None:
    with transaction.atomic():
        store = sign_in(ann)
        transaction.set_rollback(True)
    assert LoggedSession.objects.count() == 0
    sign_in(ann) if how == "login" else sweep()
    row = LoggedSession.objects.get(session_id=session_id(str(store.session_key)))
    assert (row.active, row.user, row.ip, row.user_agent) == (True, ann, None, "")
    assert abs(row.date_logged - timezone.now()) < timedelta(seconds=30)
    assert live_ids(ann) == active(ann)


@override_settings(EXPIRE_MAX_USERS=3)
def test_no_row_is_made_for_a_session_that_is_just_moving(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = sign_in(ann)
    follow = LoggedSessionQuerySet.follow

    def follow_late(rows: LoggedSessionQuerySet, previous_id: str, name: str) -> int:
        monkeypatch.setattr(LoggedSessionQuerySet, "follow", follow)
        sweep()
        sign_in(ann)
        return follow(rows, previous_id, name)

    monkeypatch.setattr(LoggedSessionQuerySet, "follow", follow_late)
    store.cycle_key()
    assert LoggedSession.objects.count() == 2
    assert LoggedSession.objects.exclude(ip="127.0.0.1").count() == 0
    assert live_ids(ann) == active(ann)


def test_a_session_of_another_user_model_gets_no_row(ann: Any) -> None:
    store = SessionStore()
    store["_auth_user_id"] = "no number"
    store.save()
    sweep()
    # Where keys are strings, it is one: of a user that is gone.
    is_a_key = isinstance(ann.pk, str)
    assert LoggedSession.objects.count() == int(is_a_key)
    assert store.exists(store.session_key) is not is_a_key


def test_a_key_that_is_used_again_is_the_login_that_uses_it(ann: Any) -> None:
    store = sign_in(ann)
    data, key = dict(store.items()), store.session_key
    store.delete()
    an_hour_passes()
    again = SessionStore(key)
    again.update(data)
    again._session_key = key
    again.save(must_create=True)
    sweep()
    assert again.exists(key)
    assert live_ids(ann) == active(ann) == {session_id(str(key))}


def test_a_user_that_was_deleted_gets_no_rows(ann: Any) -> None:
    store = sign_in(ann)
    ann.delete()
    sweep()
    assert LoggedSession.objects.count() == 0
    assert not store.exists(store.session_key)


@override_settings(USE_TZ=False)
def test_a_project_without_time_zones_gets_its_rows_too(ann: Any) -> None:
    sign_in(ann)
    LoggedSession.objects.all().delete()
    sweep()
    assert live_ids(ann) == active(ann) != set()


def test_a_broken_index_of_one_user_stops_the_sweep_of_nobody(
    ann: Any, bob: Any, server: redis.Redis
) -> None:
    for user in (ann, bob):
        sign_in(user)
    server.flushall()
    server.set(index_name(ann), "something else")
    an_hour_passes()
    sweep()
    assert reasons(ann) == reasons(bob) == ["expired"]


def test_a_key_that_is_no_index_is_left_alone_and_logged(
    ann: Any, server: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    store = sign_in(ann)
    lose_payload(store.session_key)
    server.set(index_name("9999"), "something else")
    sweep()
    assert server.get(index_name("9999")) == b"something else"
    assert reasons(ann) == ["expired"]
    assert "9999" in caplog.text
    assert server.exists(index_name(ann)) == 0


def test_the_sweep_fails_where_the_history_cannot_be_swept(
    ann: Any, server: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that cron notices. The indexes are swept all the same."""
    store = sign_in(ann)
    lose_payload(store.session_key)

    def refuse(*args: object) -> None:
        raise DatabaseError("no database today")

    with (
        connection.execute_wrapper(refuse),
        pytest.raises(CommandError, match="no database today"),
    ):
        sweep()
    assert server.keys("*index*") == []


def test_it_says_what_it_did_if_asked(
    ann: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(ann)
    gone = sign_in(ann)
    lose_payload(gone.session_key)
    call_command("clearsessions", verbosity=2)
    assert capsys.readouterr().out == (
        "Sessions of users: 0 live; 1 had expired and left their index.\n"
        "Login history: 0 active rows (before: 1), 2 ended (before: 1).\n"
    )
    call_command("clearsessions")
    assert capsys.readouterr().out == ""


@override_settings(SESSION_ENGINE="django.contrib.sessions.backends.db")
def test_it_is_djangos_for_another_engine(ann: Any) -> None:
    call_command("clearsessions", verbosity=2)
