"""The process that measures memory and growth, started by ``growth``.

It alone has Django set up. It prints its result as JSON.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings
from redis import Redis

from expire_sessions.backend import SessionStore
from tests.benchmarks import memory
from tests.benchmarks.engine import Keyspace
from tests.benchmarks.population import (
    AGE,
    FIRST_USER,
    NUMBER,
    Part,
    Writer,
    draw,
)
from tests.benchmarks.rounds import Timer, in_turns

__all__: list[str] = []

EACH = 5
"""Sessions of a user."""

TIMES = 200
"""Operations in a batch: some 10 ms, so that what disturbs falls on all sizes alike."""

TURNS = 10
"""Batches in a round: these ratios are so near to 1 that they need many."""

CHECKED = 100
"""Sessions that are looked at after all are written."""


class Size:
    """A server with so many sessions in it."""

    def __init__(self, alias: str, sessions: int) -> None:
        self.alias = alias
        self.sessions = sessions
        self.keyspace = Keyspace.of(alias)
        self._users = sessions // EACH
        self._chance = random.Random(1)

    def fill(self) -> dict[str, float]:
        """Write all sessions; return how long it took and the bytes they use."""
        sys.stderr.write(f"writing {self.sessions:,} sessions\n")
        client, begin = self.keyspace.client, time.perf_counter()
        before = memory.used(client)
        users = range(FIRST_USER, FIRST_USER + self._users)
        Writer(self.keyspace).write(users, range(EACH), Part.PAYLOAD | Part.INDEX)
        memory.settle(client)
        took = time.perf_counter() - begin
        used = memory.used(client) - before
        self.check()
        return {
            "used_memory": used,
            "per_session": used / self.sessions,
            "fill_s": took,
        }

    def keys(self) -> list[str]:
        """Draw the sessions of a batch."""
        return [draw(self._chance, self._users, EACH)[1] for _ in range(TIMES)]

    def server_seconds(self, commands: Iterable[str]) -> float:
        """Return how long Redis itself has been at these since it was last asked."""
        client = self.keyspace.client
        found = client.info("commandstats")
        client.config_resetstat()
        microseconds = sum(
            found.get(f"cmdstat_{name}", {"usec": 0})["usec"] for name in commands
        )
        return float(microseconds / 1e6)

    def check(self) -> None:
        """Raise where a session is missing, or not in the index of its user."""
        assert self.keyspace.client.dbsize() == self._users * (EACH + 1)
        with override_settings(SESSION_CACHE_ALIAS=self.alias):
            for _ in range(CHECKED):
                user, key = draw(self._chance, self._users, EACH)
                members = self.keyspace.client.zrange(
                    self.keyspace.index(str(user)), 0, -1
                )
                assert key.encode() in members
                assert len(members) == EACH
                assert SessionStore(key)["_auth_user_id"] == str(user)


Operation = Callable[[Size], Callable[[str], object]]


def load(size: Size) -> Callable[[str], object]:
    """Load a session; fails where it is not live."""
    return lambda key: SessionStore(key).load()[NUMBER]


def change(size: Size) -> Callable[[str], object]:
    """Load a session, change it and save it."""

    def act(key: str) -> None:
        session = SessionStore(key)
        session[NUMBER] += 1
        session.save()

    return act


def get(size: Size) -> Callable[[str], object]:
    """GET of a payload with bare redis-py."""
    client, name = _bare(size), size.keyspace.payload
    return lambda key: len(client.get(name(key)))


def get_and_set(size: Size) -> Callable[[str], object]:
    """GET and SET of a payload with bare redis-py."""
    client, name = _bare(size), size.keyspace.payload

    def act(key: str) -> None:
        client.set(name(key), client.get(name(key)), px=AGE)

    return act


OPERATIONS: dict[str, tuple[Operation, tuple[str, ...]]] = {
    "load": (load, ("get",)),
    "change": (change, ("get", "evalsha")),
    "get": (get, ("get",)),
    "get_and_set": (get_and_set, ("get", "set")),
}
"""Each with the commands that it sends."""


def timer(size: Size, act: Callable[[str], object]) -> Timer:
    """Return what times a batch, on sessions drawn before.

    The median of single times: a virtual machine may have to wait for memory that it
    has not looked at for long, and has the more of it the larger the size.
    """

    def one(key: str) -> float:
        begin = time.perf_counter()
        act(key)
        return time.perf_counter() - begin

    def batch() -> float:
        keys = size.keys()
        with override_settings(SESSION_CACHE_ALIAS=size.alias):
            return statistics.median([one(key) for key in keys])

    return batch


def grow(sizes: dict[str, int], rounds: int) -> dict[str, Any]:
    """Fill a server for each size, and time every operation at all sizes in turns."""
    servers = [Size(alias, sessions) for alias, sessions in sizes.items()]
    held = {size.alias: {"sessions": size.sessions, **size.fill()} for size in servers}
    found: dict[str, Any] = {"held": held, "samples": {}, "in_redis": {}}
    for name, (operation, commands) in OPERATIONS.items():
        timers = {size.alias: timer(size, operation(size)) for size in servers}
        in_turns(timers, 1)  # connections are opened, and scripts loaded
        for size in servers:
            size.server_seconds(commands)
        found["samples"][name] = in_turns(timers, rounds * TURNS)
        found["in_redis"][name] = {
            size.alias: size.server_seconds(commands) / (rounds * TURNS * TIMES)
            for size in servers
        }
    for size in servers:
        size.check()  # nobody was evicted, and nobody joined another's index
    return found


def main() -> None:
    """Measure and print the result."""
    parser = argparse.ArgumentParser(prog="growth_worker", description=__doc__)
    parser.add_argument("rounds", type=int)
    parser.add_argument("sizes", type=json.loads, help="sessions for each cache alias")
    options = parser.parse_args()
    django.setup()
    call_command("migrate", verbosity=0)
    result = {
        "memory": memory.measure(Keyspace.of("default")),
        "growth": grow(options.sizes, options.rounds),
    }
    json.dump(result, sys.stdout)


def _bare(size: Size) -> Any:
    caches: dict[str, Any] = settings.CACHES
    return Redis.from_url(caches[size.alias]["LOCATION"])


if __name__ == "__main__":
    main()
