"""The table of the login history: whoever forgets ``migrate`` is told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import override_settings

from expire_sessions.checks import check_table
from expire_sessions.models import LoggedSession
from tests.databases import VARIABLE
from tests.found import ids


@pytest.mark.django_db
def test_a_table_that_is_there_is_in_order() -> None:
    assert check_table(databases=["default"]) == []


@pytest.mark.django_db
def test_a_missing_table_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoggedSession._meta, "db_table", "no_such_table")
    (message,) = check_table(databases=["default"])
    assert ids([message]) == {"W041"}
    assert "no table no_such_table" in message.msg
    assert "migrate" in str(message.hint)


@pytest.mark.django_db
def test_a_table_of_an_older_version_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoggedSession._meta, "db_table", "django_session")
    (message,) = check_table(databases=["default"])
    assert ids([message]) == {"W041"}
    assert "lacks" in message.msg
    assert "session_id" in message.msg


@pytest.mark.parametrize("databases", [None, [], ["elsewhere"]])
def test_no_database_is_asked_that_does_not_hold_it(
    databases: list[str] | None,
) -> None:
    """The test may not use the database: asking it would fail."""
    assert check_table(databases=databases) == []


class Elsewhere:
    """A router that keeps the history in another database."""

    def db_for_write(self, model: object, **hints: object) -> str:
        """Return its name."""
        return "elsewhere"


@pytest.mark.django_db
def test_only_the_database_of_the_history_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LoggedSession._meta, "db_table", "no_such_table")
    with override_settings(DATABASE_ROUTERS=[f"{__name__}.Elsewhere"]):
        assert check_table(databases=["default"]) == []


def manage(database: Path, *arguments: str) -> str:
    """Run ``manage.py`` of the test project on a SQLite of its own."""
    entry = f'{{"ENGINE": "django.db.backends.sqlite3", "NAME": "{database}"}}'
    environment = {
        **os.environ,
        VARIABLE: entry,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    done = subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_migrate_is_not_stopped_and_mends_it(tmp_path: Path) -> None:
    database = tmp_path / "db.sqlite3"
    check = ("check", "--database", "default")
    assert "expire_sessions.W041" in manage(database, *check)
    manage(database, "migrate", "--verbosity", "0")
    assert "no issues" in manage(database, *check)


def test_a_database_that_is_away_is_not_our_concern(tmp_path: Path) -> None:
    away = tmp_path / "no such directory" / "db.sqlite3"
    assert "no issues" in manage(away, "check", "--database", "default")
