"""What a store holds: its session, and where in a login or a logout that is."""

import logging
from dataclasses import replace
from typing import Any, Final

from expire_sessions.access import Before
from expire_sessions.conf import conf
from expire_sessions.context import Context
from expire_sessions.endings import FLUSHED, Cause
from expire_sessions.flows.facts import (
    NOTHING,
    NOTHING_ANNOUNCED,
    Announced,
    Farewell,
    Known,
)
from expire_sessions.flows.payloads import data_in
from expire_sessions.flows.unfinished import SAVE, TRIM, Unfinished
from expire_sessions.lazy import LazyUser
from expire_sessions.limits import Limits
from expire_sessions.protocol.session_keys import (
    is_session_key,
    new_session_key,
    session_id,
)
from expire_sessions.transport.connections import Connection
from expire_sessions.transport.seen import Lease

__all__ = ["HeldSession"]

# Django's own logger for this, and its words: projects filter on them.
security_logger: Final = logging.getLogger("django.security.SuspiciousSession")


class HeldSession:
    """The session of a store, as the flows see it. Its ``repr`` shows no key."""

    __slots__ = (
        "_unfinished",
        "_user",
        "announced",
        "connection",
        "farewell",
        "key",
        "known",
        "lease",
        "sender",
    )

    def __init__(self, connection: Connection, sender: type, key: str | None) -> None:
        self.connection = connection
        self.sender = sender
        self.key = key if is_session_key(key) else None
        self.known = NOTHING
        self.lease: Lease | None = None
        """What is known of its ages; None: it has none, or nobody has asked."""

        self.farewell: Farewell | None = None
        """The session before it, until its browser has been told of the end."""

        self.announced = NOTHING_ANNOUNCED
        self._unfinished: Unfinished | None = None
        self._user: tuple[str, object] | None = None

    def announce_login(self, login: "Announced") -> None:
        """Take what is known of a login, for the save that makes it effective."""
        before, cause = self.announced.before, self.announced.cause
        self.announced = replace(login, before=before, cause=cause)

    def drop_login(self) -> None:
        """Forget a login that has come to nothing."""
        self.announced = replace(NOTHING_ANNOUNCED, cause=self.announced.cause)

    def announce_placed(self) -> None:
        """Note that the login which was announced has its place."""
        if self.is_signing_in:
            self.announced = replace(self.announced, is_placed=True)

    def announce_before(self, before: Before | None) -> None:
        """Take what was before a login, to be compared with it."""
        self.announced = replace(self.announced, before=before)

    def announce_flush(self, cause: Cause) -> None:
        """Take why the next flush ends the session."""
        self.announced = replace(self.announced, cause=cause)

    @property
    def id(self) -> str:
        """The id of the session; there has to be one."""
        return session_id(str(self.key))

    @property
    def unfinished(self) -> Unfinished:
        """The calls without a reply."""
        if self._unfinished is None:
            self._unfinished = Unfinished()
        return self._unfinished

    @property
    def is_signing_in(self) -> bool:
        """Whether a login was announced that has not got its place yet.

        Also in a session that is its user's already: its age begins anew.
        """
        return self.announced.user_id is not None and not self.announced.is_placed

    @property
    def is_interrupted(self) -> bool:
        """Whether a rotation, or the end of others, has to be finished first."""
        left = self._unfinished
        return left is not None and (left.next_key is not None or left.has(TRIM))

    def absolute_left(self) -> int | None:
        """Return the seconds that are left of the absolute age; None: it has none."""
        if not self.is_signing_in:
            return None if self.lease is None else self.lease.absolute_left()
        limits = self.announced.limits
        if limits is None or limits.absolute_age is None:
            return None
        return int(limits.absolute_age)

    def remember(self, user_id: str | None, payload: bytes | None) -> None:
        """Note whose session is in Redis, and what was read or written there."""
        self.known = Known(user_id, payload)
        self._forget_move()

    def mark_seen(self) -> None:
        """Note that this process has marked the session seen."""
        self.connection.seen.add(str(self.key), conf.touch_interval, self.lease)

    def forget(self) -> None:
        """Know nothing of a session in Redis."""
        self.known = NOTHING
        self.lease = None
        self.announce_flush(FLUSHED)
        self._forget_move()

    def draw_key(self) -> None:
        """Go on under a new key, which the next save writes."""
        self.forget()
        self.unfinished.done(SAVE)
        self.key = new_session_key()
        self.known = Known(is_new=True)

    def next_key(self) -> str:
        """Return the key that a rotation moves to: the same until it is done."""
        if self.unfinished.next_key is None:
            self.unfinished.next_key = new_session_key()
        return self.unfinished.next_key

    def become_anonymous(self) -> None:
        """Go on without a session: it has ended."""
        self.forget()
        self.key = None

    def decoded(self, payload: bytes | None) -> dict[str, Any] | None:
        """Return the data in a payload; None where there is none to be read."""
        if payload is None:
            return None
        data = data_in(self.connection, payload)
        if data is None:
            security_logger.warning("Session data corrupted")
        return data

    def encoded(self, data: dict[str, Any]) -> bytes:
        """Return the payload of data."""
        return self.connection.encode(data)

    def login_of(self, user_id: str) -> Announced:
        """Return what was announced of a login of this user."""
        is_theirs = self.announced.user_id == user_id
        return self.announced if is_theirs else NOTHING_ANNOUNCED

    def user(self, user_id: str) -> object:
        """Return the user for ``expire_check``: one for a request, so one query."""
        if (user := self.login_of(user_id).user) is not None:
            return user
        if self._user is None or self._user[0] != user_id:
            self._user = user_id, LazyUser(user_id)
        return self._user[1]

    def context_of(self, user_id: str, limits: Limits | None) -> Context:
        """Return the context of what a login, or a save, of this user causes."""
        return replace(self.login_of(user_id).context, limits=limits)

    def _forget_move(self) -> None:
        if self._unfinished is not None:
            self._unfinished.next_key = self._unfinished.entered = None
