"""The names of everything that is kept in Redis.

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
``expire_sessions:life:<session key>``          string      what ends a session that has
                                                            ages; once it was ended,
                                                            why, until its browser has
                                                            asked
``expire_sessions:mark:<pk>:<hash>``            string      for ten seconds, the session
                                                            that a browser signed in to
==============================================  ==========  ==========================

Every name goes through the cache's ``make_key``: ``KEY_PREFIX``, ``VERSION`` and
``KEY_FUNCTION`` hold. Payloads live as long as their sessions, an index as long
as the longest payload in it.
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import quote, unquote

from expire_sessions.exceptions import InvalidSetup
from expire_sessions.protocol.session_keys import SessionKey

__all__ = ["LIFE", "PAYLOAD", "Keys"]

PAYLOAD: Final = "django.contrib.sessions.cache"
"""What Django's cache backend puts before a session key."""

INDEX: Final = "expire_sessions:index:"
MADE: Final = "expire_sessions:made:"
MOVED: Final = "expire_sessions:moved:"
ENDED: Final = "expire_sessions:ended:"
LIFE: Final = "expire_sessions:life:"
MARK: Final = "expire_sessions:mark:"


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
        self._packed: dict[tuple[int, str], tuple[str, ...]] = {}
        self._affixes: Final = {
            prefix: _affixes_of(make_key, prefix)
            for prefix in (PAYLOAD, INDEX, MADE, MOVED, ENDED, LIFE, MARK)
        }

    def payload(self, session_key: str) -> str:
        """Return the key of a session's data."""
        head, tail = self.affixes(PAYLOAD)
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
        return self._named(INDEX, _quoted(user_id))

    def life(self, session_key: str) -> str:
        """Return the key of what ends a session, or why it has ended."""
        return self._named(LIFE, session_key)

    def mark(self, user_id: str, browser: str) -> str:
        """Return the key of what a browser has just signed in to as this user."""
        return self._named(MARK, f"{_quoted(user_id)}:{browser}")

    def _named(self, prefix: str, name: str) -> str:
        head, tail = self.affixes(prefix)
        return f"{head}{name}{tail}"

    def affixes(self, prefix: str) -> tuple[str, str]:
        """Return what comes before and after a name with this prefix."""
        if self._is_constant:
            return self._affixes[prefix]
        return _affixes_of(self._make_key, prefix)

    def packed_affixes(self, serves: int, version: str) -> tuple[str, ...]:
        """Return what load.lua takes behind the session key."""
        packed = self._packed.get((serves, version))
        if packed is None:
            head, tail = self.affixes(INDEX)
            packed = (f"{serves:016}{head}", tail, version)
            if self._is_constant:
                self._packed[serves, version] = packed
        return packed

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
        head, tail = self.affixes(PAYLOAD)
        return SessionKey(payload_key.removeprefix(head).removesuffix(tail))

    def _pattern(self, prefix: str) -> str:
        head, tail = map(_escape, self.affixes(prefix))
        return f"{head}*{tail}"

    def user_id(self, index_key: str) -> str:
        """Return whose index this is: the reverse of ``index``."""
        head, tail = self.affixes(INDEX)
        return unquote(index_key.removeprefix(head).removesuffix(tail))


def _affixes_of(make_key: Callable[[str], str], prefix: str) -> tuple[str, str]:
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


def _quoted(user_id: str) -> str:
    # Alphanumeric ids need no quoting; skip the slow quote().
    is_plain = user_id.isascii() and user_id.isalnum()
    return user_id if is_plain else quote(user_id, safe="")


def _escape(text: str) -> str:
    """Escape what SCAN takes for a pattern."""
    return "".join(f"\\{char}" if char in "*?[]^-\\" else char for char in text)
