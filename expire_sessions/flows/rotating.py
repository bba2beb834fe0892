"""A session goes on under a new key: a password change, a second factor."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.contrib.sessions.backends.base import UpdateError

from expire_sessions.flows.ending import end
from expire_sessions.flows.held import HeldSession
from expire_sessions.flows.payloads import user_id_in
from expire_sessions.protocol import commands
from expire_sessions.protocol.asking import ask
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.signals import session_rotated
from expire_sessions.transport.running import Flow, call

__all__ = ["cycle", "finish_rotation"]

Data = dict[str, Any]


def cycle(session: HeldSession, data: Mapping[str, Any], age: int) -> Flow[Data | None]:
    """Give the session a new key; return its data where that is not ``data`` any more.

    Empty: it has ended, and the request goes on anonymous. Else another request's
    rotation was faster, and this one goes on in the session that it made.
    """
    is_its_users = session.known.user_id == user_id_in(data)
    if session.key is None or session.known.is_new:
        session.draw_key()
    elif is_its_users and age > 0:
        return (yield from _rotate(session, data, age))
    else:
        ended = yield from end(session, session.key, session.announced.reason)
        if not ended and session.known.user_id is not None:
            session.become_anonymous()
            return {}
        session.draw_key()
    return None


def finish_rotation(
    session: HeldSession, data: Mapping[str, Any], age: int
) -> Flow[None]:
    """Repeat a rotation without a reply: it may have moved the session."""
    yield from _rotate(session, data, age)
    if session.key is None:
        raise UpdateError


def _rotate(
    session: HeldSession, data: Mapping[str, Any], age: int
) -> Flow[Data | None]:
    payload = session.encoded(data)  # what cannot be encoded fails without a new key
    new, user_id = session.next_key(), session.known.user_id
    found = yield from ask(
        commands.rotate(
            session.connection.keys,
            str(session.key),
            new,
            user_id=user_id,
            payload=payload,
            age=age,
        )
    )
    if found is None:
        session.become_anonymous()
        return {}
    if found[0] == new:
        yield from _moved(session, new, payload)
        return None
    return _join(session, *found)


def _moved(session: HeldSession, new: str, payload: bytes) -> Flow[None]:
    previous_id, user_id = session.id, session.known.user_id
    session.key = new
    session.remember(user_id, payload)
    if user_id is None:
        return
    session.mark_seen()
    rotated = partial(
        session_rotated.send_robust,
        sender=session.sender,
        user_id=user_id,
        session_id=session_id(new),
        previous_id=previous_id,
    )
    yield from call(rotated)


def _join(session: HeldSession, key: str, payload: bytes) -> Data:
    """Go on in the session that another request's rotation has made of this."""
    data = session.decoded(payload)
    if data is None or user_id_in(data) != session.known.user_id:
        session.become_anonymous()
        return {}
    session.key = key
    session.remember(session.known.user_id, payload)
    return data
