"""Which sessions this process has marked seen lately, and how long they may live."""

import os
import random
import time
from typing import Final, NamedTuple

from expire_sessions.protocol.lives import Left

__all__ = ["Mark", "Seen"]

JOIN_SECONDS: Final = 3600
"""Without touches, a process looks this often whether a session is in its index."""

PARTS: Final = 1024
"""Into how many an interval is cut, to tell the sessions apart."""


_salt = 0


def _draw_salt() -> None:
    """Give this process moments of its own. A fork would have those of its parent."""
    global _salt  # noqa: PLW0603 - one for each process
    _salt = random.randrange(PARTS)  # noqa: S311 - no secret


_draw_salt()
os.register_at_fork(after_in_child=_draw_salt)


class Mark(NamedTuple):
    """A session that this process has marked seen."""

    interval: int
    at: float = 0
    """When, by the monotonic clock."""

    left: Left | None = None
    """How long it might live then; None: it has no ages."""

    def left_now(self) -> Left | None:
        """Return how long it may live now."""
        if self.left is None:
            return None
        idle, until_end, absolute = self.left
        passed = int((time.monotonic() - self.at) * 1000)
        rest = None if absolute is None else absolute - passed
        return Left(idle, until_end - passed, rest)


class Seen:
    """The sessions that this process has marked seen in the current interval.

    The interval of each session begins at another moment, and at another in each
    process: else all of them would fall due at once, everywhere.

    Only an optimisation: forgetting costs one extra mark. So it needs no lock. What was
    not asked for since two intervals is forgotten, and everything when there are more
    than ``most``.
    """

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self._young: dict[str, Mark] = {}
        self._old: dict[str, Mark] = {}
        self._turned = 0.0

    def mark_of(self, key: str, seconds: float | None) -> Mark | None:
        """Return the mark of this session; None: it is to be marked.

        Every ``seconds`` at most; None: once an hour, for it may be in no index yet.
        """
        if seconds == 0:
            return None
        mark = self._young.get(key) or self._old.get(key)
        is_valid = mark and mark.interval == _interval(key, seconds or JOIN_SECONDS)
        return mark if is_valid else None

    def add(self, key: str, seconds: float | None, left: Left | None = None) -> None:
        """Note that the session has just been marked seen, and how long it may live."""
        if seconds == 0:
            return
        seconds = seconds or JOIN_SECONDS
        now = time.monotonic()
        if now - self._turned > seconds or len(self._young) >= self._most // 2:
            self._turned, self._young, self._old = now, {}, self._young
        self._young[key] = Mark(_interval(key, seconds), now, left)

    def forget(self) -> None:
        """Forget every session."""
        self._young, self._old = {}, {}


def _interval(key: str, seconds: float) -> int:
    """Return the number of the interval that a session is in; never 0."""
    part = (hash(key) + _salt) % PARTS / PARTS
    return 1 + int(time.monotonic() / seconds + part)
