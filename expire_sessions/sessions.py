"""A user's sessions, for everything that shows or ends them.

Pages, the admin and commands call this, and nothing lower.
"""

import builtins
import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db.models import Model

from expire_sessions.connections import connection_for
from expire_sessions.index import Index, Member
from expire_sessions.keys import session_id as name_of
from expire_sessions.models import LoggedSession
from expire_sessions.reasons import EndReason
from expire_sessions.signals import session_ended

__all__ = ["SessionInfo", "UserSessions"]

ROUNDS: Final = 3
"""Looks at a user's sessions until there is none left to end."""

EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


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
        user: a saved instance of the user model.
        current_key: the key of the session that asks
            (``request.session.session_key``), where one does.

    Every method raises ``StoreUnavailable`` where Redis does not answer.
    """

    def __init__(self, user: Model, current_key: str | None = None) -> None:
        self._user_id: str = user._meta.pk.value_to_string(user)
        self._user = user
        self._current_key = current_key
        self._index = Index(connection_for(settings.SESSION_CACHE_ALIAS))

    def list(self) -> builtins.list[SessionInfo]:
        """Return the live sessions, last seen first.

        Two round trips and one query. No payload is read.
        """
        members = self._members()
        ids = [name_of(member.session_key) for member in members]
        logged = {
            row.session_id: row
            for row in LoggedSession.objects.for_user(self._user).filter(
                session_id__in=ids
            )
        }
        infos = [
            self._info(member, logged.get(name))
            for member, name in zip(members, ids, strict=True)
        ]
        return infos[::-1]

    def end(self, session_id: str) -> bool:
        """End one session by its id; False where the user has no such live session.

        Three round trips.
        """
        found = (m for m in self._members() if name_of(m.session_key) == session_id)
        return self._end(found) == 1

    def end_others(self) -> int:
        """End all sessions but the current one; return how many there were.

        Four round trips, and one for each session.

        Raises:
            ValueError: no ``current_key`` was given.
        """
        if self._current_key is None:
            raise ValueError("UserSessions needs current_key to tell the others.")
        return self._end_while(lambda member: not self._is_current(member))

    def end_all(self) -> int:
        """End all sessions; return how many there were.

        Four round trips, and one for each session.
        """
        return self._end_while(lambda _: True)

    def _members(self) -> builtins.list[Member]:
        return self._index.members([self._user_id])[0]

    def _is_current(self, member: Member) -> bool:
        return member.session_key == self._current_key

    def _info(self, member: Member, row: LoggedSession | None) -> SessionInfo:
        return SessionInfo(
            session_id=name_of(member.session_key),
            last_seen=EPOCH + datetime.timedelta(microseconds=member.seen),
            is_current=self._is_current(member),
            since=row.date_logged if row else None,
            ip=row.ip if row else None,
            user_agent=row.user_agent if row else "",
        )

    def _end_while(self, wanted: Callable[[Member], bool]) -> int:
        # Once more, for one that got a new key, or signed in, in between.
        ended = 0
        for _ in range(ROUNDS):
            members = [member for member in self._members() if wanted(member)]
            if not members:
                break
            ended += self._end(members)
        return ended

    def _end(self, members: Iterable[Member]) -> int:
        ended = 0
        for member in members:
            if self._index.remove(member.session_key, self._user_id).payload:
                ended += 1
                session_ended.send_robust(
                    sender=type(self),
                    user_id=self._user_id,
                    session_id=name_of(member.session_key),
                    reason=EndReason.ENDED,
                    context={},
                )
        return ended
