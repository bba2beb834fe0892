"""The login history: a row for each login, how it ended, and how little is kept."""

import sqlite3
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model, login
from django.contrib.sessions.backends.base import UpdateError
from django.core.management import call_command
from django.db import OperationalError, connection
from django.http import HttpRequest
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from expire_sessions import backend
from expire_sessions.backend import SessionStore
from expire_sessions.keys import new_session_key, session_id
from expire_sessions.models import LoggedSession, LoggedSessionQuerySet
from expire_sessions.reasons import EndReason
from expire_sessions.sessions import UserSessions
from expire_sessions.signals import expire_check, session_ended
from tests.asking import (
    add_members,
    index,
    live_keys,
    lose_index,
    lose_payload,
    members,
    payload_of,
    put_payload,
    redis_client,
)
from tests.sessions import key_of, make_older, reasons, rows_of
from tests.sessions import sign_in as sign_in_store
from tests.threads import all_at_once

pytestmark = pytest.mark.django_db

SignIn = Callable[..., Client]
Told = list[tuple[str, dict[str, Any]]]


def test_a_login_is_a_row(ann: Any, sign_in: SignIn) -> None:
    before = timezone.now()
    browser = sign_in(ann, headers={"user-agent": "Firefox"})
    row = LoggedSession.objects.get()
    assert row.user == ann
    assert row.session_id == session_id(key_of(browser))
    assert (row.ip, row.user_agent) == ("127.0.0.1", "Firefox")
    assert before <= row.date_logged <= timezone.now()
    assert row.active
    assert (row.ended_at, row.end_reason) == (None, "")


def interrupt(browser: Client, ann: Any) -> None:
    """Sign in while the browser's anonymous session goes."""
    request = HttpRequest()
    request.session = SessionStore()
    request.session["x"] = "y"
    request.session.create()
    login(request, ann)
    lose_payload(request.session.session_key)
    with pytest.raises(UpdateError):
        request.session.save()


def change_password_elsewhere(browser: Client, ann: Any) -> None:
    """Change it where this browser's session does not hear of it."""
    ann.set_password("new")
    ann.save()
    browser.get("/whoami/")


def let_age_pass(browser: Client, ann: Any) -> None:
    """Let the session go unnoticed, a day after the login."""
    make_older()
    lose_payload(key_of(browser))
    call_command("clearsessions")


def lose_at_once(browser: Client, ann: Any) -> None:
    """Let the login be lost between its row and its place."""
    redis_client().flushall()
    call_command("clearsessions")


BOB = {"username": "bob", "password": "bob"}
ENDS: list[tuple[str, Callable[[Client, Any], object]]] = [
    ("logout", lambda browser, _: browser.get("/logout/")),
    ("evicted", lambda _, ann: sign_in_store(ann)),
    ("ended", lambda _, ann: UserSessions(ann).end_all()),
    ("flushed", lambda browser, _: browser.get("/login/", BOB)),
    ("flushed", change_password_elsewhere),
    ("deleted", lambda browser, _: SessionStore().delete(key_of(browser))),
    ("expired", let_age_pass),
    ("lost", lose_at_once),
    ("interrupted", interrupt),
]


@pytest.mark.parametrize("reason,end", ENDS)
def test_each_end_has_its_reason_and_time(
    ann: Any, bob: Any, sign_in: SignIn, reason: str, end: Callable[..., None]
) -> None:
    browser = sign_in(ann)
    before = timezone.now()
    end(browser, ann)
    row = LoggedSession.objects.ended().get()
    assert not row.active
    assert row.user == ann
    assert row.end_reason == reason
    assert row.ended_at is not None
    assert before <= row.ended_at <= timezone.now()


def test_each_reason_is_one_of_those() -> None:
    assert {reason for reason, _ in ENDS} == set(EndReason)


def test_the_queryset_tells_active_from_ended(ann: Any, bob: Any) -> None:
    sign_in_store(ann)
    sign_in_store(ann)
    sign_in_store(bob)
    rows = LoggedSession.objects
    assert rows.active().count() == 2
    assert rows.ended().count() == 1
    assert rows.for_user(ann).count() == rows.for_user(ann.pk).count() == 2
    assert rows.for_user(bob).active().get().active


def test_all_rows_are_kept_by_default(ann: Any) -> None:
    for _ in range(5):
        sign_in_store(ann)
    assert reasons(ann) == ["evicted"] * 4 + [""]


@override_settings(EXPIRE_LOG_LIMIT=2)
def test_the_newest_ended_rows_are_kept_up_to_the_limit(ann: Any) -> None:
    stores = [sign_in_store(ann) for _ in range(5)]
    rows = LoggedSession.objects.order_by("pk").values_list("session_id", flat=True)
    assert list(rows) == [session_id(str(store.session_key)) for store in stores[2:]]


@override_settings(EXPIRE_LOG_LIMIT=0)
def test_with_zero_ended_rows_go_at_once(ann: Any, sign_in: SignIn) -> None:
    sign_in(ann)
    browser = sign_in(ann)
    assert reasons(ann) == [""]
    browser.get("/logout/")
    assert reasons(ann) == []


@override_settings(EXPIRE_LOG_LIMIT=1)
def test_active_rows_and_those_of_others_are_never_pruned(ann: Any, bob: Any) -> None:
    rows_of(bob, 5)
    with override_settings(EXPIRE_MAX_USERS=4):
        for _ in range(8):
            sign_in_store(ann)
    assert reasons(bob) == ["logout"] * 5
    assert reasons(ann) == ["evicted"] + [""] * 4


def test_a_handler_sets_the_log_limit_of_a_user(ann: Any, bob: Any) -> None:
    def handler(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        if sender == ann:
            settings["log_limit"] = 1

    expire_check.connect(handler)
    try:
        for user in [ann, bob] * 4:
            sign_in_store(user)
        assert reasons(ann) == ["evicted", ""]
        assert reasons(bob) == ["evicted"] * 3 + [""]
        sign_in_store(ann).flush()
        assert reasons(ann) == ["flushed"]
    finally:
        expire_check.disconnect(handler)


def test_more_rows_than_one_statement_takes_are_pruned(ann: Any, bob: Any) -> None:
    newest = rows_of(ann, 1203)[-3:]
    rows_of(bob, 3)
    LoggedSession.objects.prune(ann.pk, 3)
    kept = LoggedSession.objects.for_user(ann).order_by("pk")
    assert [row.session_id for row in kept] == [row.session_id for row in newest]
    assert reasons(bob) == ["logout"] * 3


@pytest.mark.django_db(transaction=True)
def test_two_prunes_at_once_keep_the_newest(ann: Any) -> None:
    newest = rows_of(ann, 700)[-5:]
    errors = all_at_once(lambda: LoggedSession.objects.prune(ann.pk, 5), 4)
    assert errors == []
    kept = LoggedSession.objects.order_by("pk").values_list("session_id", flat=True)
    assert list(kept) == [row.session_id for row in newest]


@pytest.mark.parametrize("index_is_lost", [False, True])
@pytest.mark.parametrize("log_limit", [None, 0])
@pytest.mark.parametrize("heal", ["the next login", "clearsessions"])
def test_a_session_that_was_found_gone_is_closed(
    ann: Any, heal: str, index_is_lost: bool, log_limit: int | None
) -> None:
    """As when its age has passed: with it goes the index, if it was the last."""
    lose_payload(sign_in_store(ann).session_key)
    if index_is_lost:
        lose_index(ann)
    make_older()
    with override_settings(EXPIRE_LOG_LIMIT=log_limit):
        if heal == "clearsessions":
            call_command("clearsessions")
            assert members(ann) == []
        else:
            sign_in_store(ann)
            assert len(members(ann)) == 1
    kept = ["expired"] if log_limit is None else []
    assert reasons(ann) == kept + ([""] if heal == "the next login" else [])


def test_a_login_of_the_last_minute_that_has_no_session_is_lost(ann: Any) -> None:
    """It may be on its way: where its session appears, its row opens again."""
    store = sign_in_store(ann)
    payload = payload_of(store.session_key)
    lose_payload(store.session_key)
    lose_index(ann)
    with override_settings(EXPIRE_LOG_LIMIT=0):
        call_command("clearsessions")
    assert reasons(ann) == ["lost"]
    put_payload(store.session_key, payload)
    with override_settings(EXPIRE_TOUCH_INTERVAL=0):
        SessionStore(store.session_key).load()
    call_command("clearsessions")
    assert reasons(ann) == [""]


@override_settings(EXPIRE_MAX_USERS=2)
def test_the_next_login_opens_the_row_of_a_live_session(ann: Any) -> None:
    sign_in_store(ann)
    LoggedSession.objects.update(ended_at=timezone.now(), end_reason="lost")
    sign_in_store(ann)
    assert reasons(ann) == ["", ""]


@pytest.fixture
def few_variables(db: None) -> Iterator[None]:
    """Let a statement take no more variables than in an old SQLite."""
    if connection.vendor != "sqlite":
        yield
        return
    connection.ensure_connection()
    kind = sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER
    before = connection.connection.setlimit(kind, 999)
    yield
    connection.connection.setlimit(kind, before)


@pytest.mark.usefixtures("few_variables")
def test_the_next_login_closes_more_rows_than_one_statement_takes(ann: Any) -> None:
    LoggedSession.objects.bulk_create(
        LoggedSession(user=ann, session_id=session_id(f"gone{n}")) for n in range(1203)
    )
    make_older()
    store = sign_in_store(ann)
    active = LoggedSession.objects.active().get()
    assert active.session_id == session_id(str(store.session_key))


def test_more_rows_than_one_statement_takes_are_opened_again(ann: Any) -> None:
    rows = rows_of(ann, 1203)
    LoggedSession.objects.update(end_reason="lost")
    LoggedSession.objects.filter(pk=rows[0].pk).update(end_reason="logout")
    LoggedSession.objects.reopen([row.session_id for row in rows])
    assert LoggedSession.objects.ended().get().end_reason == "logout"


def test_a_better_reason_replaces_that_a_session_was_lost(
    ann: Any, sign_in: SignIn
) -> None:
    browser = sign_in(ann)
    LoggedSession.objects.update(ended_at=timezone.now(), end_reason="lost")
    browser.get("/logout/")
    assert reasons(ann) == ["logout"]


def test_a_reason_that_says_only_that_it_was_gone_replaces_none(ann: Any) -> None:
    row = LoggedSession.objects.create(user=ann, session_id="e" * 64)
    assert LoggedSession.objects.close([row.session_id], EndReason.LOST) == 1
    assert LoggedSession.objects.close([row.session_id], EndReason.EXPIRED) == 0
    assert reasons(ann) == ["lost"]


@pytest.mark.parametrize(
    "reason,followed", [(EndReason.LOST, 1), (EndReason.LOGOUT, 0), (None, 1)]
)
def test_a_row_follows_a_rotation_unless_its_session_was_ended(
    ann: Any, reason: EndReason | None, followed: int
) -> None:
    row = LoggedSession.objects.create(user=ann, session_id="e" * 64)
    if reason:
        LoggedSession.objects.close([row.session_id], reason)
    assert LoggedSession.objects.follow(row.session_id, "f" * 64) == followed


def test_a_row_that_the_project_has_ended_stays_as_it_is(ann: Any) -> None:
    row = LoggedSession.objects.create(user=ann, session_id="e" * 64)
    LoggedSession.objects.update(ended_at=timezone.now())
    assert LoggedSession.objects.close([row.session_id], EndReason.EVICTED) == 0
    assert LoggedSession.objects.follow(row.session_id, "f" * 64) == 0


def test_a_login_that_takes_its_place_during_the_sweep_stays_active(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep has looked, and not found it, and is about to close its row."""
    key = str(sign_in_store(ann).session_key)
    payload = payload_of(key)
    lose_payload(key)
    lose_index(ann)
    close_gone = LoggedSessionQuerySet.close_gone

    def close_late(self: LoggedSessionQuerySet, rows: Any) -> None:
        put_payload(key, payload)
        with override_settings(EXPIRE_TOUCH_INTERVAL=0):
            SessionStore(key).load()
        close_gone(self, rows)

    monkeypatch.setattr(LoggedSessionQuerySet, "close_gone", close_late)
    with override_settings(EXPIRE_LOG_LIMIT=0):
        call_command("clearsessions")
    assert reasons(ann) == [""]


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
    assert len(list(islice(index().sweep(), 1))) == 1
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
    ann: Any, bob: Any
) -> None:
    for user in (ann, bob):
        lose_payload(sign_in_store(user).session_key)
    make_older()

    def handler(sender: Any, **kwargs: object) -> None:
        if sender == ann:
            raise RuntimeError

    expire_check.connect(handler)
    try:
        call_command("clearsessions")
    finally:
        expire_check.disconnect(handler)
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


def test_a_deleted_key_whose_owner_cannot_be_read_ends_its_row(ann: Any) -> None:
    store = sign_in_store(ann)
    put_payload(store.session_key, b"no payload")
    SessionStore().delete(store.session_key)
    assert reasons(ann) == ["deleted"]


def break_the_history(user: Any) -> None:
    """Sign in where no row can be written, then break the payload: both are logged."""
    taken = SessionStore()
    taken.create()
    taken["_auth_user_id"] = str(user.pk)

    def refuse(*args: object) -> None:
        raise OperationalError("no database today")

    with connection.execute_wrapper(refuse):
        taken.save()
    LoggedSession.objects.create(user=user, session_id=session_id(taken._key))
    put_payload(taken.session_key, b"no payload")
    SessionStore(taken.session_key).load()


def test_the_session_key_is_nowhere_but_in_redis(
    ann: Any,
    bob: Any,
    told: Told,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not in the database, in what is sent to it, in signals or in logs."""
    caplog.set_level(0)
    keys: list[str] = []

    def noted_key() -> str:
        keys.append(new_session_key())
        return keys[-1]

    monkeypatch.setattr(backend, "new_session_key", noted_key)
    with CaptureQueriesContext(connection) as queries:
        for _, end in ENDS:
            ann.set_password("ann")
            ann.save()
            browser = Client()
            browser.get("/set/x/1/")
            browser.get("/login/", {"username": "ann", "password": "ann"})
            browser.get("/password/", {"password": "new"})
            end(browser, ann)
        break_the_history(ann)
    tables = [model._default_manager.values() for model in apps.get_models()]
    places = {
        "database": repr([list(rows) for rows in tables]),
        "queries": repr(queries.captured_queries),
        "signals": repr(told),
        "logs": caplog.text + repr([vars(record) for record in caplog.records]),
    }
    assert len(keys) > 3 * len(ENDS)
    for place, text in places.items():
        assert [key for key in keys if key in text] == [], place
    for place in ("database", "queries", "signals"):
        assert session_id(keys[-1]) in places[place], "it would have been seen"
    assert "history was not written" in caplog.text
    assert "Session data corrupted" in caplog.text
