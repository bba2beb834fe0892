"""Which sessions this process has marked seen lately, and how long they may live."""

import math
import os
import random
import time
from typing import Final, NamedTuple

from expire_sessions.protocol.lives import Left

__all__ = ["Lease", "Mark", "Seen", "lease_of"]

JOIN_SECONDS: Final = 3600
"""Without touches, a process looks this often whether a session is in its index."""

A_BURST: Final = 1
"""Seconds. The idle age begins anew at most once in them: a page that sends ten
requests is one write, also to replicas and to the disk of Redis."""

PARTS: Final = 1024
"""Into how many an interval is cut, to tell the sessions apart."""


_salt = 0


def _draw_salt() -> None:
    """Give this process moments of its own. A fork would have those of its parent."""
    global _salt  # noqa: PLW0603 - one for each process
    _salt = random.randrange(PARTS)  # noqa: S311 - no secret


_draw_salt()
os.register_at_fork(after_in_child=_draw_salt)


class Lease:
    """What this process knows of the ages of a session, by its monotonic clock.

    Args:
        left: what Redis has just told.
    """

    __slots__ = ("_absolute_end", "_fresh_until", "_idle")

    def __init__(self, left: Left) -> None:
        now = time.monotonic()
        self._idle = int(left.idle)
        # Without an idle age there is nothing to begin anew.
        burst = min(A_BURST, left.idle / 10_000) if left.idle else math.inf
        self._fresh_until = now + burst
        absolute = left.absolute
        self._absolute_end = None if absolute is None else now + absolute / 1000

    def is_fresh(self) -> bool:
        """Tell whether the idle age need not begin anew: it has just begun."""
        return time.monotonic() < self._fresh_until

    def life_of_save(self, age: int) -> int | None:
        """Return the milliseconds to live of a session that is saved.

        None where Redis has to look: its own age may end it some day.

        Args:
            age: its own from now on, in milliseconds.
        """
        if self._absolute_end is None:
            return None
        left = int((self._absolute_end - time.monotonic()) * 1000)
        if not 0 < left <= age:
            return None
        return min(left, self._idle) if self._idle else left

    def absolute_left(self) -> int | None:
        """Return the seconds that are left of its absolute age, if it has one."""
        if self._absolute_end is None:
            return None
        return math.ceil(self._absolute_end - time.monotonic())


def lease_of(left: Left | None) -> Lease | None:
    """Return the lease of a session that Redis has just told of."""
    return None if left is None else Lease(left)


class Mark(NamedTuple):
    """A session that this process has marked seen."""

    interval: int
    lease: Lease | None = None
    """None: it has no ages."""


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

    def add(self, key: str, seconds: float | None, lease: Lease | None = None) -> None:
        """Note that the session has just been marked seen, and how long it may live."""
        if seconds == 0:
            return
        seconds = seconds or JOIN_SECONDS
        now = time.monotonic()
        if now - self._turned > seconds or len(self._young) >= self._most // 2:
            self._turned, self._young, self._old = now, {}, self._young
        self._young[key] = Mark(_interval(key, seconds), lease)

    def forget(self) -> None:
        """Forget every session."""
        self._young, self._old = {}, {}


def _interval(key: str, seconds: float) -> int:
    """Return the number of the interval that a session is in; never 0."""
    part = (hash(key) + _salt) % PARTS / PARTS
    return 1 + int(time.monotonic() / seconds + part)
