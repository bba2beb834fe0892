"""A load: one command, which also marks the session seen where that is due."""

import logging
from typing import Any, Final

from expire_sessions.conf import conf
from expire_sessions.exceptions import StoreUnavailable
from expire_sessions.flows.held import HeldSession
from expire_sessions.flows.limiting import keep_within
from expire_sessions.flows.payloads import user_id_in
from expire_sessions.loaded import expect_user
from expire_sessions.occasions import Occasion
from expire_sessions.protocol import commands
from expire_sessions.protocol.asking import Command, ask
from expire_sessions.protocol.replies import Loaded, Mode
from expire_sessions.transport.running import Flow

__all__ = ["command", "taken"]

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
    interval = conf.touch_interval
    if connection.seen.is_due(key, interval) and not connection.scripts_pause.lasts():
        return commands.load(connection.keys, key, interval)
    return commands.read(connection.keys, key)


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


def _join_index(session: HeldSession) -> Flow[bool]:
    """Mark a session seen that the index of its user was not seen to know."""
    interval = conf.touch_interval
    # Without an age: to Django, reading a session does not prolong it.
    mode = Mode.JOIN if interval is None else Mode.KEEP
    keys, user_id = session.connection.keys, session.known.user_id
    asked = commands.save(keys, mode, str(session.key), user_id=user_id)
    members = yield from ask(asked)
    session.mark_seen()
    yield from keep_within(session, members) or ()
    return members > 0


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
