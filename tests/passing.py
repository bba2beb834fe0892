"""Time that passes: every deadline comes nearer, and nobody waits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from expire_sessions.protocol.lives import LIFE
from expire_sessions.transport import seen
from expire_sessions.transport.connections import connection_for
from tests.asking import index_name, payload_name, redis_client
from tests.clocks import Clock

LOGIN, OWN, SEEN = 0, 4, 5
"""Places of times in what is kept of a session with ages: see life.lua."""


class Passing:
    """Lets time pass, in Redis and in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, seconds: float, *session_keys: str | None) -> None:
        """Let sessions grow older."""
        self._clock.now += seconds
        for key in session_keys:
            _sooner(payload_name(key), seconds)
            name = connection_for("default").keys.life(str(key))
            _rewrite(name, seconds)
            _sooner(name, seconds)

    def index(self, user: Any, seconds: float) -> None:
        """Let the index of a user grow older."""
        _sooner(index_name(user), seconds)


@contextmanager
def passing_time() -> Iterator[Passing]:
    """Let this process go by a clock that only ``Passing`` moves."""
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(seen, "time", clock)
        yield Passing(clock)


def _sooner(name: str, seconds: float) -> None:
    client = redis_client()
    left = client.pttl(name) - int(seconds * 1000)
    if left > 0:
        client.pexpire(name, left)
    else:
        client.delete(name)


def _rewrite(name: str, seconds: float) -> None:
    life = redis_client().get(name)
    if life is None or life.startswith(b"{"):
        return
    times = list(LIFE.unpack_from(life))
    for place in (LOGIN, OWN, SEEN):
        times[place] -= seconds * 1_000_000
    redis_client().set(name, LIFE.pack(*times) + life[LIFE.size :], keepttl=True)
