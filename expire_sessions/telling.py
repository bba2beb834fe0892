"""What a session can tell its person: the last access, and why the one before ended.

It imports without the app registry.
"""

from dataclasses import replace
from typing import Any, TypedDict

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from expire_sessions.access import LAST_ACCESS, LastAccess
from expire_sessions.notices import NOTICE, Notice, notice_in
from expire_sessions.protocol.session_keys import session_id

__all__ = ["Refusal", "TellingStore", "arefusal", "notice_of", "refusal"]


class TellingStore(SessionBase):
    """What it tells is in the session's data, since the login or the end before.

    Reading it makes no query, and no round trip but the load.
    """

    @property
    def session_id(self) -> str | None:
        """The public name of the session, which signals and the history have.

        None where there is none yet. A login and a rotation give it another.
        """
        key = self.session_key
        return None if key is None else session_id(key)

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


class Refusal(TypedDict):
    """What a client is told that was refused for being anonymous."""

    code: str
    """``session_`` and the reason: ``session_evicted``, ``session_idle``."""

    detail: str
    """A sentence for the person."""


def refusal(request: HttpRequest) -> Refusal | None:
    """Return why the session of a request has ended, for an answer in JSON.

    None where it has not. The notice is taken, as by a page that shows it.
    """
    notice = notice_of(request)
    if notice is None:
        return None
    return {"code": f"session_{notice.reason}", "detail": str(notice)}


async def arefusal(request: HttpRequest) -> Refusal | None:
    """See ``refusal``."""
    session = getattr(request, "session", None)
    if isinstance(session, TellingStore):
        await session.anotice()  # the session is loaded without blocking
    return refusal(request)


def _hidden(access: LastAccess | None) -> dict[str, Any] | None:
    if access is None or access.seen:
        return None
    return replace(access, seen=True).as_data()
