"""A user's sessions, for everything that shows or ends them.

Pages, the admin and commands call this, and nothing lower.
"""

import builtins
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Final, Self

from django.contrib.auth import get_user_model
from django.db.models import Model

from expire_sessions.accounts import disallowed
from expire_sessions.acting import acting_user_id
from expire_sessions.clock import time_of
from expire_sessions.context import Context
from expire_sessions.endings import Cause
from expire_sessions.protocol.members import Member
from expire_sessions.protocol.session_keys import session_id as name_of
from expire_sessions.reasons import EndReason
from expire_sessions.session_info import SessionInfo
from expire_sessions.tracebacks import without_keys
from expire_sessions.user_index import UserIndex
from expire_sessions.users import pk_of, user_id_of, user_id_of_pk

if TYPE_CHECKING:  # models, for types alone: pydoc imports this without the registry
    from django.contrib.auth.models import AnonymousUser

    from expire_sessions.models import LoggedSession

__all__ = ["SessionInfo", "UserSessions"]

PAGE: Final = 100
"""Sessions listed where nothing else is asked for."""


class UserSessions:
    """The live sessions of one user.

    Args:
        user: a saved instance of the user model. ``request.user`` has the right type,
            whatever has been seen to before; where nobody is signed in it is an error.
        current_key: the key of the session that asks
            (``request.session.session_key``), where one does.
        by: the user who ends sessions, for the signals. Not given, it is who is signed
            in with the session of the request that is being handled, if there is one.

    Raises:
        TypeError: ``user`` is nobody (``AnonymousUser``) or no user at all.
        ValueError: ``user`` has no primary key yet.

    Every method raises ``StoreUnavailable`` where Redis does not answer. Called again
    on the same object, it finds out what became of the call without an answer.
    """

    def __init__(
        self,
        user: "Model | AnonymousUser",
        current_key: str | None = None,
        *,
        by: "Model | AnonymousUser | None" = None,
    ) -> None:
        users = get_user_model()
        if not isinstance(user, users):
            raise TypeError(
                f"UserSessions() takes a user ({users.__name__}), not"
                f" {user.__class__.__name__}. Is somebody signed in?"
            )
        if user.pk is None:
            raise ValueError("UserSessions() takes a user that has been saved.")
        current_keys = () if current_key is None else (current_key,)
        self._look_after(user_id_of(user), current_keys, _id_or_none(by))

    @classmethod
    def of_pk(
        cls, pk: Any, current_keys: Collection[str] = (), *, by: str | None = None
    ) -> Self:
        """Return those of a user of whom only the primary key is known, or is left.

        Args:
            pk: the primary key. That there is such a user is not looked for.
            current_keys: the keys of the sessions that ask.
            by: the id of the user who ends sessions, as ``str(user.pk)``; as above.
        """
        sessions = cls.__new__(cls)
        user_id = user_id_of_pk(pk)
        sessions._look_after(user_id, current_keys, by)  # noqa: SLF001 - its own
        return sessions

    @classmethod
    @without_keys
    def end_disallowed(cls, pks: Iterable[Any]) -> int:
        """End all sessions of those of these users that are inactive, or not there.

        For where Django sends no signal: after ``update(is_active=False)``, or a
        deletion in SQL. ``clearsessions`` does it for all users. One query for 500
        users; and as ``end_all`` for each that is found.

        Args:
            pks: primary keys of users.

        Returns:
            How many sessions there were.
        """
        field = get_user_model()._meta.pk
        found = disallowed([field.to_python(pk) for pk in pks])
        return sum(cls.of_pk(pk).end_all(reason) for pk, reason in found.items())

    def _look_after(
        self, user_id: str, current_keys: Collection[str], by: str | None
    ) -> None:
        self._current_keys = tuple(current_keys)
        self._by = by
        self._index = UserIndex(user_id, type(self))

    @without_keys
    def list(self, most: int = PAGE) -> builtins.list[SessionInfo]:
        """Return the live sessions, last seen first, and no more than ``most``.

        Two round trips and one query. No payload is read.
        """
        from expire_sessions.models import LoggedSession  # noqa: PLC0415 - see above

        members = self._index.newest(most)
        ids = [name_of(member.session_key) for member in members]
        rows = LoggedSession.objects.for_user(pk_of(self._index.user_id))
        logged = {row.session_id: row for row in rows.filter(session_id__in=ids)}
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
        return self._index.end_one(session_id, self._cause(EndReason.ENDED))

    @without_keys
    def end_others(self, reason: EndReason = EndReason.ENDED) -> int:
        """End all sessions but the current one; return how many there were.

        Five round trips, and more for a user with over a hundred sessions.

        Args:
            reason: what the history and the signals are to say.

        Raises:
            ValueError: no ``current_key`` was given.
        """
        if not self._current_keys:
            raise ValueError("UserSessions needs current_key to tell the others.")
        return self._index.end_all_but(self._current_keys, self._cause(reason))

    @without_keys
    def end_all(self, reason: EndReason = EndReason.ENDED) -> int:
        """End all sessions; return how many there were.

        Three round trips, and more for a user with over a hundred sessions; one where
        there are none.

        Args:
            reason: as for ``end_others``.
        """
        return self._index.end_all_but((), self._cause(reason))

    def _cause(self, reason: EndReason) -> Cause:
        return Cause(reason, Context(by=self._by or acting_user_id()))

    def _info(
        self, member: Member, name: str, row: "LoggedSession | None"
    ) -> SessionInfo:
        return SessionInfo(
            session_id=name,
            last_seen=time_of(member.seen),
            is_current=member.session_key in self._current_keys,
            since=row.date_logged if row else None,
            ip=row.ip if row else None,
            user_agent=row.user_agent if row else "",
        )


def _id_or_none(user: Any) -> str | None:
    return None if user is None or user.pk is None else user_id_of(user)
