"""A session store that tells its browser why the session before it has ended."""

from typing import Any, TypedDict

from django.http import HttpRequest

from expire_sessions.flows.farewells import forget_farewell
from expire_sessions.lifetimes import AgedStore
from expire_sessions.notices import NOTICE, Notice, notice_in
from expire_sessions.tracebacks import without_keys
from expire_sessions.transport.running import arun, run

__all__ = ["NoticingStore", "Refusal", "arefusal", "notice_of", "refusal"]


class NoticingStore(AgedStore):
    """A session store that knows why its browser's session has ended.

    The reason stays in Redis, under the session key that the browser still has, until
    it is taken. Where the browser gets another session meanwhile, that carries it.
    """

    _notice: Notice | None = None

    @property
    @without_keys
    def notice(self) -> Notice | None:
        """Why the session of this browser has ended; None where it has not.

        Taken once: a later request finds none. One round trip more, where there is one.
        """
        self._take_notice(self._get_session())
        run(self._connection, forget_farewell(self._held))
        return self._notice

    @without_keys
    async def anotice(self) -> Notice | None:
        """See ``notice``."""
        self._take_notice(await self._aget_session())
        await arun(self._connection, forget_farewell(self._held))
        return self._notice

    def is_empty(self) -> bool:
        """Tell whether the browser needs its cookie no more. No round trip."""
        return super().is_empty() and self._held.farewell is None

    def _take_notice(self, data: dict[str, Any]) -> None:
        if self._held.farewell is not None:
            self._notice = notice_in(self._held.farewell.word)
        elif NOTICE in data:
            self._notice = notice_in(data.pop(NOTICE))
            self.modified = True


def notice_of(request: HttpRequest) -> Notice | None:
    """Return ``request.session.notice``; None where the session is another engine's."""
    session = getattr(request, "session", None)
    return session.notice if isinstance(session, NoticingStore) else None


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
    if isinstance(session, NoticingStore):
        await session.anotice()  # the session is loaded without blocking
    return refusal(request)
