"""The audit log: a record for each session that starts, is refused or ends."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from expire_sessions.exceptions import SessionLimitReached
from expire_sessions.receivers import audit
from expire_sessions.receivers.audit import FIELDS
from expire_sessions.sessions import UserSessions
from tests.asking import id_of
from tests.sessions import CHROME, enter, ids

pytestmark = pytest.mark.django_db


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What is logged, details included."""
    with caplog.at_level(logging.INFO, "expire_sessions"):
        yield caplog


def fields_of(record: logging.LogRecord) -> tuple[Any, ...]:
    """Return what a record tells, but for the session's id."""
    return tuple(vars(record)[name] for name in FIELDS if name != "session_id")


HERE = ("192.0.2.1", "Firefox on Linux")
THERE = ("192.0.2.2", "Chrome on Windows")


def test_a_session_leaves_two_records(ann: Any, log: pytest.LogCaptureFixture) -> None:
    store = enter(ann)
    (name,) = ids(store)
    store.flush()
    user = id_of(ann)
    assert [fields_of(record) for record in log.records] == [
        ("session_started", user, None, *HERE, None, False, user),
        ("session_ended", user, "flushed", None, None, None, None, None),
    ]
    assert {record.levelname for record in log.records} == {"INFO"}
    assert {vars(record)["session_id"] for record in log.records} == {name}


def test_a_login_that_evicts_leaves_two(
    ann: Any, log: pytest.LogCaptureFixture
) -> None:
    enter(ann)
    log.clear()
    enter(ann, CHROME, "192.0.2.2")
    user = id_of(ann)
    assert [fields_of(record) for record in log.records] == [
        ("session_ended", user, "evicted", *THERE, None, None, user),
        ("session_started", user, None, *THERE, True, True, user),
    ]


@override_settings(EXPIRE_POLICY="refuse")
def test_a_refused_one_leaves_one(ann: Any, log: pytest.LogCaptureFixture) -> None:
    """Its row ends; for a reader of the log it has never begun."""
    enter(ann)
    log.clear()
    with pytest.raises(SessionLimitReached):
        enter(ann, CHROME, "192.0.2.2")
    (record,) = log.records
    user = id_of(ann)
    assert fields_of(record) == (
        *("session_refused", user, "refused", *THERE, True, True, user),
    )


@override_settings(EXPIRE_MAX_USERS=3)
def test_each_that_ends_leaves_one(
    ann: Any, bob: Any, log: pytest.LogCaptureFixture
) -> None:
    stores = [enter(ann) for _ in range(3)]
    log.clear()
    UserSessions(ann, by=bob).end_all()
    assert {vars(record)["session_id"] for record in log.records} == ids(*stores)
    assert {(vars(record)["event"], vars(record)["by"]) for record in log.records} == {
        ("session_ended", id_of(bob))
    }


def test_its_text_tells_what_is_known_and_no_session_key(
    ann: Any, log: pytest.LogCaptureFixture
) -> None:
    store = enter(ann)
    (record,) = log.records
    assert record.getMessage() == (
        f"session_started user_id={id_of(ann)!r} session_id={ids(store).pop()!r}"
        f" ip='192.0.2.1' device='Firefox on Linux' concurrent=False by={id_of(ann)!r}"
    )
    assert str(store.session_key) not in f"{record.getMessage()} {vars(record)}"


def test_a_client_cannot_write_lines_of_the_log(
    ann: Any, log: pytest.LogCaptureFixture
) -> None:
    enter(ann, "evil/1'\r\nsession_ended\x1b[31m\u202e\u2028all by='1'")
    (record,) = log.records
    assert record.getMessage().isprintable()
    assert vars(record)["device"].isprintable()
    assert record.getMessage().count(" by='") == 1


def test_who_keeps_no_log_pays_for_none(caplog: pytest.LogCaptureFixture) -> None:
    """INFO is off unless a project has it on: what was told is not even looked at."""
    unseen = dict.fromkeys(("user_id", "session_id", "context", "ended"))
    unseen |= dict.fromkeys(("concurrent", "new_device", "reason"))
    told: Any = unseen
    with caplog.at_level(logging.WARNING, "expire_sessions"):
        for log in (audit.log_started, audit.log_refused, audit.log_ended):
            log(**told)
    assert caplog.records == []
