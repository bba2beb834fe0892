"""The session engine: ``SESSION_ENGINE = "expire_sessions.backend"``.

It keeps Django's contract of a session store over ``index``, and says what happens
through ``signals``. It imports without the app registry.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.utils.module_loading import import_string

from expire_sessions.calls import Unfinished
from expire_sessions.conf import conf
from expire_sessions.connections import session_connection
from expire_sessions.endings import Ended, Live, tell_ended
from expire_sessions.exceptions import (
    StoreRefused,
    StoreUnavailable,
    SweepIncomplete,
)
from expire_sessions.index import Index, Mode, Outcome, Saved
from expire_sessions.installed import refuse_without_app
from expire_sessions.keys import (
    PAYLOAD,
    SessionKey,
    is_session_key,
    new_session_key,
    session_id,
)
from expire_sessions.limits import LazyUser, Limits, limits_for
from expire_sessions.loaded import expect_user
from expire_sessions.occasions import Occasion
from expire_sessions.payloads import data_in, user_id_in
from expire_sessions.reasons import EndReason
from expire_sessions.signals import (
    session_entering,
    session_rotated,
    session_started,
    sessions_swept,
)
from expire_sessions.tracebacks import without_keys

__all__ = ["SessionStore"]

refuse_without_app()

logger: Final = logging.getLogger("expire_sessions")
# Django's own logger for this, and its words: projects filter on them.
security_logger: Final = logging.getLogger("django.security.SuspiciousSession")

ATTEMPTS: Final = 5
"""Session keys drawn before giving up. Two draws are never the same in practice."""

STEPS: Final = 1000
"""Steps in which a login ends what is over the limit: a million sessions."""

A_CENTURY: Final = 100 * 365 * 86400 * 1000
"""Milliseconds; Redis refuses ages that it cannot add to the time of day."""


class _Login(NamedTuple):
    """What ``user_logged_in`` told of a login whose save is still to come."""

    user_id: str
    user: object
    context: Mapping[str, str | None]


NOBODY: Final = _Login("", None, MappingProxyType({}))
"""No login: most saves are of a session that has been signed in for long."""

# What a call does, for the name that it keeps until its reply has come.
SAVE: Final = "save"
TRIM: Final = "trim"
END: Final = "end "

refused_marks: Final = Occasion(seconds=60)
"""When a session that could not be marked seen is logged: not at every request."""


class Swept(NamedTuple):
    """What a sweep found: sessions of users."""

    live: int
    dropped: int
    """They had expired, and left their index."""


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
    _next_key: str | None = None
    _entered: str | None = None
    _lazy_user: tuple[str, object] | None = None

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
        self._index = Index(self._connection)
        self._session_key = session_key
        self.accessed = False
        self.modified = False

    @cached_property
    def serializer(self) -> Any:
        """The class of ``SESSION_SERIALIZER``, for who calls ``encode``."""
        return import_string(settings.SESSION_SERIALIZER)

    @cached_property
    def _calls(self) -> Unfinished:
        return Unfinished()

    @property
    def _is_trim_pending(self) -> bool:
        return "_calls" in self.__dict__ and self._calls.has(TRIM)

    @property
    def cache_key(self) -> str:
        """The name of this session in the cache, as in Django's cache backend.

        It holds the session key: keep it out of logs. No round trip.
        """
        if self.session_key is None:
            self._draw_key()
        return self.cache_key_prefix + self._key

    async def acache_key(self) -> str:
        """See ``cache_key``."""
        return self.cache_key

    def remember_login(
        self, user_id: str, user: object, context: dict[str, str | None]
    ) -> None:
        """Take what is known of a login, for the save that makes it effective."""
        self._login = _Login(user_id, user, context)

    def remember_logout(self) -> None:
        """Let the next flush count as a logout."""
        self._flush_reason = EndReason.LOGOUT

    # What Django asks of a store.

    @without_keys
    def load(self) -> dict[str, Any]:
        """Return the session's data; where it is not live, nothing, and drop the key.

        One round trip, and one more in each process and ``EXPIRE_TOUCH_INTERVAL``.
        """
        if self.session_key is None or self._is_new:
            return {}
        payload = self._index.read(self._key)
        data = self._decoded(payload)
        if data is not None:
            self._hold(user_id_in(data), payload)
            if self._user_id is None:
                return data
            expect_user(self._user_id)
            if self._touch_if_due():
                return data
        self._start_over()
        self._session_key = None
        return {}

    @without_keys
    def exists(self, session_key: str | None) -> bool:
        """Tell whether there is such a session. One round trip."""
        return is_session_key(session_key) and self._index.exists(session_key)

    @without_keys
    def create(self) -> None:
        """Save under a new key. One round trip."""
        self._draw_key()
        self._save_as_new()

    @without_keys
    def save(self, must_create: bool = False) -> None:
        """Save the session; a login takes its place with it, and others may end.

        One round trip. ``expire_check`` is asked at a login, and else only for a
        user with more than one session; one more round trip ends what is over the
        limit. Where nothing was set and the data is as it was loaded
        (``SESSION_SAVE_EVERY_REQUEST``), only its age is renewed: another request's
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
        if self._next_key is not None and not self._is_new:
            self._finish_rotation(data)
        if self._is_trim_pending:  # it has ended others, and nobody was told
            self._trim(self._limits_or_none(), 1)
        if self._user_id not in (None, user_id_in(data)):
            self._leave()
        if self._is_new and not must_create:
            self._save_as_new()
        elif (age := self._age()) > 0:
            self._write(data, age, must_create)
        else:
            self._expire(must_create)

    @without_keys
    def delete(self, session_key: str | None = None) -> None:
        """End the session, or the one with this key, wherever rotations have moved it.

        One round trip, or two where its user is not known.
        """
        key = self.session_key if session_key is None else session_key
        self._end(key, EndReason.DELETED)

    @without_keys
    def flush(self) -> None:
        """End the session and go on as a new, anonymous one.

        One round trip, or two where it was not loaded.
        """
        self.clear()
        self._end(self.session_key, self._flush_reason)
        self._start_over()
        self._session_key = None

    @without_keys
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
        elif self._user_id == user_id_in(data) and self._age() > 0:
            self._rotate(data)
        elif self._end(self.session_key, self._flush_reason) or self._user_id is None:
            self._draw_key()
        else:
            self._vanish()
        self.modified = True

    async def aexists(self, session_key: str | None) -> bool:
        """See ``exists``."""
        session_key = None if session_key is None else SessionKey(session_key)
        return await sync_to_async(self.exists)(session_key)

    async def adelete(self, session_key: str | None = None) -> None:
        """See ``delete``."""
        session_key = None if session_key is None else SessionKey(session_key)
        await sync_to_async(self.delete)(session_key)

    async def aflush(self) -> None:
        """See ``flush``."""
        await sync_to_async(self.flush)()

    async def acycle_key(self) -> None:
        """See ``cycle_key``."""
        await sync_to_async(self.cycle_key)()

    @classmethod
    def clear_expired(cls) -> None:
        """See ``sweep``: what Django's ``clearsessions`` calls."""
        cls.sweep()

    @classmethod
    @without_keys
    def sweep(cls) -> Swept:
        """Drop index members without a session, and have history do its part.

        Safe while the site is up; where it is interrupted, the rest waits for the next
        time.

        Raises:
            SweepIncomplete: the history could not be brought up to date.
        """
        live = dropped = 0
        error: Exception | None = None
        index = Index(session_connection())
        for step in index.sweep():
            live, dropped = live + len(step.live), dropped + len(step.dead)
            dead = [Ended(user, session_id(m.session_key)) for user, m in step.dead]
            tell_ended(cls, dead, EndReason.EXPIRED)
            found = tuple(
                Live(user, session_id(member.session_key), member.seen)
                for user, member in step.live
            )
            error = error or cls._tell_swept(found)
        if error := error or cls._tell_swept(None):
            raise SweepIncomplete(
                f"The login history was not brought up to date: {error}"
            ) from error
        return Swept(live, dropped)

    @classmethod
    def _tell_swept(cls, live: tuple[Live, ...] | None) -> Exception | None:
        results = sessions_swept.send_robust(sender=cls, live=live)
        return next((e for _, e in results if isinstance(e, Exception)), None)

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
        # Kept from an unfinished call so that Redis recognises the retry.
        self._next_key = self._entered = None

    def _draw_key(self) -> None:
        self._start_over()
        self._calls.done(SAVE)
        self._session_key = self._get_new_session_key()
        self._is_new = True

    def _age(self) -> int:
        """Milliseconds this session is to live from now on."""
        return min(int(self.get_expiry_age() * 1000), A_CENTURY)

    def _decoded(self, payload: bytes | None) -> dict[str, Any] | None:
        if payload is None:
            return None
        data = data_in(self._connection, payload)
        if data is None:
            security_logger.warning("Session data corrupted")
        return data

    # Writing.

    def _touch_if_due(self) -> bool:
        """Mark a signed-in session seen; False if it ended after it was read.

        A server that can be read but takes no writes keeps everybody signed in.
        """
        interval = conf.touch_interval
        if not self._connection.seen.is_due(self._key, interval):
            return True
        # Without an age: to Django, reading a session does not prolong it.
        mode = Mode.JOIN if interval is None else Mode.KEEP
        try:
            members = self._index.save(mode, self._key, user_id=self._user_id)
            self._after_save(members)
        except StoreUnavailable as error:
            self._connection.seen.add(self._key, interval)
            if refused_marks.has_come():
                logger.warning(
                    "Sessions are read, but cannot be marked seen. While this lasts the"
                    " limit is not enforced on requests that only read: %s",
                    error,
                )
            return True
        return members > 0

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
        _ = conf.touch_interval  # a bad setting must fail before Redis is changed
        user_id = user_id_in(data)
        payload = self._connection.encode(data)
        if must_create or user_id != self._user_id:
            mode = Mode.NEW if must_create else Mode.UPDATE
            self._place(mode, user_id, payload, age)
            return
        is_as_loaded = not self.modified and self._is_as_loaded(payload)
        members = self._index.save(
            Mode.KEEP if is_as_loaded else Mode.UPDATE,
            self._key,
            user_id=user_id,
            payload=b"" if is_as_loaded else payload,
            age=age,
        )
        if not members:
            raise UpdateError
        self._hold(user_id, payload)
        self._after_save(members)

    def _place(self, mode: Mode, user_id: str | None, payload: bytes, age: int) -> None:
        """Save a new session, or one that has just got its user."""
        limits = None if user_id is None else self._enter(user_id)
        try:
            saved = self._index.place(
                mode,
                self._key,
                call=self._calls.name(SAVE),
                user_id=user_id,
                payload=payload,
                age=age,
                limit=_number(limits),
                entering=user_id is not None,
            )
        except StoreRefused:
            # As lost: a repetition that succeeds opens the row again.
            self._tell_ended(user_id, [self._key], EndReason.LOST)
            raise
        self._calls.done(SAVE)
        if saved.outcome is Outcome.UNFIT:
            self._not_placed(mode, user_id)
        self._hold(user_id, payload)
        if user_id is None:
            return
        self._connection.seen.add(self._key, conf.touch_interval)
        self._tell_others_ended(saved, limits)
        if saved.outcome is Outcome.ENDED:
            raise UpdateError
        self._start(user_id, saved)
        if saved.more:
            self._trim(limits, STEPS)

    def _not_placed(self, mode: Mode, user_id: str | None) -> NoReturn:
        self._entered = None
        if mode is Mode.NEW:
            raise CreateError
        self._tell_ended(user_id, [self._key], EndReason.INTERRUPTED)
        raise UpdateError

    def _is_as_loaded(self, payload: bytes) -> bool:
        # Some encode equal data differently each time: gzip writes down the time.
        return self._payload is not None and (
            payload == self._payload
            or self._connection.decode(payload) == self._decoded(self._payload)
        )

    def _expire(self, must_create: bool) -> None:
        """Save with an age of zero or less: the session ends, or never begins."""
        if must_create:
            self._start_over()
        elif not self._end(self._key, EndReason.EXPIRED):
            raise UpdateError
        else:
            self._start_over()

    def _end(self, key: str | None, reason: EndReason) -> bool:
        """End a session, wherever rotations have moved it; True if it was live."""
        is_own = key == self.session_key
        if not is_session_key(key):
            return False
        if is_own and self._is_new and not self._calls.has(SAVE):
            return False  # it is not in Redis yet
        is_known = is_own and self._payload is not None
        if is_known:
            user_id, is_anonymous = self._user_id, self._user_id is None
        else:
            user_id, is_anonymous = self._owner_of(key)
        removed = self._index.remove(key, user_id, self._calls.name(END + key))
        self._calls.done(END + key)
        if not removed.payload:
            reason = EndReason.EXPIRED
        # A loaded session that is in no index any more was ended, and told, elsewhere.
        # Where the payload did not tell whose it is, the history may know.
        if not is_anonymous and (removed.member or removed.payload or not is_known):
            owner, ids = removed.user_id or user_id, (session_id(key), *removed.ids)
            tell_ended(type(self), [Ended.after_moves(owner, ids)], reason)
        return removed.payload

    def _owner_of(self, key: str) -> tuple[str | None, bool]:
        """Return the user of a session, and whether it is known to have none."""
        data = self._decoded(self._index.read(key))
        user_id = user_id_in(data or {})
        return user_id, data is not None and user_id is None

    def _leave(self) -> None:
        """End the session in Redis; what is in memory goes on under a new key."""
        if not self._end(self.session_key, self._flush_reason):
            raise UpdateError  # it was ended elsewhere, and does not come back
        self._draw_key()

    def _finish_rotation(self, data: dict[str, Any]) -> None:
        """Repeat a rotation without a reply: it may have moved the session."""
        self._rotate(data)
        if self.session_key is None:
            raise UpdateError

    def _rotate(self, data: dict[str, Any]) -> None:
        old = self._key
        new = self._next_key = self._next_key or self._get_new_session_key()
        payload = self._connection.encode(data)
        found = self._index.rotate(
            old, new, user_id=self._user_id, payload=payload, age=self._age()
        )
        if found is None:
            self._vanish()
        elif found[0] == new:
            self._moved(new, payload)
        else:
            self._join(*found)

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

    def _join(self, key: str, payload: bytes) -> None:
        """Go on in the session that another request's rotation has made of this."""
        data = self._decoded(payload)
        if data is None or user_id_in(data) != self._user_id:
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

    def _limits_or_none(self) -> Limits | None:
        """Return the limits for an existing session; None if they fail.

        The limit is not tested then: an error in a handler must not sign people out,
        and a session that is there already makes no new one.
        """
        user_id = cast("str", self._user_id)
        try:
            return limits_for(user_id, self._user_of(user_id))
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

    def _user_of(self, user_id: str) -> object:
        """Return the user for ``expire_check``: one for a request, so one query."""
        if (user := self._login_of(user_id).user) is not None:
            return user
        if self._lazy_user is None or self._lazy_user[0] != user_id:
            self._lazy_user = user_id, LazyUser(user_id)
        return self._lazy_user[1]

    def _enter(self, user_id: str) -> Limits:
        login = self._login_of(user_id)
        limits = limits_for(user_id, self._user_of(user_id))
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

    def _after_save(self, members: int) -> None:
        """Note that the session was seen, and test the limit: one can't be too many."""
        if self._user_id is None or not members:
            return
        self._connection.seen.add(self._key, conf.touch_interval)
        if members > 1:
            limits = self._limits_or_none()
            if 0 < _number(limits) < members:
                self._trim(limits, 1)

    def _trim(self, limits: Limits | None, steps: int) -> None:
        """End what is over the limit, about a thousand in a step. A round trip each."""
        for _ in range(steps):
            saved = self._index.place(
                Mode.KEEP,
                self._key,
                call=self._calls.name(TRIM),
                user_id=self._user_id,
                limit=_number(limits),
            )
            self._calls.done(TRIM)
            self._tell_others_ended(saved, limits)
            if not saved.more:
                return

    def _tell_others_ended(self, saved: Saved, limits: Limits | None) -> None:
        if not saved.gone and not saved.evicted:
            return
        user_id = cast("str", self._user_id)
        context: dict[str, object] = {**self._login_of(user_id).context}
        if limits is not None:
            context["log_limit"] = limits.log_limit
        self._tell_ended(user_id, saved.gone, EndReason.EXPIRED, context)
        self._tell_ended(user_id, saved.evicted, EndReason.EVICTED, context)

    def _tell_ended(
        self,
        user_id: str | None,
        keys: Sequence[str],
        reason: EndReason,
        context: Mapping[str, object] = NOBODY.context,
    ) -> None:
        if user_id is not None:
            ended = [Ended(user_id, session_id(key)) for key in keys]
            tell_ended(type(self), ended, reason, context)


def _number(limits: Limits | None) -> int:
    return limits.max_users if limits else 0
