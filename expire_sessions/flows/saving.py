"""A save: the ordinary one, which is one command, and all others."""

from typing import Any, NamedTuple

from expire_sessions.conf import conf
from expire_sessions.flows.ending import expire, leave
from expire_sessions.flows.entering import create, place
from expire_sessions.flows.farewells import drop_changes
from expire_sessions.flows.held import HeldSession
from expire_sessions.flows.limiting import finish_trim, keep_within
from expire_sessions.flows.payloads import user_id_in
from expire_sessions.flows.rotating import finish_rotation
from expire_sessions.protocol import commands
from expire_sessions.protocol.asking import ask
from expire_sessions.protocol.lives import NO_AGES, Ages
from expire_sessions.protocol.modes import Mode
from expire_sessions.protocol.replies import Kept
from expire_sessions.transport.running import Flow
from expire_sessions.transport.seen import lease_of

__all__ = ["OrdinarySave", "SaveOptions", "save_of"]

Data = dict[str, Any]


class SaveOptions(NamedTuple):
    """How a session is to be saved."""

    age: int
    """Milliseconds that it lives from now on; 0 or less: it ends."""

    must_create: bool
    """There must be no such session yet."""

    is_modified: bool
    """Something was set since it was loaded."""


class OrdinarySave:
    """The save of a session that exists and stays its user's: one command.

    Where nothing was set and the data is as it was loaded
    (``SESSION_SAVE_EVERY_REQUEST``), only its age is renewed: another request's change
    stays.
    """

    __slots__ = ("_payload", "_session", "_user_id", "command")

    def __init__(self, session: HeldSession, data: Data, how: SaveOptions) -> None:
        _ = conf.touch_interval  # a bad setting must fail before Redis is changed
        self._session = session
        self._user_id = session.known.user_id
        self._payload = payload = session.encoded(data)
        is_as_loaded = not how.is_modified and _is_as_loaded(session, payload)
        ages = _ages_of_login(session)
        life = None
        if session.lease is not None and not ages.version:
            life = session.lease.life_of_save(how.age)
        self.command = commands.save(
            session.connection.keys,
            Mode.KEEP if is_as_loaded else Mode.UPDATE,
            str(session.key),
            user_id=self._user_id,
            payload=b"" if is_as_loaded else payload,
            age=life or how.age,
            ages=ages,
            has_ages=life is None,
        )

    def saved(self, kept: Kept) -> Flow[None] | None:
        """Take the reply; return the flow that has to follow, where one has to.

        Raises:
            UpdateError: the session has ended; so may the flow.
        """
        session = self._session
        if not kept.members:
            return drop_changes(session, self._user_id)
        session.remember(self._user_id, self._payload)
        if self._user_id is None:
            return None
        if kept.left is not None:
            session.lease = lease_of(kept.left)
        session.announce_placed()
        session.mark_seen()
        return keep_within(session, kept.members)


def _ages_of_login(session: HeldSession) -> Ages:
    """Return the ages that begin anew where somebody signs in to the own session again.

    It goes on, and has its place and its row.
    """
    limits = session.announced.limits
    if not session.is_signing_in or limits is None:
        return NO_AGES
    return limits.ages._replace(anew=1)


def save_of(
    session: HeldSession, data: Data, how: SaveOptions
) -> OrdinarySave | Flow[None]:
    """Return what a save asks: one command, or else a flow."""
    known = session.known
    is_ordinary = (
        not how.must_create
        and not known.is_new
        and how.age > 0
        and known.user_id == user_id_in(data)
        and not session.is_interrupted
    )
    return (
        OrdinarySave(session, data, how) if is_ordinary else _save(session, data, how)
    )


def _save(session: HeldSession, data: Data, how: SaveOptions) -> Flow[None]:
    """Save a session in whatever state it is.

    A session belongs to one user for life: where the data names another user, or none
    any more, the old session ends and the data goes on under a new key.
    """
    if session.is_interrupted and not session.known.is_new:
        yield from _finish(session, data, how.age)
    user_id = user_id_in(data)
    if session.known.user_id not in (None, user_id):
        yield from leave(session)
    _ = conf.touch_interval  # a bad setting must fail before Redis is changed
    is_new = session.known.is_new
    if how.age <= 0:
        yield from expire(session, must_create=is_new or how.must_create)
    elif is_new and not how.must_create:
        yield from create(session, user_id, session.encoded(data), how.age)
    elif how.must_create or user_id != session.known.user_id:
        mode = Mode.NEW if how.must_create else Mode.UPDATE
        yield from place(session, mode, user_id, session.encoded(data), how.age)
    else:
        save = OrdinarySave(session, data, how)
        yield from save.saved((yield from ask(save.command))) or ()


def _finish(session: HeldSession, data: Data, age: int) -> Flow[None]:
    """Do first what an earlier call has left."""
    if session.unfinished.next_key is not None:
        yield from finish_rotation(session, data, age)
    if session.is_interrupted:
        yield from finish_trim(session)


def _is_as_loaded(session: HeldSession, payload: bytes) -> bool:
    # Some encode equal data differently each time: gzip writes down the time.
    loaded, decode = session.known.payload, session.connection.decode
    return loaded is not None and (
        payload == loaded or decode(payload) == session.decoded(loaded)
    )
