"""Rows that do not agree with Redis: the next login or the sweep puts them right."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession, LoggedSessionQuerySet
from expire_sessions.protocol.session_keys import session_id
from tests.asking import lose_index, lose_payload, members, payload_of, put_payload
from tests.sessions import make_older, reasons, rows_of
from tests.sessions import sign_in as sign_in_store

pytestmark = pytest.mark.django_db


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
