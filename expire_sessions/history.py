"""Keeping the login history in step with what is live in Redis.

A row is written before its session takes its place, and closed after the session has
ended, so a process that dies in between leaves the two apart. Redis is right, but for
what a failover brings back: a session that the history saw end is ended again.

Always write the row first, then read Redis again; the last reader corrects any race.
"""

import logging
from collections.abc import Collection, Iterator
from typing import Any, Final

from django.db.models import Count, Q

from expire_sessions import mending
from expire_sessions.conf import conf
from expire_sessions.endings import Ended, Live
from expire_sessions.limits import Limits, known_limits, limits_for
from expire_sessions.models import LoggedSession
from expire_sessions.models.rows import BATCH
from expire_sessions.reasons import FOUND_GONE, EndReason
from expire_sessions.signals import expire_check
from expire_sessions.transport.connections import session_connection
from expire_sessions.users import pk_of, user_id_of_pk

__all__ = ["close", "confirm", "settle", "sweep"]

logger: Final = logging.getLogger("expire_sessions")

UNNOTED: Final = (*FOUND_GONE, EndReason.USER_DELETED)
"""Reasons that are not written down where there is no row. The rows of a user that was
deleted are gone for good."""

USERS: Final = 100
"""Users in one step of a sweep."""


def settle(user_id: str, live: frozenset[str], limits: Limits | None) -> None:
    """Make the rows of a user agree with the sessions that are live, after a login.

    One query where they do, and one more to prune where ``expire_check`` has handlers:
    a logout does not ask them how many rows to keep.

    Args:
        live: the ids of all of them, as of a moment after the row of the latest was
            written.
        limits: what holds for the user.
    """
    rows = LoggedSession.objects.for_user(pk_of(user_id)).filter(
        Q(ended_at=None) | Q(session_id__in=live)
    )
    known = {row.session_id: row for row in rows}
    gone = [row for name, row in known.items() if row.active and name not in live]
    followed = mending.close_gone(gone, [user_id]) if gone else set()
    mending.agree([Live(user_id, name, 0) for name in live - followed], known)
    if gone or expire_check.receivers:
        _prune(user_id, limits)


def confirm(live: Collection[Live]) -> None:
    """Make the rows of sessions say that they are live. One query for 500 that do."""
    rows = LoggedSession.objects.filter(session_id__in=[one.session_id for one in live])
    known = {row.session_id: row for row in rows}
    if missing := [one.session_id for one in live if one.session_id not in known]:
        known |= mending.arrived(missing)
    mending.agree(live, known)


def close(ended: Collection[Ended], reason: EndReason, limits: Limits | None) -> None:
    """End the rows of sessions, and prune. One query for 500, and the pruning.

    A row that is not found is on its way, by a rotation: the end is written down for
    it. Two more queries.

    Args:
        limits: what holds for the users, where it is known.
    """
    # A rotation may be between Redis and its row, which still has an id from before.
    ids = [name for one in ended for name in (*one.previous_ids, one.session_id)]
    closed = LoggedSession.objects.close(ids, reason)
    if closed < len(ended) and reason not in UNNOTED:
        _note_ends(ended, reason)
    elif not closed:
        return
    for user_id in _owners(ended):
        _prune(user_id, limits or known_limits(user_id, session_connection().answers))


def sweep() -> None:
    """Close the rows of all users that have no live session, some at a time.

    Three queries and two round trips for a hundred users where nothing is amiss.
    """
    active = LoggedSession.objects.active().values("user_id")
    for pks in _steps(active.distinct()):
        live = mending.live_ids([user_id_of_pk(pk) for pk in pks])
        for rows in _active(pks):
            if gone := [row for row in rows if row.session_id not in live]:
                user_ids = {user_id_of_pk(row.user_id) for row in gone}
                mending.close_gone(gone, user_ids)
                _prune_as_allowed(user_ids)
    if expire_check.receivers and conf.log_limit is not None:
        ended = LoggedSession.objects.ended().values("user_id")
        many = ended.annotate(count=Count("pk")).filter(count__gt=conf.log_limit)
        for pks in _steps(many):
            _prune_as_allowed({user_id_of_pk(pk) for pk in pks})
    LoggedSession.objects.drop_older_than(conf.log_age)


def _note_ends(ended: Collection[Ended], reason: EndReason) -> None:
    owned = [(one.user_id, one.session_id) for one in ended if one.user_id is not None]
    pks = mending.pks_of(user_id for user_id, _ in owned)
    LoggedSession.objects.note_ends(
        ((pks[user_id], name) for user_id, name in owned if user_id in pks), reason
    )
    LoggedSession.objects.close([one.session_id for one in ended], reason)


def _owners(ended: Collection[Ended]) -> set[str]:
    owners = {one.user_id for one in ended if one.user_id is not None}
    nameless = [one.session_id for one in ended if one.user_id is None]
    if nameless:
        rows = LoggedSession.objects.filter(session_id__in=nameless)
        owners |= {user_id_of_pk(pk) for pk in rows.values_list("user_id", flat=True)}
    return owners


def _prune(user_id: str, limits: Limits | None) -> None:
    """Delete the ended rows of a user that are too many, where that number is known."""
    if limits is not None and limits.log_limit is not None:
        LoggedSession.objects.prune(pk_of(user_id), limits.log_limit)


def _prune_as_allowed(user_ids: Collection[str]) -> None:
    """Ask ``expire_check`` how many rows to keep. Where it fails, all are kept."""
    for user_id in user_ids:
        try:
            limits = limits_for(user_id)
        except Exception:
            # Handlers are the project's code: whatever they raise.
            logger.exception("expire_check failed; the history was not pruned.")
        else:
            _prune(user_id, limits)


def _active(pks: list[Any]) -> Iterator[list[LoggedSession]]:
    """Yield the active rows of these users, in steps."""
    rows = LoggedSession.objects.filter(user__in=pks).active().order_by("pk")
    step = list(rows[:BATCH])
    while step:
        yield step
        step = list(rows.filter(pk__gt=step[-1].pk)[:BATCH])


def _steps(users: Any) -> Iterator[list[Any]]:
    """Yield primary keys of users, some at a time, of a query with one row for each."""
    users = users.order_by("user_id")
    step = [row["user_id"] for row in users[:USERS]]
    while step:
        yield step
        step = [row["user_id"] for row in users.filter(user_id__gt=step[-1])[:USERS]]
