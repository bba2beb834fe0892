"""Sessions by the million, past the engine but as it writes them.

A session is named by its user and its turn: 0 for the user's first session, 1 for the
second. Its key is a hash of both, so that no key has to be kept to be found again.
Every user's id has seven digits and every key 32 characters, as Django's have: each
command is as long as any other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Flag, auto
from hashlib import blake2b
from random import Random
from typing import Any

from tests.benchmarks.engine import Keyspace
from tests.benchmarks.floors import packed

__all__ = [
    "AGE",
    "FIRST_USER",
    "NUMBER",
    "Part",
    "Writer",
    "content",
    "draw",
    "session_key",
]

FIRST_USER = 1_000_000
AGE = 14 * 86400 * 1000
"""Milliseconds: Django's two weeks."""

NUMBER = "number"
"""The key of the session that is changed."""

CHUNK = 2000

# What is put in the place of these is as long as they are.
KEY = "k" * 32
USER = "u" * 7
SEEN = "s" * 16


class Part(Flag):
    """What is written of a session."""

    PAYLOAD = auto()
    INDEX = auto()
    MADE = auto()
    """The key that names for a minute the call which made the session."""


def session_key(user: int, turn: int) -> str:
    """Return the key of a session."""
    return blake2b(b"%d %d" % (user, turn), digest_size=16).hexdigest()


def draw(chance: Random, users: int, each: int) -> tuple[int, str]:
    """Return a user and the key of one of its sessions, out of the whole population."""
    user = FIRST_USER + chance.randrange(users)
    return user, session_key(user, chance.randrange(each))


def content(user: int | str) -> dict[str, Any]:
    """Return a session's data: of a login, and what a shop adds to it.

    A payload of some 250 bytes.
    """
    return {
        "_auth_user_id": str(user),
        "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
        "_auth_user_hash": "9" * 64,
        "cart": [1207, 88, 4],
        "theme": "dark",
        "language": "en-gb",
        NUMBER: 0,
    }


class Writer:
    """Writes users with their sessions to the Redis of a cache alias.

    Args:
        keyspace: of that alias.
        seen_ago: so many seconds ago the sessions were last seen.
    """

    def __init__(self, keyspace: Keyspace, seen_ago: int = 0) -> None:
        self._keyspace = keyspace
        self._seen = (int(keyspace.client.time()[0]) - seen_ago) * 10**6

    def write(self, users: range, turns: range, part: Part) -> None:
        """Write the sessions of these turns, each turn for one user after the other.

        So a user's sessions lie apart in Redis's memory, as they do where people sign
        in on different days.
        """
        pattern = self._pattern(part)
        with self._unanswered() as wire:
            for turn in turns:
                for at in range(0, len(users), CHUNK):
                    some = users[at : at + CHUNK]
                    wire.send_packed_command([self._commands(pattern, some, turn)])

    def _commands(self, pattern: bytes, users: range, turn: int) -> bytes:
        return b"".join(
            pattern.replace(KEY.encode(), session_key(user, turn).encode())
            .replace(USER.encode(), b"%d" % user)
            # All different.
            .replace(SEEN.encode(), b"%d" % (self._seen - user % FIRST_USER - turn))
            for user in users
        )

    def _pattern(self, part: Part) -> bytes:
        keys, body = self._keyspace, self._keyspace.encode(content(USER))
        index = keys.index(USER)
        commands: dict[Part, list[tuple[str | bytes | int, ...]]] = {
            Part.PAYLOAD: [("SET", keys.payload(KEY), body, "PX", AGE)],
            Part.INDEX: [("ZADD", index, SEEN, KEY), ("PEXPIRE", index, AGE)],
            Part.MADE: [("SET", keys.made(KEY), "f" * 16, "PX", 60_000)],
        }
        return b"".join(
            packed(*words) for one in Part if one in part for words in commands[one]
        )

    @contextmanager
    def _unanswered(self) -> Iterator[Any]:
        """Give a connection on which Redis says nothing: none waits for the other."""
        pool = self._keyspace.client.connection_pool
        wire = pool.get_connection()
        try:
            wire.send_command("CLIENT", "REPLY", "OFF")
            yield wire
            wire.send_command("CLIENT", "REPLY", "ON")
            wire.read_response()
        finally:
            # Its buffers in Redis are not to be counted as sessions.
            wire.disconnect()
            pool.release(wire)
