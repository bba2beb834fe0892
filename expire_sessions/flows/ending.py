"""A session stops being usable: logout, flush, delete, an age of nothing."""

from collections.abc import Collection
from functools import partial
from typing import Final

from django.contrib.sessions.backends.base import UpdateError

from expire_sessions.endings import Cause, Ended, tell_ended
from expire_sessions.flows.farewells import drop_changes
from expire_sessions.flows.held import HeldSession
from expire_sessions.flows.limiting import notice_for
from expire_sessions.flows.payloads import user_id_in
from expire_sessions.flows.unfinished import END, SAVE, Unfinished
from expire_sessions.protocol import commands, reads
from expire_sessions.protocol.asking import ask
from expire_sessions.protocol.lives import NO_NOTICE
from expire_sessions.protocol.session_keys import is_session_key, session_id
from expire_sessions.reasons import EndReason
from expire_sessions.transport.connections import Connection
from expire_sessions.transport.running import Flow, call

__all__ = ["end", "end_all_of", "expire", "flush", "leave"]

BATCH: Final = 100
"""Sessions ended in one round trip: a millisecond of the server's time."""


def end(session: HeldSession, key: str | None, cause: Cause) -> Flow[bool]:
    """End a session, wherever rotations have moved it; True if it was live.

    Args:
        key: the session's own, or any other.
    """
    is_own = key == session.key
    if not is_session_key(key):
        return False
    unfinished, known = session.unfinished, session.known
    if is_own and known.is_new and not unfinished.has(SAVE):
        return False  # it is not in Redis yet
    is_known = is_own and known.payload is not None
    if is_known:
        user_id, is_anonymous = known.user_id, known.user_id is None
    else:
        user_id, is_anonymous = yield from _owner_of(session, key)
    what, keys = END + key, session.connection.keys
    # Who ends the own session knows why.
    notice = NO_NOTICE if is_own else notice_for(cause.reason)
    removed = yield from ask(
        commands.remove(keys, key, user_id, unfinished.name(what), notice)
    )
    unfinished.done(what)
    if not removed.payload:
        cause = Cause(EndReason.EXPIRED)
    # A loaded session that is in no index any more was ended, and told, elsewhere.
    # Where the payload did not tell whose it is, the history may know.
    if not is_anonymous and (removed.member or removed.payload or not is_known):
        owner, ids = removed.user_id or user_id, (session_id(key), *removed.ids)
        ended = [Ended.after_moves(owner, ids)]
        yield from call(partial(tell_ended, session.sender, ended, *cause))
    return removed.payload


def flush(session: HeldSession) -> Flow[None]:
    """End the session, and go on without one."""
    yield from end(session, session.key, session.announced.cause)
    session.become_anonymous()


def leave(session: HeldSession) -> Flow[None]:
    """End the session in Redis; what is in memory goes on under a new key."""
    if not (yield from end(session, session.key, session.announced.cause)):
        raise UpdateError  # it was ended elsewhere, and does not come back
    session.draw_key()


def expire(session: HeldSession, *, must_create: bool) -> Flow[None]:
    """Save with an age of zero or less: the session ends, or never begins."""
    if not must_create and not (
        yield from end(session, session.key, Cause(EndReason.EXPIRED))
    ):
        yield from drop_changes(session, session.known.user_id)
    session.forget()


def end_all_of(  # noqa: PLR0913 - whose, which, who asks and why
    connection: Connection,
    user_id: str,
    keys: Collection[str],
    unfinished: Unfinished,
    *,
    sender: type,
    cause: Cause,
) -> Flow[int]:
    """End sessions of a user from outside; return how many were live.

    A round trip for each hundred.
    """
    ended, waiting = 0, list(keys)
    while waiting:
        batch, waiting = waiting[:BATCH], waiting[BATCH:]
        calls = [(key, unfinished.name(key)) for key in batch]
        notice = notice_for(cause.reason)
        removals = yield from ask(
            commands.remove_many(connection.keys, user_id, calls, notice)
        )
        found = [
            Ended.after_moves(user_id, (session_id(key), *removed.ids))
            for key, removed in zip(batch, removals, strict=True)
            if removed.payload
        ]
        for key in batch:
            unfinished.done(key)
        yield from call(partial(tell_ended, sender, found, *cause))
        ended += len(found)
    return ended


def _owner_of(session: HeldSession, key: str) -> Flow[tuple[str | None, bool]]:
    """Return the user of a session, and whether it is known to have none."""
    found = yield from ask(reads.read(session.connection.keys, key))
    data = session.decoded(found.payload)
    user_id = user_id_in(data or {})
    return user_id, data is not None and user_id is None
