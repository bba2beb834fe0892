"""What a session can tell its person: the last access, and why the one before ended.

It imports without the app registry.
"""

from dataclasses import replace
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from expire_sessions.access import LAST_ACCESS, LastAccess
from expire_sessions.notices import NOTICE, Notice, notice_in

__all__ = ["TellingStore", "notice_of"]


class TellingStore(SessionBase):
    """What it tells is in the session's data, since the login or the end before.

    Reading it makes no query, and no round trip but the load.
    """

    @property
    def last_access(self) -> LastAccess | None:
        """When and from where this account was last signed in to before.

        None at the first login, where nobody is signed in, and where the history does
        not know.
        """
        return LastAccess.from_data(self.get(LAST_ACCESS))

    async def alast_access(self) -> LastAccess | None:
        """See ``last_access``."""
        return LastAccess.from_data(await self.aget(LAST_ACCESS))

    def hide_last_access(self) -> None:
        """Note that the person has seen it: ``{% last_access %}`` shows it no more.

        A change like any other: saved with the response.
        """
        if hidden := _hidden(self.last_access):
            self[LAST_ACCESS] = hidden

    async def ahide_last_access(self) -> None:
        """See ``hide_last_access``."""
        if hidden := _hidden(await self.alast_access()):
            await self.aset(LAST_ACCESS, hidden)

    _notice: Notice | None = None

    @property
    def notice(self) -> Notice | None:
        """Why the session of this browser has ended; None where it has not.

        Taken once: a later request finds none.
        """
        if self._notice is None and (found := self.get(NOTICE)) is not None:
            self._notice = notice_in(found)
            del self[NOTICE]
        return self._notice

    async def anotice(self) -> Notice | None:
        """See ``notice``."""
        await self.aget(NOTICE)  # it loads the session without blocking
        return self.notice


def notice_of(request: HttpRequest) -> Notice | None:
    """Return ``request.session.notice``; None where the session is another engine's."""
    session = getattr(request, "session", None)
    return session.notice if isinstance(session, TellingStore) else None


def _hidden(access: LastAccess | None) -> dict[str, Any] | None:
    if access is None or access.seen:
        return None
    return replace(access, seen=True).as_data()
