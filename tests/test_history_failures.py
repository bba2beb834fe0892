"""A history that cannot be written: no login fails by it, and a log tells of it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY, get_user_model
from django.db import connection as database
from django.db import transaction
from django.db.utils import OperationalError
from django.test import override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import SweepIncomplete
from expire_sessions.models import LoggedSession, LoggedSessionQuerySet
from tests.sessions import sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_retries")]


@contextmanager
def without_a_table() -> Iterator[None]:
    """Rename the table of the history."""
    table = LoggedSession._meta.db_table
    LoggedSession._meta.db_table = "no_such_table"
    try:
        yield
    finally:
        LoggedSession._meta.db_table = table
        for field in LoggedSession._meta.concrete_fields:
            vars(field).pop("cached_col", None)  # it names the table


@contextmanager
def read_only() -> Iterator[None]:
    """Refuse what writes, as a read-only database does."""

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "expire_sessions" in sql and not sql.startswith("SELECT"):
            raise OperationalError("attempt to write a readonly database")
        return execute(sql, params, many, context)

    with database.execute_wrapper(refuse):
        yield


class Elsewhere:
    """A database router that keeps the history where there is no database."""

    def db_for_write(self, model: type, **hints: object) -> str | None:
        """Name the database."""
        return "nowhere" if model is LoggedSession else None

    db_for_read = db_for_write


@contextmanager
def no_database() -> Iterator[None]:
    """Keep the history in a database that cannot be reached."""
    with override_settings(DATABASE_ROUTERS=[Elsewhere()]):
        yield


FAILURES = {
    "no table": without_a_table,
    "read-only": read_only,
    "no database": no_database,
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_history_that_cannot_be_written_breaks_no_login(
    case: str, ann: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with FAILURES[case](), transaction.atomic():
        first, second = sign_in(ann), sign_in(ann)
        second.cycle_key()
        get_user_model()._default_manager.count()  # the transaction is not broken
        assert not SessionStore().exists(first.session_key)
        assert SessionStore(second.session_key).load()
        second.flush()
        with suppress(SweepIncomplete):  # it says so where it had something to write
            SessionStore.clear_expired()
    errors = [r for r in caplog.records if r.name == "expire_sessions"]
    assert errors
    assert {record.levelname for record in errors} == {"ERROR"}


def test_a_user_model_that_is_not_the_historys_breaks_no_login(
    ann: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(AUTH_USER_MODEL="accounts.UuidUser"):
        store = sign_in(get_user_model().objects.create_user("new", password="new"))
    assert SessionStore(store.session_key).load()
    assert "history" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_user_that_is_not_there_breaks_no_transaction_of_the_project() -> None:
    """Most databases look whether a row's user is there when all is committed."""
    store = SessionStore()
    store[SESSION_KEY] = "4711"
    with transaction.atomic():
        get_user_model().objects.create_user(username="eve", password="eve")
        store.save()
    assert get_user_model()._default_manager.count() == 1
    assert SessionStore(store.session_key).load()


def test_a_transaction_that_rolls_back_takes_the_row_and_not_the_session(
    ann: Any,
) -> None:
    with transaction.atomic():
        store = sign_in(ann)
        transaction.set_rollback(True)
    assert SessionStore(store.session_key).load()
    assert LoggedSession.objects.count() == 0
    sign_in(ann)
    assert LoggedSession.objects.active().count() == 1


def test_a_settling_that_fails_is_logged(
    ann: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object) -> None:
        raise OperationalError("deadlock")

    monkeypatch.setattr(LoggedSessionQuerySet, "close", fail)
    sign_in(ann)
    sign_in(ann)
    assert "deadlock" in caplog.text
    reasons = LoggedSession.objects.order_by("pk").values_list("end_reason", flat=True)
    assert list(reasons) == ["lost", ""], "it is put right all the same"
