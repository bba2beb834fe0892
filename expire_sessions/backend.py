"""The session engine: ``SESSION_ENGINE = "expire_sessions.backend"``.

Here is what Django asks of a session store, sync and async, and nothing else. What an
operation does is in ``flows``, what it asks of Redis in ``protocol``. It imports
without the app registry.
"""

from typing import Any

from expire_sessions.flows import ending, loading, sweeping
from expire_sessions.flows.farewells import go_on_without
from expire_sessions.flows.saving import OrdinarySave
from expire_sessions.installed import refuse_without_app
from expire_sessions.noticing import NoticingStore
from expire_sessions.protocol import reads
from expire_sessions.protocol.session_keys import is_session_key
from expire_sessions.tracebacks import without_keys
from expire_sessions.transport.connections import session_connection
from expire_sessions.transport.running import aask, arun, ask, run

__all__ = ["SessionStore"]

refuse_without_app()


class SessionStore(NoticingStore):
    """A session in Redis, in the index of its user as soon as it has one.

    A session belongs to one user for life: where the data names another user, or none
    any more, the old session ends and the data goes on under a new key.

    What asks Redis raises ``StoreUnavailable`` where it does not answer. An async
    method does what its sync twin does, in as many round trips.
    """

    @without_keys
    def load(self) -> dict[str, Any]:
        """Return the session's data; where it is not live, drop the key.

        One round trip, which also marks the session seen where that is due. One or two
        more where the index does not know it, or holds more than the limit; one more
        where it is not live.
        """
        command = loading.command(self._held)
        if command is None:
            return {}
        data, following = loading.taken(self._held, ask(self._connection, command))
        if data is not None and (following is None or run(self._connection, following)):
            return data
        run(self._connection, go_on_without(self._held))
        return {}

    @without_keys
    async def aload(self) -> dict[str, Any]:
        """See ``load``."""
        command = loading.command(self._held)
        if command is None:
            return {}
        loaded = await aask(self._connection, command)
        data, following = loading.taken(self._held, loaded)
        if data is not None and (
            following is None or await arun(self._connection, following)
        ):
            return data
        await arun(self._connection, go_on_without(self._held))
        return {}

    @without_keys
    def exists(self, session_key: str | None) -> bool:
        """Tell whether there is such a session. One round trip."""
        if not is_session_key(session_key):
            return False
        return ask(self._connection, reads.exists(self._connection.keys, session_key))

    @without_keys
    async def aexists(self, session_key: str | None) -> bool:
        """See ``exists``."""
        if not is_session_key(session_key):
            return False
        return await aask(
            self._connection, reads.exists(self._connection.keys, session_key)
        )

    @without_keys
    def create(self) -> None:
        """Save under a new key. One round trip."""
        self._held.draw_key()
        self.save()

    @without_keys
    async def acreate(self) -> None:
        """See ``create``."""
        self._held.draw_key()
        await self.asave()

    @without_keys
    def save(self, must_create: bool = False) -> None:
        """Save the session; a login takes its place with it, and others may end.

        One round trip. ``expire_check`` is asked at a login, and else only for a user
        with more than one session; one more round trip ends what is over the limit.
        Where nothing was set and the data is as it was loaded
        (``SESSION_SAVE_EVERY_REQUEST``), only its age is renewed: another request's
        change stays.

        Raises:
            CreateError: ``must_create``, and there is such a session already.
            UpdateError: the session has ended. It does not come back.
            InvalidLimits, or what an ``expire_check`` handler raises: on a login.
                Nobody was signed in and nothing was ended.
        """
        if self._held.key is None:
            self._held.draw_key()
        save = self._save_of(self._get_session(no_load=must_create), must_create)
        if isinstance(save, OrdinarySave):
            following = save.saved(ask(self._connection, save.command))
        else:
            following = save
        if following is not None:
            run(self._connection, following)

    @without_keys
    async def asave(self, must_create: bool = False) -> None:
        """See ``save``."""
        if self._held.key is None:
            self._held.draw_key()
        data = await self._aget_session(no_load=must_create)
        save = self._save_of(data, must_create)
        if isinstance(save, OrdinarySave):
            following = save.saved(await aask(self._connection, save.command))
        else:
            following = save
        if following is not None:
            await arun(self._connection, following)

    @without_keys
    def delete(self, session_key: str | None = None) -> None:
        """End the session, or the one with this key, wherever rotations have moved it.

        One round trip, or two where its user is not known.
        """
        run(self._connection, self._deletion(session_key))

    @without_keys
    async def adelete(self, session_key: str | None = None) -> None:
        """See ``delete``."""
        await arun(self._connection, self._deletion(session_key))

    @without_keys
    def flush(self) -> None:
        """End the session and go on as a new, anonymous one.

        One round trip, or two where it was not loaded.
        """
        self.clear()
        run(self._connection, ending.flush(self._held))

    @without_keys
    async def aflush(self) -> None:
        """See ``flush``."""
        self.clear()
        await arun(self._connection, ending.flush(self._held))

    @without_keys
    def cycle_key(self) -> None:
        """Go on under a new key, with the data as it is.

        A session that is in Redis is moved, in one round trip; a signed-in one keeps
        its place, and joins a rotation of another request that was faster. One that has
        ended goes on anonymous and empty. Without a session yet, the key is drawn here
        and written by the save: no round trip.
        """
        run(self._connection, self._rotation(self._get_session()))
        self.modified = True

    @without_keys
    async def acycle_key(self) -> None:
        """See ``cycle_key``."""
        await arun(self._connection, self._rotation(await self._aget_session()))
        self.modified = True

    @classmethod
    def clear_expired(cls) -> None:
        """See ``sweep``: what Django's ``clearsessions`` calls."""
        cls.sweep()

    @classmethod
    @without_keys
    def sweep(cls) -> sweeping.Swept:
        """Drop index members without a session, and have history do its part.

        Safe while the site is up; where it is interrupted, the rest waits for the next
        time.

        Raises:
            SweepIncomplete: the history could not be brought up to date.
        """
        connection = session_connection()
        return run(connection, sweeping.sweep(connection, cls))
