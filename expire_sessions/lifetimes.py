"""A session store that knows how long its session may live."""

import datetime
from typing import Any

from expire_sessions.claims import ClaimableStore
from expire_sessions.protocol import reads
from expire_sessions.tracebacks import without_keys
from expire_sessions.transport.running import aask, ask

__all__ = ["AgedStore"]


class AgedStore(ClaimableStore):
    """A session store with an absolute age, beside those that Django knows."""

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

    def get_expiry_date(self, **kwargs: Any) -> datetime.datetime:
        """Return when the session ends. See ``get_expiry_age``."""
        return self._not_after_end(super().get_expiry_date(**kwargs))

    async def aget_expiry_date(self, **kwargs: Any) -> datetime.datetime:
        """See ``get_expiry_date``."""
        return self._not_after_end(await super().aget_expiry_date(**kwargs))

    def _not_after_end(self, date: datetime.datetime) -> datetime.datetime:
        left = self._held.absolute_left()
        if left is None:
            return date
        end = datetime.datetime.now(date.tzinfo) + datetime.timedelta(seconds=left)
        return min(date, end)


def _seconds(milliseconds: int) -> int | None:
    # Redis says -2 of what is not there; -1 of what never ends, which others wrote.
    return None if milliseconds < 0 else milliseconds // 1000
