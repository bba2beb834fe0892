"""The login history: a row for each login, and how it ended."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.reasons import EndReason
from tests.asking import put_payload
from tests.ends import ENDS
from tests.sessions import key_of, reasons
from tests.sessions import sign_in as sign_in_store

pytestmark = pytest.mark.django_db

SignIn = Callable[..., Client]


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


def test_a_deleted_key_whose_owner_cannot_be_read_ends_its_row(ann: Any) -> None:
    store = sign_in_store(ann)
    put_payload(store.session_key, b"no payload")
    SessionStore().delete(store.session_key)
    assert reasons(ann) == ["deleted"]
