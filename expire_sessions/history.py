"""Keeping the login history in step with what is live in Redis.

A row is written before its session takes its place, and closed after the session
has ended, so a process that dies in between leaves the two apart. Redis is right, but
for what a failover brings back: a session that the history saw end is ended again.

Always write the row first, then read Redis again; the last reader corrects any race.
"""

import logging
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db.models import Q
from django.utils import timezone

from expire_sessions.calls import new_call
from expire_sessions.clock import time_of
from expire_sessions.conf import conf
from expire_sessions.connections import session_connection
from expire_sessions.endings import Ended, Live, tell_ended
from expire_sessions.index import Index, Member
from expire_sessions.keys import session_id
from expire_sessions.limits import limits_for
from expire_sessions.models import BATCH, IN_FLIGHT, LoggedSession
from expire_sessions.reasons import FOUND_GONE, EndReason
from expire_sessions.users import pk_of, user_id_of_pk

__all__ = [
    "confirm",
    "note_ends",
    "prune",
    "prune_as_allowed",
    "settle",
    "sweep",
]

logger: Final = logging.getLogger("expire_sessions")

USERS: Final = 100
"""Users in one step of a sweep."""


def settle(user_id: str, live: frozenset[str]) -> None:
    """Make the rows of a user agree with the sessions that are live.

    One query where they do. ``live`` are the ids of all of them, as of a moment
    after the row of the latest was written.
    """
    rows = LoggedSession.objects.for_user(pk_of(user_id)).filter(
        Q(ended_at=None) | Q(session_id__in=live)
    )
    known = {row.session_id: row for row in rows}
    gone = [row for name, row in known.items() if row.active and name not in live]
    followed = _close(gone, [user_id]) if gone else set()
    _agree([Live(user_id, name, 0) for name in live - followed], known)


def confirm(live: Collection[Live]) -> None:
    """Make the rows of sessions say that they are live. One query for 500 that do."""
    rows = LoggedSession.objects.filter(session_id__in=[one.session_id for one in live])
    known = {row.session_id: row for row in rows}
    if missing := [one.session_id for one in live if one.session_id not in known]:
        known |= _arrived(missing)
    _agree(live, known)


def _arrived(session_ids: list[str]) -> dict[str, LoggedSession]:
    """Let the rows of sessions follow rotations that are on their way to them."""
    origins = _index().origins(session_ids)
    names = {before: name for name, ids in origins.items() for before in ids}
    rows = LoggedSession.objects.filter(session_id__in=names).active()
    found = {names[row.session_id]: row for row in rows}
    for name, row in found.items():
        LoggedSession.objects.follow(row.session_id, name)
    return found


def sweep() -> None:
    """Close the rows of all users that have no live session, some at a time.

    Three queries and two round trips for a hundred users where nothing is amiss.
    """
    for pks in _users():
        user_ids = [user_id_of_pk(pk) for pk in pks]
        live = _live_ids(user_ids)
        for rows in _active(pks):
            if gone := [row for row in rows if row.session_id not in live]:
                _close(gone, {user_id_of_pk(row.user_id) for row in gone})
    LoggedSession.objects.drop_older_than(conf.log_age)


def note_ends(ended: Collection[Ended], reason: EndReason) -> None:
    """Write down the end of sessions whose row was not found.

    A rotation that is on its way to its row finds that, or else the row is found open
    now. Two queries for 500 sessions.
    """
    owned = [(one.user_id, one.session_id) for one in ended if one.user_id is not None]
    pks = _pks_of(user_id for user_id, _ in owned)
    LoggedSession.objects.note_ends(
        ((pks[user_id], name) for user_id, name in owned if user_id in pks), reason
    )
    LoggedSession.objects.close([one.session_id for one in ended], reason)


def prune(user_id: str, log_limit: int | None) -> None:
    """Delete the ended rows of a user beyond ``log_limit``; None: keep them all."""
    if log_limit is not None:
        LoggedSession.objects.prune(pk_of(user_id), log_limit)


def prune_as_allowed(user_id: str) -> None:
    """Ask ``expire_check`` for the log limit of a user, and prune.

    Where a handler fails that is logged, and the rows are kept.
    """
    try:
        limits = limits_for(user_id)
    except Exception:
        # Handlers are the project's code: whatever they raise.
        logger.exception("expire_check failed; the history was not pruned.")
        return
    prune(user_id, limits.log_limit)


def _agree(live: Collection[Live], rows: dict[str, LoggedSession]) -> None:
    """Put right the rows of live sessions: ``rows``, where there is one, by its id."""
    ended = {
        one.session_id: row
        for one in live
        if (row := rows.get(one.session_id)) and not row.active
    }
    found_gone = [n for n, row in ended.items() if row.end_reason in FOUND_GONE]
    if found_gone:
        LoggedSession.objects.reopen(found_gone)
    # A younger end may be under way: its row is closed, its session about to go.
    before = timezone.now() - IN_FLIGHT
    back = {
        name: row
        for name, row in ended.items()
        if row.end_reason not in FOUND_GONE and row.ended_at and row.ended_at < before
    }
    if back:
        _end_again([one for one in live if one.session_id in back], back)
    if unknown := [one for one in live if one.session_id not in rows]:
        _log_unknown(unknown)


def _members_of(live: Collection[Live]) -> list[tuple[str, Member]]:
    """Return what the index knows of these sessions, each with its user's id."""
    names = {one.session_id for one in live}
    user_ids = list({one.user_id for one in live})
    return [
        (user_id, member)
        for user_id, members in zip(user_ids, _index().members(user_ids), strict=True)
        for member in members
        if session_id(member.session_key) in names
    ]


def _end_again(live: Collection[Live], rows: dict[str, LoggedSession]) -> None:
    """End sessions that had ended: a replica that lagged was made the primary."""
    for user_id, member in _members_of(live):
        name = session_id(member.session_key)
        reason = rows[name].end_reason
        logger.warning(
            "Session %s had ended (%s) and was live again, as after a failover: ended.",
            name,
            reason,
        )
        if _index().remove(member.session_key, user_id, new_call()).payload:
            known = reason in set(EndReason)
            tell_ended(
                LoggedSession,
                [Ended(user_id, name)],
                EndReason(reason) if known else EndReason.ENDED,
            )


def _log_unknown(live: Collection[Live]) -> None:
    """Write the rows that live sessions do not have: adopted, or their write failed."""
    if any(not one.seen for one in live):
        live = [
            Live(user_id, session_id(member.session_key), member.seen)
            for user_id, member in _members_of(live)
        ]
    pks = _pks_of(one.user_id for one in live)
    users = get_user_model()._default_manager.filter(pk__in=set(pks.values()))
    known = set(users.values_list("pk", flat=True))
    rows = [
        LoggedSession(
            user_id=pks[one.user_id],
            session_id=one.session_id,
            date_logged=time_of(one.seen),
        )
        for one in live
        if pks.get(one.user_id) in known  # no row for a user that was deleted
    ]
    # A transaction under way may hold one of them.
    LoggedSession.objects.bulk_create(rows, BATCH, ignore_conflicts=True)


def _close(rows: list[LoggedSession], user_ids: Iterable[str]) -> set[str]:
    """Close rows whose session was not found; return the ids that some go on under."""
    user_ids = list(user_ids)
    latest = _follow(rows)
    LoggedSession.objects.close_gone(
        [row for row in rows if row.session_id not in latest]
    )
    # One of them may have taken its place since, and found its row still open.
    live = _live_ids(user_ids)
    LoggedSession.objects.reopen(live.intersection(row.session_id for row in rows))
    if ended := set(latest.values()) - live:
        LoggedSession.objects.close(ended, EndReason.LOST)
    for user_id in user_ids:
        prune_as_allowed(user_id)
    return set(latest.values())


def _follow(rows: list[LoggedSession]) -> dict[str, str]:
    """Let rows follow rotations that are on their way to them, or died there.

    Returns the new id of each by the previous one. One round trip where there are none.
    """
    moved = _index().successors(row.session_id for row in rows)
    latest = {previous_id: ids[-1] for previous_id, ids in moved.items()}
    for previous_id, new_id in latest.items():
        LoggedSession.objects.follow(previous_id, new_id)
    return latest


def _pks_of(user_ids: Iterable[str]) -> dict[str, Any]:
    """Return primary keys by id. An id of a user model of before has none."""
    found = {}
    for user_id in user_ids:
        with suppress(ValueError):
            found[user_id] = pk_of(user_id)
    return found


def _index() -> Index:
    return Index(session_connection())


def _live_ids(user_ids: list[str]) -> frozenset[str]:
    members = _index().members(user_ids)
    return frozenset(session_id(m.session_key) for each in members for m in each)


def _active(pks: list[Any]) -> Iterator[list[LoggedSession]]:
    """Yield the active rows of these users, in steps."""
    rows = LoggedSession.objects.filter(user__in=pks).active().order_by("pk")
    step = list(rows[:BATCH])
    while step:
        yield step
        step = list(rows.filter(pk__gt=step[-1].pk)[:BATCH])


def _users() -> Iterator[list[Any]]:
    """Yield the users whose rows may not agree, in steps."""
    suspects = (
        LoggedSession.objects.active()
        .order_by("user_id")
        .values_list("user_id", flat=True)
        .distinct()
    )
    step = list(suspects[:USERS])
    while step:
        yield step
        step = list(suspects.filter(user_id__gt=step[-1])[:USERS])
