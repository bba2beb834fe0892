"""A session store that one request alone can take over."""

from django.contrib.sessions.backends.base import UpdateError

from expire_sessions.flows import ending
from expire_sessions.store import HeldStore
from expire_sessions.tracebacks import without_keys
from expire_sessions.transport.running import arun, run

__all__ = ["ClaimableStore"]


class ClaimableStore(HeldStore):
    """A session store for what may be used once.

    ``cycle_key`` is not enough: of an anonymous session it gives each of two requests a
    copy, because two people may be signing in.
    """

    @without_keys
    def claim(self) -> bool:
        """End the session in Redis and go on with its data, under a new key.

        Of several requests that have loaded it, one is told True. The others are told
        False: theirs is left as it is, and saves nothing. One round trip.
        """
        self._get_session()
        try:
            run(self._connection, ending.leave(self._held))
        except UpdateError:
            return False
        self.modified = True
        return True

    @without_keys
    async def aclaim(self) -> bool:
        """See ``claim``."""
        await self._aget_session()
        try:
            await arun(self._connection, ending.leave(self._held))
        except UpdateError:
            return False
        self.modified = True
        return True
