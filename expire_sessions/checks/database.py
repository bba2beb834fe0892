"""Check that the table of the login history is there: ``check --database``."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage
from django.db import connections, router

from expire_sessions.checks.messages import Section, warning
from expire_sessions.models import LoggedSession

__all__ = ["check_table"]


def check_table(
    *, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """W041: ``migrate`` was forgotten.

    A warning, because ``migrate`` itself runs this check, and an error would stop it.
    """
    return [message for alias in databases or () for message in _check_table(alias)]


def _check_table(alias: str) -> Iterator[CheckMessage]:
    if router.db_for_write(LoggedSession) != alias:
        return
    try:
        problem = _problem_in(alias)
    except Exception:  # noqa: BLE001 - it is away: whatever needs it will say so
        return
    if problem:
        text = f"The login history is not written: {problem} in the database {alias!r}."
        hint = "Run manage.py migrate expire_sessions."
        yield warning("W041", text, Section.INSTALL, hint)


def _problem_in(alias: str) -> str | None:
    connection, options = connections[alias], LoggedSession._meta
    with connection.cursor() as cursor:
        if options.db_table not in connection.introspection.table_names(cursor):
            return f"there is no table {options.db_table}"
        found = connection.introspection.get_table_description(cursor, options.db_table)
    needed = {str(field.column) for field in options.concrete_fields}
    missing = needed - {column.name for column in found}
    if missing:
        return f"the table {options.db_table} lacks {', '.join(sorted(missing))}"
    return None
