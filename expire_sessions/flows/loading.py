"""A load: one command, which also marks the session seen where that is due."""

import logging
from typing import Any, Final

from expire_sessions.conf import conf
from expire_sessions.exceptions import StoreUnavailable
from expire_sessions.flows.held import HeldSession
from expire_sessions.flows.limiting import ages_of, keep_within
from expire_sessions.flows.payloads import user_id_in
from expire_sessions.loaded import expect_user
from expire_sessions.notices import data_of, has_happened
from expire_sessions.occasions import Occasion
from expire_sessions.protocol import commands, reads
from expire_sessions.protocol.asking import Command, ask
from expire_sessions.protocol.lives import NO_AGES
from expire_sessions.protocol.replies import Loaded, Mode
from expire_sessions.transport.running import Flow

__all__ = ["command", "missed", "taken"]

logger: Final = logging.getLogger("expire_sessions")

REPLICA: Final = "read only replica"
"""What Redis says it is, where it takes no writes for that."""

refused_marks: Final = Occasion(seconds=60)
"""When a session that could not be marked seen is logged: not at every request."""


def command(session: HeldSession) -> Command[Loaded] | None:
    """Return what a load asks; None where there is nothing to load."""
    key, connection = session.key, session.connection
    if key is None or session.known.is_new:
        return None
    interval, keys = conf.touch_interval, connection.keys
    mark = connection.seen.mark_of(key, interval)
    if connection.scripts_pause.lasts():
        return reads.read(keys, key)
    if mark is not None:
        session.left = left = mark.left_now()
        if left is None or not left.idle:
            return reads.read(keys, key)
        if left.idle <= left.until_end:
            return reads.prolong(keys, key, left.idle)
    return reads.load(keys, key, interval, conf.ages_version)


def taken(
    session: HeldSession, loaded: Loaded
) -> tuple[dict[str, Any] | None, Flow[bool] | None]:
    """Take what was loaded.

    Returns:
        The data, None where the session is not live; and the flow that has to follow,
        where one has to. It returns False where the session has ended meanwhile.
    """
    data = session.decoded(loaded.payload)
    if data is None:
        return None, None
    user_id = user_id_in(data)
    session.remember(user_id, loaded.payload)
    if user_id is not None:
        expect_user(user_id)
    if loaded.members is None:
        return data, None  # this process has marked it lately
    session.left = loaded.left
    if user_id is not None and not loaded.members:
        return data, _marked(session, _join_index(session))
    if loaded.refusal is not None and REPLICA in loaded.refusal:
        # Perhaps a primary until now: a save finds the new one, by a new connection.
        return data, _marked(session, _join_index(session))
    session.mark_seen()
    if loaded.refusal is not None:
        _log_refusal(loaded.refusal)
        return data, None
    # Without touches the limit is tested where something is saved.
    is_marked = conf.touch_interval is not None
    following = keep_within(session, loaded.members) if is_marked else None
    return data, None if following is None else _marked(session, following)


def missed(session: HeldSession) -> Flow[dict[str, Any]]:
    """Go on without the session, which is not there; return what its browser may learn.

    One round trip where there was a key: it might have been any.
    """
    key = session.key
    session.become_anonymous()
    if key is None or not conf.notice_age:
        return {}
    try:
        word = yield from ask(reads.take_word(session.connection.keys, key))
    except StoreUnavailable:
        return {}  # it takes no writes; the session is gone in any case
    return data_of(word) if word is not None and has_happened(word) else {}


def _join_index(session: HeldSession) -> Flow[bool]:
    """Mark a session seen that the index of its user was not seen to know.

    Or whose ages are not those of the settings: it takes these on.
    """
    interval = conf.touch_interval
    # Without an age of its own: to Django, reading a session does not prolong it.
    mode = Mode.JOIN if interval is None else Mode.KEEP
    keys, user_id = session.connection.keys, session.known.user_id
    ages = (yield from ages_of(session)) if conf.ages_version else NO_AGES
    asked = commands.save(keys, mode, str(session.key), user_id=user_id, ages=ages)
    kept = yield from ask(asked)
    session.left = kept.left
    session.mark_seen()
    yield from keep_within(session, kept.members) or ()
    return kept.members > 0


def _marked(session: HeldSession, following: Flow[Any]) -> Flow[bool]:
    """Run what follows a load. A server that takes no writes keeps everybody signed in.

    Returns:
        False where the session has ended.
    """
    try:
        return (yield from following) is not False
    except StoreUnavailable as error:
        session.mark_seen()
        _log_refusal(str(error))
        return True


def _log_refusal(words: str) -> None:
    if refused_marks.has_come():
        logger.warning(
            "Sessions are read, but cannot be marked seen. While this lasts the limit"
            " is not enforced on requests that only read: %s",
            words,
        )
