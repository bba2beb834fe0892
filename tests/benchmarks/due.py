"""Loads of sessions that this process has not seen in the current interval.

With many processes most loads are such: a request comes to another process than the
one before, and each remembers for itself which sessions it has marked seen. So every
session here is loaded for the first time by the process. They are written past it, one
session for each user, before each batch; only the loads are timed.
"""

from importlib import import_module
from typing import Any

from django.contrib.auth import get_user_model

from tests.benchmarks.engine import Keyspace
from tests.benchmarks.operations import Operation
from tests.benchmarks.population import FIRST_USER, Part, Writer, session_key

__all__ = ["OPERATIONS"]

APART = 1_000_000
"""Users of one operation at most."""

WARM = 20
"""Loads before each batch, of the same kind as its own."""

AN_HOUR = 3600


class Due(Operation):
    """Load sessions that were last seen an hour ago: each load marks one seen."""

    most = 200
    place = 0
    """Which users: each operation has its own."""

    seen_ago: tuple[int, ...] = (AN_HOUR,)
    """Seconds since a session was last seen, in turn."""

    is_all_due = True

    def prepare(self) -> None:
        self.next = FIRST_USER + self.place * APART
        self.end = self.next + APART
        self.is_ours = self.site.contender.is_ours
        self.keyspace = Keyspace.of("default")

    def ready(self, times: int) -> None:
        keys = self.written(WARM + times)
        # Also because a connection that was written on is closed after it.
        for key in keys[:WARM]:
            self.one(key)
        self.keys = keys[WARM:]

    def run(self, times: int) -> None:
        one = self.one
        for key in self.keys:
            self.data = one(key)

    def check(self) -> None:
        assert self.data["_auth_user_id"] == str(self.last), "the session has ended"
        if self.is_ours and self.is_all_due:
            seen = self.keyspace.last_seen(str(self.last), self.keys[-1])
            ago = int(self.keyspace.client.time()[0]) - (seen or 0) / 1e6
            assert ago < AN_HOUR / 2, "it was not marked seen"

    def one(self, key: str) -> dict[str, Any]:
        data: dict[str, Any] = self.site.store(key).load()
        return data

    def written(self, count: int) -> list[str]:
        """Write sessions that this process does not know; return their keys."""
        users = range(self.next, self.next + count)
        assert users.stop <= self.end, "the next operation's users begin there"
        self.next, self.last = users.stop, users.stop - 1
        part = Part.PAYLOAD | Part.INDEX if self.is_ours else Part.PAYLOAD
        for at, ago in enumerate(self.seen_ago):
            some = users[at :: len(self.seen_ago)]
            Writer(self.keyspace, seen_ago=ago).write(some, range(1), part)
        return [session_key(user, 0) for user in users]


class Mix(Due):
    """Loads in one of 32 processes, with a request every 20 seconds for each session.

    The default interval is 60 seconds, so a session makes three requests in one. The
    first comes to a process that has not seen it in this interval; the second does so
    with a chance of 31 in 32, the third of 31² in 32²: 97 % of all. Keep-alive has some
    requests come to the same process again, so nine loads in ten are due here, and one
    is of a session that the process has just seen.

    The session's last request was 20 seconds ago, to another process. Its mark in Redis
    is as old, where every process marks for itself; 40 or 60 too, where a mark younger
    than the interval is left as it is. All three are here in turn. One session for each
    user, as the default limit has it.
    """

    place = 1
    seen_ago = (20, 40, 61)
    is_all_due = False

    def ready(self, times: int) -> None:
        super().ready(times)
        for key in self.keys[9::10]:
            self.one(key)


class MixWithHandler(Mix):
    """The same with ``superuser_handler`` connected, and all users in the database."""

    place = 2

    def prepare(self) -> None:
        super().prepare()
        if self.is_ours:
            signals = import_module("expire_sessions.signals")
            self.handler, self.signal = signals.superuser_handler, signals.expire_check
            self.signal.connect(self.handler)

    def written(self, count: int) -> list[str]:
        model = get_user_model()
        users = range(self.next, self.next + count)
        model._default_manager.bulk_create(
            (model(pk=user, username=f"{user}", password="!") for user in users),
            ignore_conflicts=True,  # an earlier launch has made them
        )
        return super().written(count)

    def close(self) -> None:
        if self.is_ours:
            self.signal.disconnect(self.handler)


OPERATIONS = {"due.load": Due, "due.mix": Mix, "due.handler": MixWithHandler}
