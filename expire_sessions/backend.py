"""The session engine: ``SESSION_ENGINE = "expire_sessions.backend"``.

It keeps Django's contract of a session store over ``index``, and says what happens
through ``signals``. It imports without the app registry.
"""

import logging
import secrets
from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.utils.module_loading import import_string

from expire_sessions.conf import conf
from expire_sessions.connections import connection_for
from expire_sessions.exceptions import StoreUnavailable
from expire_sessions.index import Index, Mode, Saved
from expire_sessions.keys import is_session_key, new_session_key, session_id
from expire_sessions.limits import Limits, limits_for
from expire_sessions.reasons import EndReason
from expire_sessions.signals import (
    session_ended,
    session_entering,
    session_rotated,
    session_started,
    sessions_swept,
)

__all__ = ["SessionStore"]

logger: Final = logging.getLogger("expire_sessions")
# Django's own logger for this, and its words: projects filter on them.
security_logger: Final = logging.getLogger("django.security.SuspiciousSession")

USER_ID: Final = "_auth_user_id"
"""``django.contrib.auth.SESSION_KEY``, which needs the app registry to import."""

ATTEMPTS: Final = 5
"""Session keys drawn before giving up. Two draws are never the same in practice."""

MOVES: Final = 5
"""Rotations of one session, within a minute, that another one follows."""


A_CENTURY: Final = 100 * 365 * 86400 * 1000
"""Milliseconds; Redis refuses ages that it cannot add to the time of day."""


class _Login(NamedTuple):
    """What ``user_logged_in`` told of a login whose save is still to come."""

    user_id: str
    user: object
    context: Mapping[str, str | None]


NOBODY: Final = _Login("", None, MappingProxyType({}))
"""No login: most saves are of a session that has been signed in for long."""


class SessionStore(SessionBase):
    """A session in Redis, in the index of its user as soon as it has one.

    A session belongs to one user for life: where the data names another user, or
    none any more, the old session ends and the data goes on under a new key.

    Every operation that asks Redis raises ``StoreUnavailable`` where it does not
    answer. The async twins of the methods run the same code in a thread.
    """

    if TYPE_CHECKING:  # SessionBase has these; its stubs leave them out
        _session: dict[str, Any]
        _session_cache: dict[str, Any]

        def _get_session(self, no_load: bool = False) -> dict[str, Any]: ...

    # How a store begins, see ``_hold``. On the class: each request makes one, and
    # most are only read.
    _login: _Login | None = None
    _flush_reason: EndReason = EndReason.FLUSHED
    _user_id: str | None = None
    _payload: bytes | None = None
    _is_new: bool = False
    _call: str | None = None
    _next_key: str | None = None
    _entered: str | None = None

    def __init__(self, session_key: str | None = None) -> None:
        """Prepare a store. No round trip.

        Raises:
            InvalidSetup: ``SESSION_CACHE_ALIAS`` names no usable cache.
        """
        # Not SessionBase's: it looks up a serializer for each session, which takes a
        # twelfth of a load and is not used here.
        self._connection = connection_for(settings.SESSION_CACHE_ALIAS)
        self._index = Index(self._connection)
        self._session_key = session_key
        self.accessed = False
        self.modified = False

    @cached_property
    def serializer(self) -> Any:
        """The class of ``SESSION_SERIALIZER``, for who calls ``encode``."""
        return import_string(settings.SESSION_SERIALIZER)

    def remember_login(
        self, user_id: str, user: object, context: dict[str, str | None]
    ) -> None:
        """Take what is known of a login, for the save that makes it effective."""
        self._login = _Login(user_id, user, context)

    def remember_logout(self) -> None:
        """Let the next flush count as a logout."""
        self._flush_reason = EndReason.LOGOUT

    # What Django asks of a store.

    def load(self) -> dict[str, Any]:
        """Return the session's data; where it is not live, nothing, and drop the key.

        One round trip, and one more in each process and ``EXPIRE_TOUCH_INTERVAL``.
        """
        key = self.session_key
        if key is None:
            return {}
        payload = self._index.read(key)
        data = self._decoded(payload)
        if data is not None:
            self._hold(_user_id(data), payload)
            if self._touch_if_due(key):
                return data
        self._start_over()
        self._session_key = None
        return {}

    def exists(self, session_key: str | None) -> bool:
        """Tell whether there is such a session. One round trip."""
        return is_session_key(session_key) and self._index.exists(session_key)

    def create(self) -> None:
        """Save under a new key. One round trip."""
        self._draw_key()
        self._save_as_new()

    def save(self, must_create: bool = False) -> None:
        """Save the session; a login takes its place with it, and others may end.

        One round trip. Where nothing was set and the data is as it was loaded (under
        ``SESSION_SAVE_EVERY_REQUEST``), only its age is renewed: another request's
        change stays.

        Raises:
            CreateError: ``must_create``, and there is such a session already.
            UpdateError: the session has ended. It does not come back.
            InvalidLimits, or what an ``expire_check`` handler raises: on a login.
                Nobody was signed in and nothing was ended.
        """
        if self.session_key is None:
            self.create()
            return
        data = self._get_session(no_load=must_create)
        if self.session_key is None:  # loaded just now, and not there
            raise UpdateError
        if self._user_id not in (None, _user_id(data)):
            self._part()
        if self._is_new and not must_create:
            self._save_as_new()
        elif (age := self._age()) > 0:
            self._write(data, age, must_create)
        else:
            self._expire(must_create)

    def delete(self, session_key: str | None = None) -> None:
        """End the session, or the one with this key.

        One round trip, or two where its user is not known.
        """
        key = self.session_key if session_key is None else session_key
        self._end(key, EndReason.DELETED)

    def flush(self) -> None:
        """End the session and go on as a new, anonymous one.

        One round trip, or two where it was not loaded.
        """
        self.clear()
        self._end(self.session_key, self._flush_reason)
        self._start_over()
        self._session_key = None

    def cycle_key(self) -> None:
        """Go on under a new key, with the data as it is.

        A session that is in Redis is moved, in one round trip; a signed-in one keeps
        its place, and joins a rotation of another request that was faster. One that
        has ended goes on anonymous and empty. Without a session yet, the key is drawn
        here and written by the save: no round trip.
        """
        data = self._session
        if self.session_key is None or self._is_new:
            self._draw_key()
        elif self._user_id != _user_id(data) or self._age() <= 0:
            self._part()
        else:
            self._rotate(data)
        self.modified = True

    async def aflush(self) -> None:
        """See ``flush``."""
        await sync_to_async(self.flush)()

    async def acycle_key(self) -> None:
        """See ``cycle_key``."""
        await sync_to_async(self.cycle_key)()

    @classmethod
    def clear_expired(cls) -> None:
        """Drop index members without a session, and have history do its part.

        What ``clearsessions`` calls. Safe while the site is up; where it is
        interrupted, the rest waits for the next time.
        """
        dropped = 0
        index = Index(connection_for(settings.SESSION_CACHE_ALIAS))
        for user_id, key in index.sweep():
            dropped += 1
            cls._announce_end(user_id, key, EndReason.EXPIRED, {"sweep": True})
        sessions_swept.send_robust(sender=cls, dropped=dropped)

    # What this store knows of its session in Redis.

    @property
    def _key(self) -> str:
        """The session key, where it is known that there is one."""
        return cast("str", self.session_key)

    _validate_session_key = staticmethod(is_session_key)

    def _get_new_session_key(self) -> str:
        # Without asking whether it is taken: the save that uses it finds out.
        return new_session_key()

    def _start_over(self) -> None:
        self._hold(None, None)
        self._flush_reason = EndReason.FLUSHED

    def _hold(self, user_id: str | None, payload: bytes | None) -> None:
        """Note whose session is in Redis, and what was read or written there."""
        self._user_id, self._payload, self._is_new = user_id, payload, False
        # What a call that failed leaves for its repetition, which Redis knows by it.
        self._call = self._next_key = self._entered = None

    def _draw_key(self) -> None:
        self._start_over()
        self._session_key = self._get_new_session_key()
        self._is_new = True

    def _age(self) -> int:
        """Milliseconds this session is to live from now on."""
        return min(int(self.get_expiry_age() * 1000), A_CENTURY)

    def _decoded(self, payload: bytes | None) -> dict[str, Any] | None:
        if payload is None:
            return None
        try:
            data = self._connection.decode(payload)
        except Exception:  # noqa: BLE001 - serializers raise what they like
            data = None
        if isinstance(data, dict):
            return data
        security_logger.warning("Session data corrupted")
        return None

    # Writing.

    def _touch_if_due(self, key: str) -> bool:
        """Mark a signed-in session seen; False if it ended after it was read."""
        seen = self._connection.seen
        if self._user_id is None or not seen.is_due(key, conf.touch_interval):
            return True
        limits = self._limits_or_none(self._user_id)
        # Without an age: to Django, reading a session does not prolong it.
        saved = self._index.save(
            Mode.KEEP, key, user_id=self._user_id, limit=_number(limits)
        )
        if saved is not None:
            self._after_save(saved, limits)
        return saved is not None

    def _save_as_new(self) -> None:
        for _ in range(ATTEMPTS):
            try:
                self.save(must_create=True)
            except CreateError:
                self._draw_key()
            else:
                self.modified = True
                return
        raise StoreUnavailable(f"{ATTEMPTS} new session keys were all taken.")

    def _write(self, data: dict[str, Any], age: int, must_create: bool) -> None:
        _ = conf.touch_interval  # a wrong one is not to be found after the script
        user_id = _user_id(data)
        entrant = None if user_id == self._user_id else user_id
        payload = self._connection.encode(data)
        if must_create:
            mode = Mode.NEW
            self._call = self._call or secrets.token_hex(8)
        elif not self.modified and self._is_as_loaded(payload):
            mode = Mode.KEEP
        else:
            mode = Mode.UPDATE
        if entrant is not None:
            limits: Limits | None = self._enter(entrant)
        else:
            limits = self._limits_or_none(user_id)
        saved = self._index.save(
            mode,
            self._key,
            user_id=user_id,
            payload=b"" if mode is Mode.KEEP else payload,
            age=age,
            call=self._call,
            limit=_number(limits),
            entering=entrant is not None,
        )
        if saved is None:
            self._call = self._entered = None
            if entrant is not None and not must_create:
                self._announce_end(entrant, self._key, EndReason.INTERRUPTED, {})
            raise CreateError if must_create else UpdateError
        self._hold(user_id, payload)
        self._after_save(saved, limits)
        if entrant is not None:
            self._start(entrant, saved)

    def _is_as_loaded(self, payload: bytes) -> bool:
        # Some encode equal data differently each time: gzip writes down the time.
        return self._payload is not None and (
            payload == self._payload
            or self._connection.decode(payload) == self._decoded(self._payload)
        )

    def _expire(self, must_create: bool) -> None:
        """Save with an age of zero or less: the session ends, or never begins."""
        user_id = self._user_id
        if must_create:
            self._start_over()
            return
        removed = self._index.remove(self._key, user_id)
        self._start_over()
        if not removed.payload:
            raise UpdateError
        if user_id is not None:
            self._announce_end(user_id, self._key, EndReason.EXPIRED, {})

    def _end(self, key: str | None, reason: EndReason) -> None:
        is_own = key == self.session_key
        if not is_session_key(key) or (is_own and self._is_new):
            return  # there is no such session in Redis
        if is_own and self._payload is not None:
            self._end_own(key, reason)
            return
        data = self._decoded(self._index.read(key))
        user_id = _user_id(data or {})
        removed = self._index.remove(key, user_id)
        if not removed.payload:
            reason = EndReason.EXPIRED
        # Where the payload does not tell whose it is, the history may.
        if data is None or user_id is not None:
            self._announce_end(user_id, key, reason, {})

    def _end_own(self, key: str, reason: EndReason) -> None:
        user_id = self._user_id
        removed = self._index.remove(key, user_id)
        if user_id is None:
            return
        if not removed.payload and (moved := self._index.successor(key)):
            # A rotation under way was faster: it is still the same session.
            key = moved
            self._index.remove(key, user_id)
        # Told also where it was gone: the reply to this very removal may have been
        # lost. A row that has a better reason keeps it.
        self._announce_end(user_id, key, reason, {})

    def _part(self) -> None:
        """End the session in Redis; what is in memory goes on under a new key."""
        self._end(self.session_key, self._flush_reason)
        self._draw_key()

    def _rotate(self, data: dict[str, Any]) -> None:
        old = self._key
        new = self._next_key = self._next_key or self._get_new_session_key()
        payload = self._connection.encode(data)
        for _ in range(MOVES):
            key = self._index.rotate(
                old, new, user_id=self._user_id, payload=payload, age=self._age()
            )
            if key == new:
                self._moved(new, payload)
                return
            successor = None if key is None else self._index.read(key)
            if successor is not None:
                self._join(key, successor)
                return
            if key is None:
                break
            old = key  # moved on or ended since: follow it
        self._vanish()

    def _moved(self, new: str, payload: bytes) -> None:
        previous, user_id = self._key, self._user_id
        self._session_key = new
        self._hold(user_id, payload)
        if user_id is not None:
            self._connection.seen.add(new, conf.touch_interval)
            session_rotated.send_robust(
                sender=type(self),
                user_id=user_id,
                session_id=session_id(new),
                previous_id=session_id(previous),
            )

    def _join(self, key: str | None, payload: bytes) -> None:
        """Go on in the session that another request's rotation has made of this."""
        data = self._decoded(payload)
        if data is None or _user_id(data) != self._user_id:
            self._vanish()
            return
        self._session_key = key
        self._hold(self._user_id, payload)
        if not self.modified:
            self._session_cache = data

    def _vanish(self) -> None:
        """Go on anonymous and empty: the session has ended."""
        self._start_over()
        self._session_key = None
        self._session_cache = {}

    # Limits and signals.

    def _limits_or_none(self, user_id: str | None) -> Limits | None:
        """Return the user's limits; None, for an existing session, if they fail.

        The limit is not tested then: an error in a handler must not sign people out,
        and a session that is there already makes no new one.
        """
        if user_id is None:
            return None
        try:
            return limits_for(user_id, self._login_of(user_id).user)
        except Exception:
            # Handlers are the project's code: whatever they raise.
            logger.exception(
                "expire_check failed; the limit was not tested. Logins of this user"
                " fail until its handler is mended."
            )
            return None

    def _login_of(self, user_id: str) -> _Login:
        if self._login is not None and self._login.user_id == user_id:
            return self._login
        return NOBODY

    def _enter(self, user_id: str) -> Limits:
        login = self._login_of(user_id)
        limits = limits_for(user_id, login.user)
        if self._entered != user_id:
            session_entering.send_robust(
                sender=type(self),
                user_id=user_id,
                session_id=session_id(self._key),
                context=login.context,
            )
            self._entered = user_id
        return limits

    def _start(self, user_id: str, saved: Saved) -> None:
        live = None if saved.live is None else frozenset(map(session_id, saved.live))
        session_started.send_robust(
            sender=type(self),
            user_id=user_id,
            session_id=session_id(self._key),
            context=self._login_of(user_id).context,
            live=live,
        )

    def _after_save(self, saved: Saved, limits: Limits | None) -> None:
        if self._user_id is None:
            return
        self._connection.seen.add(self._key, conf.touch_interval)
        if not saved.gone and not saved.evicted:
            return
        context: dict[str, object] = {**self._login_of(self._user_id).context}
        if limits is not None:
            context["log_limit"] = limits.log_limit
        self._announce_ends(self._user_id, saved.gone, EndReason.EXPIRED, context)
        self._announce_ends(self._user_id, saved.evicted, EndReason.EVICTED, context)

    @classmethod
    def _announce_ends(
        cls,
        user_id: str,
        keys: Iterable[str],
        reason: EndReason,
        context: Mapping[str, object],
    ) -> None:
        for key in keys:
            cls._announce_end(user_id, key, reason, context)

    @classmethod
    def _announce_end(
        cls,
        user_id: str | None,
        key: str,
        reason: EndReason,
        context: Mapping[str, object],
    ) -> None:
        session_ended.send_robust(
            sender=cls,
            user_id=user_id,
            session_id=session_id(key),
            reason=reason,
            context=context,
        )


def _user_id(data: Mapping[str, Any]) -> str | None:
    """Return whose session this is. Not every project stores the id as a string."""
    user_id = data.get(USER_ID)
    return None if user_id is None else str(user_id)


def _number(limits: Limits | None) -> int:
    return limits.max_users if limits else 0
