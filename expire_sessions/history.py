"""Keeping the login history in step with what is live in Redis.

A row is written before its session takes its place, and closed after the session
has ended, so a process that dies in between leaves the two apart. Redis is always
right. And as a login may be on its way between the two, the order is always this:
change the row, then look at Redis again. Whoever looks last leaves the row right.
"""

import logging
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.conf import settings
from django.db.models import Q

from expire_sessions.connections import connection_for
from expire_sessions.index import Index
from expire_sessions.keys import session_id
from expire_sessions.limits import limits_for
from expire_sessions.models import BATCH, LoggedSession
from expire_sessions.reasons import EndReason

__all__ = ["prune", "prune_as_allowed", "settle", "sweep"]

logger: Final = logging.getLogger("expire_sessions")

USERS: Final = 100
"""Users in one step of a sweep."""


def settle(user_id: str, live: frozenset[str]) -> None:
    """Make the rows of a user agree with the sessions that are live.

    One query where they do. ``live`` are the ids of all of them, as of a moment
    after the row of the latest was written.
    """
    rows = LoggedSession.objects.for_user(user_id).active()
    active = set(rows.values_list("session_id", flat=True))
    if reopen := live - active:
        LoggedSession.objects.reopen(reopen)
    if gone := active - live:
        _close([row for row in rows if row.session_id in gone], [user_id])


def sweep() -> None:
    """Do the same for all users, some at a time.

    Three queries and two round trips for a hundred users where nothing is amiss.
    """
    for user_ids in _users():
        live = _live_ids(user_ids)
        LoggedSession.objects.reopen(live)
        for rows in _active(user_ids):
            if gone := [row for row in rows if row.session_id not in live]:
                _close(gone, {row.user_id for row in gone})


def prune(user_id: Any, log_limit: int | None) -> None:
    """Delete the ended rows of a user beyond ``log_limit``; None: keep them all."""
    if log_limit is not None:
        LoggedSession.objects.prune(user_id, log_limit)


def prune_as_allowed(user_id: Any) -> None:
    """Ask ``expire_check`` for the log limit of a user, and prune.

    Where a handler fails that is logged, and the rows are kept.
    """
    try:
        limits = limits_for(str(user_id))
    except Exception:
        # Handlers are the project's code: whatever they raise.
        logger.exception("expire_check failed; the history was not pruned.")
        return
    prune(user_id, limits.log_limit)


def _close(rows: list[LoggedSession], user_ids: Iterable[Any]) -> None:
    user_ids = list(user_ids)
    moved = Index(connection_for(settings.SESSION_CACHE_ALIAS)).successors(
        row.session_id for row in rows
    )
    for previous_id, new_id in moved.items():  # a rotation is on its way, or died
        LoggedSession.objects.follow(previous_id, new_id)
    LoggedSession.objects.close_gone(
        [row for row in rows if row.session_id not in moved]
    )
    # One of them may have taken its place since, and found its row still open.
    live = _live_ids(user_ids)
    LoggedSession.objects.reopen(live.intersection(row.session_id for row in rows))
    for new_id in set(moved.values()) - live:
        LoggedSession.objects.close(new_id, EndReason.LOST)
    for user_id in user_ids:
        prune_as_allowed(user_id)


def _live_ids(user_ids: list[Any]) -> frozenset[str]:
    index = Index(connection_for(settings.SESSION_CACHE_ALIAS))
    members = index.members(map(str, user_ids))
    return frozenset(session_id(m.session_key) for each in members for m in each)


def _active(user_ids: list[Any]) -> Iterator[list[LoggedSession]]:
    """Yield the active rows of these users, in steps."""
    rows = LoggedSession.objects.filter(user__in=user_ids).active().order_by("pk")
    step = list(rows[:BATCH])
    while step:
        yield step
        step = list(rows.filter(pk__gt=step[-1].pk)[:BATCH])


def _users() -> Iterator[list[Any]]:
    """Yield the users whose rows may not agree, in steps."""
    suspects = (
        LoggedSession.objects.filter(Q(ended_at=None) | Q(end_reason=EndReason.LOST))
        .order_by("user_id")
        .values_list("user_id", flat=True)
        .distinct()
    )
    step = list(suspects[:USERS])
    while step:
        yield step
        step = list(suspects.filter(user_id__gt=step[-1])[:USERS])
