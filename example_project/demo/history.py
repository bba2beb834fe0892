"""The login history, as the database has it."""

import datetime
from collections.abc import Iterable

from example_project.demo.accounts import Account
from example_project.demo.report import say, say_table
from expire_sessions.clients import device
from expire_sessions.models import LoggedSession, LoggedSessionQuerySet

HEAD = ("user", "signed in", "ip", "browser", "ended", "reason")


def rows_of(account: Account) -> LoggedSessionQuerySet:
    """Return an account's rows, in the order of the logins."""
    return LoggedSession.objects.filter(user__username=account.name).order_by("pk")


def browsers_of(rows: Iterable[LoggedSession]) -> list[str]:
    """Return the browsers of these rows."""
    return [device(row.user_agent) for row in rows]


def outcomes() -> list[tuple[str, str, str]]:
    """Return user, browser and reason of every login; no reason: it is active."""
    return [
        (row.user.username, device(row.user_agent), row.end_reason) for row in _all()
    ]


def say_history() -> None:
    """Print all of it, without the date: with it the lines are too long."""
    say("   All times are UTC.")
    say_table(HEAD, [_cells(row) for row in _all()])


def _all() -> LoggedSessionQuerySet:
    return LoggedSession.objects.select_related("user").order_by("pk")


def _cells(row: LoggedSession) -> tuple[str, ...]:
    return (
        row.user.username,
        _clock(row.date_logged),
        row.ip or "unknown",
        device(row.user_agent),
        _clock(row.ended_at) if row.ended_at else "active",
        row.end_reason,
    )


def _clock(when: datetime.datetime) -> str:
    return f"{when:%H:%M:%S}"
