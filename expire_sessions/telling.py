"""What a session can tell its person: the last access before this one.

It imports without the app registry.
"""

from dataclasses import replace
from typing import Any

from django.contrib.sessions.backends.base import SessionBase

from expire_sessions.access import LAST_ACCESS, LastAccess
from expire_sessions.protocol.session_keys import session_id

__all__ = ["TellingStore"]


class TellingStore(SessionBase):
    """What it tells is in the session's data, since the login.

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


def _hidden(access: LastAccess | None) -> dict[str, Any] | None:
    if access is None or access.seen:
        return None
    return replace(access, seen=True).as_data()
