"""The keys of sessions: secrets, which are cookies; and their ids, which are not."""

import hashlib
import secrets
import string
from typing import Final, TypeGuard

__all__ = ["SessionKey", "is_session_key", "new_session_key", "session_id"]

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
