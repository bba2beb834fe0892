"""What is done about an error of Redis: decided here, for sync and async."""

import random
import time
from typing import Any, Final, NamedTuple

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    MaxConnectionsError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import (
    ConnectionError as NoConnection,
)
from redis.exceptions import (
    TimeoutError as NoAnswer,
)

from expire_sessions.conf import conf
from expire_sessions.exceptions import StoreRefused, StoreUnavailable
from expire_sessions.protocol.asking import Asked
from expire_sessions.tracebacks import without_frames
from expire_sessions.transport.connections import Connection

__all__ = ["Again", "Failures"]

FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.5
"""Seconds. A failover takes a few; who waits for it should not all ask at once."""

DENIED: Final = (AuthenticationError, AuthorizationError)
"""To redis-py they are lost connections, and no other connection will do better."""

CONNECTING: Final = "connecting"
"""What redis-py says of the time-out of a connection, and not of that of a reply."""


class Again(NamedTuple):
    """How an operation is tried again."""

    asked: Asked[Any]

    pause: float = 0
    """Seconds to wait before."""

    anew: bool = False
    """Drop the idle connections first: they may lead to a server that is gone."""


class Failures:
    """The failures of one operation, until it is given up.

    Every operation may be repeated: what makes or ends something has a name that Redis
    knows it by, and what else is asked comes to the same twice.
    """

    def __init__(self, connection: Connection, started: float) -> None:
        self._connection = connection
        self._until = started + conf.timeout
        self._pause = FIRST_PAUSE
        self._answers: set[type[RedisError]] = set()

    def next_try(self, asked: Asked[Any], error: RedisError) -> Again:
        """Return how to go on after ``error``.

        Raises:
            StoreUnavailable: there is no time left, or no sense in it.
            StoreRefused: it is what Redis has decided.
        """
        error = _as_answered(error)
        if isinstance(error, NoScriptError) or _is_read_only(error):
            return self._after_answer(asked, error)
        # Where no connection was made in time, nothing was asked yet.
        is_silent = isinstance(error, NoAnswer) and CONNECTING not in str(error)
        if is_silent and asked.otherwise is not None:
            self._connection.scripts_pause.begin()
            return Again(asked.otherwise(), anew=True)
        if isinstance(error, NoConnection | NoAnswer) and not isinstance(error, DENIED):
            # Spread out over the second half, so that not everybody comes at once.
            pause = self._pause * random.uniform(0.5, 1)  # noqa: S311 - no secret
            if time.monotonic() + pause <= self._until:
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
                anew = not isinstance(error, MaxConnectionsError)
                return Again(asked, pause, anew)
        raise self._given_up(error) from without_frames(error)

    def _after_answer(self, asked: Asked[Any], error: RedisError) -> Again:
        """Go on once after an answer that another server may not give."""
        if type(error) in self._answers:
            raise self._given_up(error) from without_frames(error)
        self._answers.add(type(error))
        if isinstance(error, NoScriptError):  # it was started anew, or failed over
            return Again(asked.in_full())
        # A primary that has become a replica: its name may lead to the new one by now.
        return Again(asked, anew=True)

    def _given_up(self, error: RedisError) -> StoreUnavailable:
        kind = StoreRefused if isinstance(error, ResponseError) else StoreUnavailable
        return kind(
            f"Redis, in the cache {self._connection.alias!r}, gave no usable answer:"
            f" {type(error).__name__}: {error}"
        )


def _as_answered(error: RedisError) -> RedisError:
    # What Redis answers while redis.asyncio connects comes as a lost connection.
    cause = error.__cause__
    return cause if isinstance(cause, (ResponseError, *DENIED)) else error


def _is_read_only(error: RedisError) -> bool:
    # Redis 6.2 wraps what a command of a script is refused with in words of its own.
    return isinstance(error, ReadOnlyError) or (
        isinstance(error, ResponseError) and "-READONLY" in str(error)
    )
