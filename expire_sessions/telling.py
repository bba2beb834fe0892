"""What a session tells of itself: why the one before it ended, and how long it has."""

from typing import Any, Final

from django.http import HttpRequest

from expire_sessions.notices import NOTICE, Notice, notice_in
from expire_sessions.protocol import reads
from expire_sessions.store import HeldStore
from expire_sessions.tracebacks import without_keys
from expire_sessions.transport.running import aask, ask

__all__ = ["TellingStore", "notice_of"]

UNREAD: Final = object()


class TellingStore(HeldStore):
    """A session store that answers questions about its session."""

    _notice: Any = UNREAD

    @property
    def notice(self) -> Notice | None:
        """Why the session of this browser has ended; None where it has not.

        Taken once: a later request finds none. Only loading the session asks Redis.
        """
        if self._notice is UNREAD:
            found = self.get(NOTICE)
            if found is not None:
                self.pop(NOTICE, None)
            self._notice = notice_in(found)
        found_notice: Notice | None = self._notice
        return found_notice

    async def anotice(self) -> Notice | None:
        """See ``notice``."""
        if not hasattr(self, "_session_cache"):
            await self._aget_session()
        return self.notice

    @without_keys
    def seconds_left(self) -> int | None:
        """Return the seconds until the session ends where nothing more is asked of it.

        Asking does not extend it: no session is loaded. None where it is not live. One
        round trip.
        """
        if (key := self.session_key) is None:
            return None
        return _seconds(ask(self._connection, reads.left(self._connection.keys, key)))

    @without_keys
    async def aseconds_left(self) -> int | None:
        """See ``seconds_left``."""
        if (key := self.session_key) is None:
            return None
        command = reads.left(self._connection.keys, key)
        return _seconds(await aask(self._connection, command))

    def get_expiry_age(self, **kwargs: Any) -> int:
        """Return the seconds that the session may live, and its cookie.

        As Django does, and no more than is left of the absolute age.
        """
        return self._capped(super().get_expiry_age(**kwargs))

    async def aget_expiry_age(self, **kwargs: Any) -> int:
        """See ``get_expiry_age``."""
        return self._capped(await super().aget_expiry_age(**kwargs))


def notice_of(request: HttpRequest) -> Notice | None:
    """Return ``request.session.notice``; None where the session is another engine's."""
    session = getattr(request, "session", None)
    return session.notice if isinstance(session, TellingStore) else None


def _seconds(milliseconds: int) -> int | None:
    # Redis says -2 of what is not there; -1 of what never ends, which others wrote.
    return None if milliseconds < 0 else milliseconds // 1000
