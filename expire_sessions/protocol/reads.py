"""What is read of one session. Every function returns one command: one round trip."""

from functools import partial
from typing import Final

from expire_sessions.protocol.asking import Batch, Command, each
from expire_sessions.protocol.keys import Keys
from expire_sessions.protocol.lives import Word, read_word
from expire_sessions.protocol.replies import Loaded, read_loaded, read_unmarked
from expire_sessions.protocol.scripts import LOAD

__all__ = ["drop_word", "exists", "left", "load", "read", "word"]

A_MARK_SERVES: Final = 0.1
"""The part of the touch interval for which a mark by another process will do. The page
that sends ten requests to as many processes has its session marked once."""

NEVER: Final = 10**16 - 1
"""Microseconds: any mark is younger."""


def read(keys: Keys, session_key: str) -> Command[Loaded]:
    """Read a session."""
    return Command(("GET", keys.payload(session_key)), Loaded)


def load(
    keys: Keys, session_key: str, interval: float | None, version: str = ""
) -> Command[Loaded]:
    """Read a session and mark it seen, where the index of its user knows it.

    A server that lets writes wait (``CLIENT PAUSE``, a failover) lets every script
    wait. So where nobody answers, the session is read without a mark.

    Args:
        interval: seconds between two marks; None: it is not marked, only looked for.
        version: of the ages of the settings. A session that has others, or none, is
            answered as one that the index does not know.
    """
    name = keys.payload(session_key)
    serves = NEVER if interval is None else int(interval * 1_000_000 * A_MARK_SERVES)
    names = (name, keys.life(session_key))
    arguments = (session_key, *keys.packed_affixes(serves, version))
    words = ("EVALSHA", LOAD.digest, 2, *names, *arguments)
    return Command(words, read_loaded, LOAD, partial(_read_unmarked, name))


def _read_unmarked(name: str) -> Command[Loaded]:
    return Command(("GET", name), read_unmarked)


def exists(keys: Keys, session_key: str) -> Command[bool]:
    """Tell whether the session is live."""
    return Command(("EXISTS", keys.payload(session_key)), bool)


def left(keys: Keys, session_key: str) -> Command[int]:
    """Return the milliseconds that a session has left; -2: it is not live."""
    return Command(("PTTL", keys.payload(session_key)), int)


def word(keys: Keys, session_key: str) -> Batch[Word | None]:
    """Return why a session has ended, where that is known."""
    asked = (("GET", keys.life(session_key)), ("TIME",))
    return Batch([*map(Command, asked)], lambda replies: read_word(*each(replies)))


def drop_word(keys: Keys, session_key: str) -> Command[int]:
    """Forget why a session has ended: its browser knows."""
    return Command(("DEL", keys.life(session_key)), int)
