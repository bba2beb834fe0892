"""The names of everything that is kept in Redis, and of the sessions themselves.

==============================================  ==========  ==========================
key                                             type        holds
==============================================  ==========  ==========================
``django.contrib.sessions.cache<session key>``  string      the payload, as Django's
                                                            cache backend writes it
``expire_sessions:index:<quoted user pk>``      sorted set  session key -> last seen,
                                                            in microseconds of the
                                                            server's clock
``expire_sessions:made:<session key>``          string      for a minute, the name of
                                                            the call that made this
                                                            session, and the sessions
                                                            that it ended: a repeated
                                                            call is known by it
``expire_sessions:moved:<session id>``          string      for a minute, where a
                                                            rotation moved the session
``expire_sessions:ended:<session id>``          string      for a minute, the name of
                                                            the call that ended this
                                                            session, and what it found
==============================================  ==========  ==========================

Every name goes through the cache's ``make_key``: ``KEY_PREFIX``, ``VERSION`` and
``KEY_FUNCTION`` hold. Payloads live as long as their sessions, an index as long
as the longest payload in it.
"""

import hashlib
import secrets
import string
from collections.abc import Callable
from typing import Final, TypeGuard
from urllib.parse import quote, unquote

from expire_sessions.exceptions import InvalidSetup

__all__ = [
    "PAYLOAD",
    "Keys",
    "SessionKey",
    "is_session_key",
    "new_session_key",
    "session_id",
]

PAYLOAD: Final = "django.contrib.sessions.cache"
"""What Django's cache backend puts before a session key."""

INDEX: Final = "expire_sessions:index:"
MADE: Final = "expire_sessions:made:"
MOVED: Final = "expire_sessions:moved:"
ENDED: Final = "expire_sessions:ended:"

CHARACTERS: Final = string.ascii_lowercase + string.digits
LENGTH: Final = 32
"""Session keys are drawn as Django draws them: 165 bits."""

SHORTEST: Final = 8
"""Characters of a session key at least: the bound of Django's ``SessionBase``."""

LONGEST: Final = 128
"""Characters of a session key at most. Django's have 32; anything longer than
this was not made here, and is not worth a request to Redis."""


class SessionKey(str):
    """A session key that error reports do not show.

    They show ``repr()`` of the variables around an error; this one's is the session's
    id.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<session {session_id(self)}>"


def new_session_key() -> str:
    """Draw a session key, as Django does."""
    return "".join(secrets.choice(CHARACTERS) for _ in range(LENGTH))


def is_session_key(key: object) -> TypeGuard[str]:
    """Tell whether a cookie's value can be a session key at all. No round trip."""
    return isinstance(key, str) and SHORTEST <= len(key) <= LONGEST and key.isascii()


def session_id(session_key: str) -> str:
    """Return the public name of a session: the hex SHA-256 of its key."""
    return hashlib.sha256(session_key.encode()).hexdigest()


class Keys:
    """Names the Redis keys of one cache alias.

    Args:
        make_key: the cache's own, from a name to the key in Redis.
        is_constant: what it puts around a name is the same each time, so it need
            not be asked each time. That takes eight times as long as joining them.

    Raises:
        InvalidSetup: ``KEY_FUNCTION`` takes names apart or hashes them. The
            scripts and the sweep need the parts before and after a name.
    """

    def __init__(
        self, make_key: Callable[[str], str], *, is_constant: bool = False
    ) -> None:
        self._make_key = make_key
        self._is_constant = is_constant
        self._frames: Final = {
            prefix: _frame(make_key, prefix)
            for prefix in (PAYLOAD, INDEX, MADE, MOVED, ENDED)
        }

    def payload(self, session_key: str) -> str:
        """Return the key of a session's data."""
        head, tail = self.frame(PAYLOAD)
        return f"{head}{session_key}{tail}"

    def made(self, session_key: str) -> str:
        """Return the key that names the call which made a session."""
        return self._named(MADE, session_key)

    def moved(self, session_id: str) -> str:
        """Return the key that tells where a session was moved to.

        By its id: the history, which knows no session key, asks for it too.
        """
        return self._named(MOVED, session_id)

    def ended(self, session_id: str) -> str:
        """Return the key that names the call which ended a session."""
        return self._named(ENDED, session_id)

    def index(self, user_id: str) -> str:
        """Return the key of a user's index."""
        head, tail = self.frame(INDEX)
        # Alphanumeric ids need no quoting; skip the slow quote().
        is_plain = user_id.isascii() and user_id.isalnum()
        return f"{head}{user_id if is_plain else quote(user_id, safe='')}{tail}"

    def _named(self, prefix: str, name: str) -> str:
        head, tail = self.frame(prefix)
        return f"{head}{name}{tail}"

    def frame(self, prefix: str) -> tuple[str, str]:
        """Return what comes before and after a name with this prefix."""
        if self._is_constant:
            return self._frames[prefix]
        return _frame(self._make_key, prefix)

    @property
    def index_frame(self) -> tuple[str, str]:
        """What comes before and after a user's quoted id in the name of an index."""
        return self.frame(INDEX)

    @property
    def every_index(self) -> str:
        """The pattern for SCAN that matches each index of this alias."""
        return self._pattern(INDEX)

    @property
    def every_payload(self) -> str:
        """The pattern for SCAN that matches each payload of this alias."""
        return self._pattern(PAYLOAD)

    def session_key(self, payload_key: str) -> SessionKey:
        """Return whose payload this is: the reverse of ``payload``."""
        head, tail = self.frame(PAYLOAD)
        return SessionKey(payload_key.removeprefix(head).removesuffix(tail))

    def _pattern(self, prefix: str) -> str:
        head, tail = map(_escape, self.frame(prefix))
        return f"{head}*{tail}"

    def user_id(self, index_key: str) -> str:
        """Return whose index this is: the reverse of ``index``."""
        head, tail = self.frame(INDEX)
        return unquote(index_key.removeprefix(head).removesuffix(tail))


def _frame(make_key: Callable[[str], str], prefix: str) -> tuple[str, str]:
    """Return what ``make_key`` puts before and after a name with this prefix."""
    probe = "expire0sessions0probe0name"
    try:
        head, found, tail = str(make_key(prefix + probe)).partition(probe)
    except Exception as error:
        # A function of the project: whatever it raises.
        raise InvalidSetup(
            f"The session cache's KEY_FUNCTION fails: {type(error).__name__}: {error}"
        ) from error
    if not found or probe in tail:
        raise InvalidSetup(
            "The session cache's KEY_FUNCTION must keep the name in one piece, with"
            " nothing but a constant before and after it."
        )
    return head, tail


def _escape(text: str) -> str:
    """Escape what SCAN takes for a pattern."""
    return "".join(f"\\{char}" if char in "*?[]^-\\" else char for char in text)
