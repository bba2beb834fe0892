"""A user's sessions, for everything that shows or ends them.

Pages, the admin and commands call this, and nothing lower.
"""

import builtins
import datetime
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.contrib.auth import get_user_model
from django.db.models import Model

from expire_sessions.clock import time_of
from expire_sessions.flows.ending import end_all_of
from expire_sessions.flows.unfinished import Unfinished
from expire_sessions.protocol import listing, notes
from expire_sessions.protocol.members import Member
from expire_sessions.protocol.session_keys import session_id as name_of
from expire_sessions.tracebacks import without_keys
from expire_sessions.transport.connections import session_connection
from expire_sessions.transport.running import run
from expire_sessions.users import user_id_of

if TYPE_CHECKING:  # models, for types alone: pydoc imports this without the registry
    from django.contrib.auth.models import AnonymousUser

    from expire_sessions.models import LoggedSession

__all__ = ["SessionInfo", "UserSessions"]

ROUNDS: Final = 3
"""Looks at a user's sessions until there is none left to end."""

PAGE: Final = 100
"""Sessions listed where nothing else is asked for."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A live session, as it may be shown to its user."""

    session_id: str
    last_seen: datetime.datetime
    """By the clock of Redis; as exact as ``EXPIRE_TOUCH_INTERVAL``."""

    is_current: bool
    """It is the one whose key was given to ``UserSessions``."""

    since: datetime.datetime | None
    """When the user signed in; None where the history has no row."""

    ip: str | None
    user_agent: str


class UserSessions:
    """The live sessions of one user.

    Args:
        user: a saved instance of the user model. ``request.user`` has the right type,
            whatever has been seen to before; where nobody is signed in it is an error.
        current_key: the key of the session that asks
            (``request.session.session_key``), where one does.

    Raises:
        TypeError: ``user`` is nobody (``AnonymousUser``) or no user at all.
        ValueError: ``user`` has no primary key yet.

    Every method raises ``StoreUnavailable`` where Redis does not answer. Called again
    on the same object, it finds out what became of the call without an answer.
    """

    def __init__(
        self, user: "Model | AnonymousUser", current_key: str | None = None
    ) -> None:
        users = get_user_model()
        if not isinstance(user, users):
            raise TypeError(
                f"UserSessions() takes a user ({users.__name__}), not"
                f" {user.__class__.__name__}. Is somebody signed in?"
            )
        if user.pk is None:
            raise ValueError("UserSessions() takes a user that has been saved.")
        self._user_id = user_id_of(user)
        self._user = user
        self._current_key = current_key
        self._connection = session_connection()
        self._unfinished = Unfinished()

    @without_keys
    def list(self, most: int = PAGE) -> builtins.list[SessionInfo]:
        """Return the live sessions, last seen first, and no more than ``most``.

        Two round trips and one query. No payload is read.
        """
        from expire_sessions.models import LoggedSession  # noqa: PLC0415 - see above

        newest = listing.newest(self._connection.keys, self._user_id, most)
        members = run(self._connection, newest)
        ids = [name_of(member.session_key) for member in members]
        logged = {
            row.session_id: row
            for row in LoggedSession.objects.for_user(self._user).filter(
                session_id__in=ids
            )
        }
        return [
            self._info(member, name, logged.get(name))
            for member, name in zip(members, ids, strict=True)
        ]

    @without_keys
    def end(self, session_id: str) -> bool:
        """End one session by its id; False where the user has no such live session.

        A session that rotations have moved in the last minute ends under its new id.
        Three round trips, and one more for each 500 sessions of the user.
        """
        for _ in range(ROUNDS):
            keys = self._keys()
            ids = [session_id, *self._moves_of(session_id)]
            if self._end([key for key in keys if name_of(key) in ids]):
                return True
            if len(ids) == 1:
                break  # it is not on its way from one key to another
        return False

    @without_keys
    def end_others(self) -> int:
        """End all sessions but the current one; return how many there were.

        Five round trips, and more for a user with over a hundred sessions.

        Raises:
            ValueError: no ``current_key`` was given.
        """
        if self._current_key is None:
            raise ValueError("UserSessions needs current_key to tell the others.")
        return self._end_while(lambda name, current: name not in current)

    @without_keys
    def end_all(self) -> int:
        """End all sessions; return how many there were.

        Five round trips, and more for a user with over a hundred sessions.
        """
        return self._end_while(lambda *_: True)

    def _keys(self) -> set[str]:
        known = listing.known(self._connection.keys, self._user_id)
        return {*run(self._connection, known), *self._unfinished.pending()}

    def _moves_of(self, session_id: str) -> builtins.list[str]:
        successors = notes.successors(self._connection.keys, [session_id])
        return run(self._connection, successors).get(session_id, [])

    def _end_while(self, wanted: Callable[[str, Collection[str]], bool]) -> int:
        # Once more, for one that signed in in between.
        ended = 0
        for _ in range(ROUNDS):
            keys = self._keys()
            # Read after the keys, so that it covers a rotation that they show.
            current = self._current_ids()
            unwanted = [key for key in keys if wanted(name_of(key), current)]
            if not unwanted:
                break
            ended += self._end(unwanted)
        return ended

    def _current_ids(self) -> builtins.list[str]:
        """Return the id of the current session, and those that rotations gave it."""
        if self._current_key is None:
            return []
        name = name_of(self._current_key)
        return [name, *self._moves_of(name)]

    def _end(self, keys: Collection[str]) -> int:
        ending = end_all_of(
            self._connection, type(self), self._user_id, keys, self._unfinished
        )
        return run(self._connection, ending)

    def _info(
        self, member: Member, name: str, row: "LoggedSession | None"
    ) -> SessionInfo:
        return SessionInfo(
            session_id=name,
            last_seen=time_of(member.seen),
            is_current=member.session_key == self._current_key,
            since=row.date_logged if row else None,
            ip=row.ip if row else None,
            user_agent=row.user_agent if row else "",
        )
