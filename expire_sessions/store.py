"""What a session store is beside asking Redis: its key, its data, its ages.

It imports without the app registry.
"""

from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.utils.module_loading import import_string

from expire_sessions.access import LAST_ACCESS, Before
from expire_sessions.context import NO_CONTEXT, Context
from expire_sessions.endings import Cause
from expire_sessions.flows import ending, rotating, saving
from expire_sessions.flows.facts import Announced
from expire_sessions.flows.held import HeldSession
from expire_sessions.flows.saving import OrdinarySave, SaveOptions
from expire_sessions.in_use import note_store
from expire_sessions.notices import NOTICE
from expire_sessions.protocol.keys import PAYLOAD
from expire_sessions.protocol.session_keys import is_session_key, new_session_key
from expire_sessions.reasons import EndReason
from expire_sessions.telling import TellingStore
from expire_sessions.transport.connections import session_connection
from expire_sessions.transport.running import Flow

__all__ = ["HeldStore"]

A_CENTURY: Final = 100 * 365 * 86400 * 1000
"""Milliseconds; Redis refuses ages that it cannot add to the time of day."""


LOGIN: Final = (
    "_auth_user_id",
    "_auth_user_backend",
    "_auth_user_hash",
    LAST_ACCESS,
)
"""What a login sets. The first three are names of ``django.contrib.auth``, which needs
the app registry to import."""


class HeldStore(TellingStore):
    """A session store that asks nobody: ``backend.SessionStore`` does."""

    if TYPE_CHECKING:  # SessionBase has these; its stubs leave them out
        _session: dict[str, Any]
        _session_cache: dict[str, Any]

        def _get_session(self, no_load: bool = False) -> dict[str, Any]: ...
        async def _aget_session(self, no_load: bool = False) -> dict[str, Any]: ...

    cache_key_prefix = PAYLOAD
    """What comes before a session key in the cache, as in Django's cache backend."""

    def __init__(self, session_key: str | None = None) -> None:
        """Prepare a store. No round trip.

        Raises:
            InvalidSetup: ``SESSION_CACHE_ALIAS`` names no usable cache.
        """
        # Not SessionBase's: it looks up a serializer for each session, which takes a
        # twelfth of a load and is not used here.
        self._connection = session_connection()
        self._held = HeldSession(self._connection, type(self), session_key)
        self.accessed = False
        self.modified = False
        note_store(self)

    def __copy__(self) -> Self:
        clone = type(self).__new__(type(self))
        vars(clone).update(vars(self), _held=copy(self._held))
        return clone

    @cached_property
    def serializer(self) -> Any:
        """The class of ``SESSION_SERIALIZER``, for who calls ``encode``."""
        return import_string(settings.SESSION_SERIALIZER)

    def _get_session_key(self) -> str | None:
        return self._held.key

    def _set_session_key(self, value: str | None) -> None:
        self._held.key = value if is_session_key(value) else None

    # As SessionBase has them, over another place for the key.
    session_key = property(_get_session_key)  # pyright: ignore[reportIncompatibleMethodOverride]
    _session_key = property(_get_session_key, _set_session_key)  # pyright: ignore[reportIncompatibleMethodOverride]
    _validate_session_key = staticmethod(is_session_key)

    def _get_new_session_key(self) -> str:
        # Without asking whether it is taken: the save that uses it finds out.
        return new_session_key()

    async def _aget_new_session_key(self) -> str:
        return new_session_key()

    @property
    def cache_key(self) -> str:
        """The name of this session in the cache, as in Django's cache backend.

        It holds the session key: keep it out of logs. No round trip.
        """
        if self._held.key is None:
            self._held.draw_key()
        return f"{self.cache_key_prefix}{self._held.key}"

    async def acache_key(self) -> str:
        """See ``cache_key``."""
        return self.cache_key

    @property
    def owner_id(self) -> str | None:
        """The id of the session's user, as far as it was loaded. No round trip."""
        return self._held.known.user_id

    def remember_before(self, before: Before | None) -> None:
        """Take what the history knows of the account, at a login: None is nothing."""
        self._held.announce_before(before)
        access = None if before is None else before.last_access
        if access is None:
            self.pop(LAST_ACCESS, None)
        else:
            self[LAST_ACCESS] = access.as_data()

    def remember_login(self, login: Announced) -> None:
        """Take what is known of a login, for the save that makes it effective."""
        self._held.announce_login(login)
        self.pop(NOTICE, None)  # it may be another person's

    def drop_login(self) -> None:
        """Take back what Django's ``login()`` has set: there was no place for it."""
        data = self._get_session()
        for name in LOGIN:
            data.pop(name, None)
        self._held.drop_login()
        if not data and self._held.known.is_new:
            self._held.become_anonymous()
            self.modified = False

    def remember_logout(self, context: Context = NO_CONTEXT) -> None:
        """Let the next flush count as a logout."""
        self._held.announce_flush(Cause(EndReason.LOGOUT, context))

    def _capped(self, age: int) -> int:
        """Return the seconds of an age, or those that are left of the absolute age."""
        left = self._held.absolute_left()
        return age if left is None else min(age, left)

    def _age(self) -> int:
        """Milliseconds this session is to live from now on."""
        return min(int(self.get_expiry_age() * 1000), A_CENTURY)

    def _save_of(
        self, data: dict[str, Any], must_create: bool
    ) -> OrdinarySave | Flow[None]:
        held = self._held
        if held.key is None:  # loaded just now, and not there
            raise UpdateError
        self.modified |= held.known.is_new
        if held.farewell is not None and "_auth_user_id" not in data:
            # Another cookie takes the place of the one that leads to it.
            data[NOTICE] = list(held.farewell.word)
        how = SaveOptions(self._age(), must_create, self.modified)
        return saving.save_of(held, data, how)

    def _deletion(self, session_key: str | None) -> Flow[bool]:
        key = self._held.key if session_key is None else session_key
        return ending.end(self._held, key, Cause(EndReason.DELETED))

    def _rotation(self, data: dict[str, Any]) -> Flow[None]:
        return rotating.cycle(self._held, data, self._age(), is_modified=self.modified)
