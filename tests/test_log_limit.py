"""How much is kept of the login history."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client, override_settings

from expire_sessions.models import LoggedSession
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.transport.connections import connection_for
from tests.sessions import reasons, rows_of
from tests.sessions import sign_in as sign_in_store
from tests.threads import all_at_once

pytestmark = pytest.mark.django_db

SignIn = Callable[..., Client]


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


def test_a_handler_sets_the_log_limit_of_a_user(
    ann: Any, bob: Any, handle: Any
) -> None:
    def handler(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        if sender == ann:
            settings["log_limit"] = 1

    handle(handler)
    for user in [ann, bob] * 4:
        sign_in_store(user)
    assert reasons(ann) == ["evicted", ""]
    assert reasons(bob) == ["evicted"] * 3 + [""]
    sign_in_store(ann).flush()
    assert reasons(ann) == ["flushed"]


def test_a_logout_asks_no_handler_and_the_next_login_prunes(
    ann: Any, handle: Any
) -> None:
    asked: list[object] = []

    def handler(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        asked.append(sender)
        settings["log_limit"] = 0

    handle(handler)
    store = sign_in_store(ann)
    connection_for("default").answers.forget()  # as another process
    asked.clear()
    store.flush()
    assert (asked, reasons(ann)) == ([], ["flushed"])
    sign_in_store(ann)
    assert reasons(ann) == [""]


@override_settings(EXPIRE_LOG_LIMIT=1)
def test_the_sweep_prunes_what_logouts_have_left(
    ann: Any, bob: Any, handle: Any
) -> None:
    def handler(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        if sender == bob:
            settings["log_limit"] = None

    rows_of(ann, 3)
    rows_of(bob, 3)
    handle(handler)
    call_command("clearsessions")
    assert reasons(ann) == ["logout"]
    assert reasons(bob) == ["logout"] * 3


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
