"""Which database the tests use."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

VARIABLE = "EXPIRE_SESSIONS_DATABASE"
"""Holds an entry of DATABASES as JSON; without it: SQLite."""


def from_environment() -> dict[str, Any]:
    """Return the entry of DATABASES to use."""
    entry: dict[str, Any] = json.loads(os.environ.get(VARIABLE, "null")) or sqlite()
    if entry["ENGINE"] == "django.db.backends.mysql":
        # In place of mysqlclient, which has to be compiled.
        import pymysql  # noqa: PLC0415 - only here is it needed

        pymysql.install_as_MySQLdb()
    return entry


def sqlite() -> dict[str, Any]:
    """Return SQLite in a file, for the race tests have processes of their own."""
    name = str(Path(tempfile.gettempdir(), f"expire-sessions-{os.getpid()}.sqlite3"))
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": name,
        "OPTIONS": {
            "timeout": 60,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
        },
        "TEST": {"NAME": name},
    }
