"""The process that measures on one server, started and asked by ``growth``."""

import random
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
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
from tests.benchmarks.worker import serve

__all__: list[str] = []

EACH = 5
"""Sessions of a user."""

TIMES = 200
"""Operations in a batch: some 10 ms, so that what disturbs falls on all sizes alike."""

SEEN = 50_000
"""Sessions that are drawn from all, and loaded once before anything is timed.

So a load of them marks nothing. They are spread over all of Redis's memory, and too
many for a processor's caches; the engine remembers twice as many in a process.
"""

CHECKED = 100
"""Sessions that are looked at after all are written."""

TWO_DAYS = 2 * 86400


def load(key: str) -> object:
    """Load a session; fails where it is not live."""
    return SessionStore(key).load()[NUMBER]


def change(key: str) -> object:
    """Load a session, change it and save it."""
    session = SessionStore(key)
    session[NUMBER] += 1
    return session.save()


class GrowthWorker:
    """Answers what the parent asks. Each public method is one of its commands."""

    def __init__(self) -> None:
        django.setup()
        self._keyspace = Keyspace.of("default")
        caches: dict[str, Any] = settings.CACHES
        self._bare = Redis.from_url(caches["default"]["LOCATION"])
        self._chance = random.Random(1)
        self._users = 0
        self._seen: list[str] = []
        self._operations: dict[str, tuple[Callable[[str], object], list[str]]] = {
            "load": (load, ["get"]),
            "change": (change, ["get", "evalsha"]),
            "get": (self._get, ["get"]),
            "get_and_set": (self._get_and_set, ["get", "set"]),
        }
        self._in_redis: dict[str, list[float]] = {}

    def memory(self) -> dict[str, Any]:
        """Return what each kind of key takes. The server is empty before."""
        call_command("migrate", verbosity=0)
        return memory.measure(self._keyspace)

    def fill(self, sessions: int) -> dict[str, float]:
        """Write so many sessions; return how long it took and the bytes they use."""
        client, begin = self._keyspace.client, time.perf_counter()
        before = memory.used(client)
        self._users = sessions // EACH
        users = range(FIRST_USER, FIRST_USER + self._users)
        writer = Writer(self._keyspace, seen_ago=TWO_DAYS)
        writer.write(users, range(EACH), Part.PAYLOAD | Part.INDEX)
        memory.settle(client)
        took = time.perf_counter() - begin
        used = memory.used(client) - before
        self._check()
        self._seen = [self._draw()[1] for _ in range(min(SEEN, sessions))]
        for key in self._seen:
            load(key)
        return {
            "sessions": sessions,
            "used_memory": used,
            "per_session": used / sessions,
            "fill_s": took,
        }

    def begin(self) -> None:
        """Begin to note what Redis itself is at."""
        self._in_redis = {name: [] for name in self._operations}
        self._keyspace.client.config_resetstat()

    def run(self, name: str) -> float:
        """Time a batch; return the seconds that its middle one took.

        The middle one: a virtual machine may have to wait for memory that it has not
        looked at for long, and has the more of it the larger the size.
        """
        act, commands = self._operations[name]
        times = [_timed(act, key) for key in self._chance.choices(self._seen, k=TIMES)]
        if self._in_redis:
            self._in_redis[name].append(self._server_seconds(commands) / TIMES)
        return statistics.median(times)

    def end(self) -> dict[str, float]:
        """Check the sessions; return the seconds of each operation in Redis itself."""
        self._check()  # nobody was evicted, and nobody joined another's index
        return {name: statistics.fmean(each) for name, each in self._in_redis.items()}

    def _draw(self) -> tuple[int, str]:
        return draw(self._chance, self._users, EACH)

    def _server_seconds(self, commands: Iterable[str]) -> float:
        """Return how long Redis itself has been at these since it was last asked."""
        client = self._keyspace.client
        found = client.info("commandstats")
        client.config_resetstat()
        microseconds = sum(
            found.get(f"cmdstat_{name}", {"usec": 0})["usec"] for name in commands
        )
        return float(microseconds / 1e6)

    def _check(self) -> None:
        """Raise where a session is missing, or not in the index of its user."""
        client = self._keyspace.client
        assert client.dbsize() == self._users * (EACH + 1)
        for _ in range(CHECKED):
            user, key = self._draw()
            members = client.zrange(self._keyspace.index(str(user)), 0, -1)
            assert key.encode() in members
            assert len(members) == EACH
            assert SessionStore(key)["_auth_user_id"] == str(user)

    def _get(self, key: str) -> object:
        """GET of a payload with bare redis-py."""
        return len(self._bare.get(self._keyspace.payload(key)))  # type: ignore[arg-type]

    def _get_and_set(self, key: str) -> object:
        """GET and SET of a payload with bare redis-py."""
        name = self._keyspace.payload(key)
        return self._bare.set(name, self._bare.get(name), px=AGE)  # type: ignore[arg-type]


def _timed(act: Callable[[str], object], key: str) -> float:
    begin = time.perf_counter()
    act(key)
    return time.perf_counter() - begin


if __name__ == "__main__":
    serve(GrowthWorker)
