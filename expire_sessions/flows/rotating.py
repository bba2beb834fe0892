"""A session goes on under a new key: a password change, a second factor."""

from functools import partial
from typing import Any

from django.contrib.sessions.backends.base import UpdateError

from expire_sessions.flows.ending import end
from expire_sessions.flows.farewells import go_on_without
from expire_sessions.flows.held import HeldSession
from expire_sessions.flows.payloads import user_id_in
from expire_sessions.protocol import commands
from expire_sessions.protocol.asking import ask
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.signals import session_rotated
from expire_sessions.transport.running import Flow, call

__all__ = ["cycle", "finish_rotation"]

Data = dict[str, Any]


def cycle(
    session: HeldSession, data: Data, age: int, *, is_modified: bool
) -> Flow[None]:
    """Give the session a new key.

    Where it has ended, the request goes on anonymous, and ``data`` is emptied. Where
    another request's rotation was faster, it goes on in the session that this made, and
    with its data, if none was set here. Both happen here, in the flow: whatever becomes
    of the caller, nobody goes on signed in with a session that has ended.
    """
    is_its_users = session.known.user_id == user_id_in(data)
    if session.key is None or session.known.is_new:
        session.draw_key()
    elif is_its_users and age > 0:
        yield from _rotate(session, data, age, is_modified=is_modified)
    else:
        ended = yield from end(session, session.key, session.announced.cause)
        if ended or session.known.user_id is None:
            session.draw_key()
        else:
            yield from _go_on_without(session, data)


def finish_rotation(session: HeldSession, data: Data, age: int) -> Flow[None]:
    """Repeat a rotation without a reply: it may have moved the session."""
    yield from _rotate(session, data, age, is_modified=True)
    if session.key is None:
        raise UpdateError


def _rotate(
    session: HeldSession, data: Data, age: int, *, is_modified: bool
) -> Flow[None]:
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
        yield from _go_on_without(session, data)
    elif found[0] == new:
        yield from _moved(session, new, payload)
    else:
        yield from _join(session, data, *found, is_modified=is_modified)


def _go_on_without(session: HeldSession, data: Data) -> Flow[None]:
    yield from go_on_without(session)
    data.clear()


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


def _join(
    session: HeldSession, data: Data, key: str, payload: bytes, *, is_modified: bool
) -> Flow[None]:
    """Go on in the session that another request's rotation has made of this."""
    found = session.decoded(payload)
    if found is None or user_id_in(found) != session.known.user_id:
        yield from _go_on_without(session, data)
        return
    session.key = key
    session.remember(session.known.user_id, payload)
    if not is_modified:
        data.clear()
        data.update(found)
