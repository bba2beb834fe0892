"""Putting rows of the history right that do not agree with Redis."""

import logging
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.utils import timezone

from expire_sessions.clock import time_of
from expire_sessions.endings import Ended, Live, tell_ended
from expire_sessions.flows.unfinished import new_call
from expire_sessions.models import LoggedSession
from expire_sessions.models.rows import BATCH, IN_FLIGHT
from expire_sessions.protocol import commands, listing, notes
from expire_sessions.protocol.members import Member
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.reasons import FOUND_GONE, EndReason
from expire_sessions.transport.connections import session_connection
from expire_sessions.transport.running import ask, run
from expire_sessions.users import pk_of

__all__ = ["agree", "arrived", "close_gone", "live_ids", "pks_of"]

logger: Final = logging.getLogger("expire_sessions")


def agree(live: Collection[Live], rows: dict[str, LoggedSession]) -> None:
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


def close_gone(rows: list[LoggedSession], user_ids: Iterable[str]) -> set[str]:
    """Close rows whose session was not found; return the ids that some go on under."""
    user_ids = list(user_ids)
    latest = _follow(rows)
    LoggedSession.objects.close_gone(
        [row for row in rows if row.session_id not in latest]
    )
    # One of them may have taken its place since, and found its row still open.
    live = live_ids(user_ids)
    LoggedSession.objects.reopen(live.intersection(row.session_id for row in rows))
    if ended := set(latest.values()) - live:
        LoggedSession.objects.close(ended, EndReason.LOST)
    return set(latest.values())


def arrived(session_ids: list[str]) -> dict[str, LoggedSession]:
    """Let the rows of sessions follow rotations that are on their way to them."""
    connection = session_connection()
    origins = run(connection, notes.origins(connection.keys, session_ids))
    names = {before: name for name, ids in origins.items() for before in ids}
    rows = LoggedSession.objects.filter(session_id__in=names).active()
    found = {names[row.session_id]: row for row in rows}
    for name, row in found.items():
        LoggedSession.objects.follow(row.session_id, name)
    return found


def live_ids(user_ids: list[str]) -> frozenset[str]:
    """Return the ids of all live sessions of these users."""
    connection = session_connection()
    members = run(connection, listing.members(connection.keys, user_ids))
    return frozenset(session_id(m.session_key) for each in members for m in each)


def pks_of(user_ids: Iterable[str]) -> dict[str, Any]:
    """Return primary keys by id. An id of a user model of before has none."""
    found = {}
    for user_id in user_ids:
        with suppress(ValueError):
            found[user_id] = pk_of(user_id)
    return found


def _members_of(live: Collection[Live]) -> list[tuple[str, Member]]:
    """Return what the index knows of these sessions, each with its user's id."""
    names = {one.session_id for one in live}
    user_ids = list({one.user_id for one in live})
    connection = session_connection()
    found = run(connection, listing.members(connection.keys, user_ids))
    return [
        (user_id, member)
        for user_id, members in zip(user_ids, found, strict=True)
        for member in members
        if session_id(member.session_key) in names
    ]


def _end_again(live: Collection[Live], rows: dict[str, LoggedSession]) -> None:
    """End sessions that had ended: a replica that lagged was made the primary."""
    connection = session_connection()
    for user_id, member in _members_of(live):
        name = session_id(member.session_key)
        reason = rows[name].end_reason
        logger.warning(
            "Session %s had ended (%s) and was live again, as after a failover: ended.",
            name,
            reason,
        )
        removal = commands.remove(
            connection.keys, member.session_key, user_id, new_call()
        )
        if ask(connection, removal).payload:
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
    pks = pks_of(one.user_id for one in live)
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
    # One that has moved meanwhile took its row along: this one would be a second.
    if moved := _successors(rows):
        LoggedSession.objects.active().filter(session_id__in=list(moved)).delete()


def _follow(rows: list[LoggedSession]) -> dict[str, str]:
    """Let rows follow rotations that are on their way to them, or died there.

    Returns the new id of each by the previous one. One round trip where there are none.
    """
    latest = {previous_id: ids[-1] for previous_id, ids in _successors(rows).items()}
    for previous_id, new_id in latest.items():
        LoggedSession.objects.follow(previous_id, new_id)
    return latest


def _successors(rows: list[LoggedSession]) -> dict[str, list[str]]:
    """Return where rotations of this minute have moved the sessions of rows."""
    connection = session_connection()
    ids = [row.session_id for row in rows]
    return run(connection, notes.successors(connection.keys, ids))
