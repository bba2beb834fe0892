"""What no signal tells of: the sweep finds it, and there is a call for it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import override_settings

from expire_sessions.models import LoggedSession
from expire_sessions.reasons import EndReason
from expire_sessions.sessions import UserSessions
from tests.accounts.models import SaltedUser, UuidUser
from tests.asking import live_keys
from tests.sessions import live, reasons, sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def three_allowed(settings: Any) -> None:
    """Allow three sessions."""
    settings.EXPIRE_MAX_USERS = 3


def users(*these: Any) -> Any:
    """Return these users, as a query."""
    pks = [user.pk for user in these]
    return get_user_model()._default_manager.filter(pk__in=pks)


def sweep(*pks: Any) -> None:
    """Let the nightly job find them."""
    call_command("clearsessions")


def call(*pks: Any) -> None:
    """Name them."""
    UserSessions.end_disallowed(pks)


ENDS = [sweep, call]


@pytest.mark.parametrize("end", ENDS)
def test_users_that_were_deactivated_in_bulk(
    ann: Any, bob: Any, end: Callable[..., None]
) -> None:
    for user in (ann, ann, bob):
        sign_in(user)
    users(ann).update(is_active=False)
    end(ann.pk, bob.pk)
    assert (live(ann), live(bob)) == (0, 1)
    assert reasons(ann) == ["deactivated", "deactivated"]
    assert reasons(bob) == [""]


@pytest.mark.parametrize("end", ENDS)
def test_users_that_were_deleted_past_django(
    ann: Any, bob: Any, end: Callable[..., None]
) -> None:
    """Their rows are left, or have gone with them: none comes back."""
    for user in (ann, bob):
        sign_in(user)
    LoggedSession.objects.for_user(bob).delete()
    users(ann, bob)._raw_delete("default")
    end(ann.pk, bob.pk)
    assert live_keys(ann) == live_keys(bob) == []
    assert reasons(ann) == ["user_deleted"]
    assert LoggedSession.objects.count() == 1


def test_the_call_takes_primary_keys_as_they_come_and_counts_sessions(
    ann: Any, bob: Any
) -> None:
    for user in (ann, ann, bob):
        sign_in(user)
    users(ann).update(is_active=False)
    assert UserSessions.end_disallowed(str(user.pk) for user in (ann, bob)) == 2
    assert UserSessions.end_disallowed([]) == 0


def test_a_reason_is_given_with_the_call(ann: Any) -> None:
    mine = sign_in(ann)
    for reason in (EndReason.PASSWORD_CHANGED, EndReason.DEACTIVATED):
        sign_in(ann)
        UserSessions(ann, mine.session_key).end_others(reason)
    UserSessions.of_pk(ann.pk).end_all(EndReason.USER_DELETED)
    assert reasons(ann) == ["user_deleted", "password_changed", "deactivated"]


def test_the_sweep_asks_once_for_a_page_of_users(ann: Any) -> None:
    model = get_user_model()
    made = model._default_manager.bulk_create(
        model(username=f"user{n}") for n in range(20)
    )
    for user in made:
        sign_in(user)
    asked: list[str] = []

    def note(execute: Any, sql: str, *args: Any) -> Any:
        if "is_active" in sql:
            asked.append(sql)
        return execute(sql, *args)

    with connection.execute_wrapper(note):
        call_command("clearsessions")
    assert len(asked) == 1
    assert all(live(user) == 1 for user in made)


def test_a_database_that_fails_ends_nothing_and_is_told(ann: Any) -> None:
    sign_in(ann)

    def refuse(execute: Any, sql: str, *args: Any) -> Any:
        if "is_active" in sql:
            raise OperationalError("no users today")
        return execute(sql, *args)

    with (
        connection.execute_wrapper(refuse),
        pytest.raises(CommandError, match="no users today"),
    ):
        call_command("clearsessions")
    assert live(ann) == 1


@override_settings(AUTH_USER_MODEL="accounts.UuidUser")
def test_of_a_user_model_that_knows_nobody_inactive() -> None:
    uma, una = (UuidUser.objects.create(username=name) for name in ("uma", "una"))
    for user in (uma, una):
        sign_in(user)
    users(una)._raw_delete("default")
    assert UserSessions.end_disallowed([uma.pk, str(una.pk)]) == 1
    assert [len(live_keys(user)) for user in (uma, una)] == [1, 0]


@override_settings(AUTH_USER_MODEL="accounts.SaltedUser")
def test_users_that_a_manager_hides_are_not_gone() -> None:
    """Who runs the sweep may be shown other users than a request is."""
    sam: Any = SaltedUser.objects.create_user("hidden", password="sam")
    sign_in(sam)
    assert UserSessions.end_disallowed([sam.pk]) == 0
