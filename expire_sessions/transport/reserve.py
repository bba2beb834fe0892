"""Connections that go from one question to the next without the pool between.

To take a connection from a pool of redis-py and give it back costs a third of a round
trip on loopback: a look whether the server has closed it, locks, its own metrics. So a
connection that was just looked at serves for a second without.
"""

import os
import weakref
from collections import deque
from typing import Any, Final

from redis import ConnectionPool, Redis
from redis.sentinel import SentinelConnectionPool

__all__ = ["Reserve", "reserve_for"]

LOOKED_AT: Final = 1.0
"""Seconds for which a connection need not be looked at again. What the pool does with
one that comes back (another primary, new credentials) happens as often."""


POOLS: Final = (ConnectionPool, SentinelConnectionPool)


class Reserve:
    """The connections of a pool that were used a moment ago. Safe between threads."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._spare: deque[tuple[Any, float]] = deque()
        _reserves.add(self)

    def take(self, now: float) -> tuple[Any, float]:
        """Return a connection, and when it was looked at: ``now``, or before."""
        try:
            connection, looked_at = self._spare.pop()
        except IndexError:
            return self._pool.get_connection(), now
        if now - looked_at < LOOKED_AT:
            return connection, looked_at
        self._pool.release(connection)
        return self._pool.get_connection(), now

    def give_back(self, connection: Any, looked_at: float) -> None:
        """Keep a connection for the next to ask. No reply may be under way on it."""
        self._spare.append((connection, looked_at))

    def drop(self, connection: Any) -> None:
        """Close a connection, on which anything may be under way."""
        connection.disconnect()
        self._pool.release(connection)

    def hand_back(self) -> None:
        """Give all that is kept here back to the pool."""
        while self._spare:
            self._pool.release(self._spare.pop()[0])

    def empty(self) -> None:
        """Close all that is kept here."""
        while self._spare:
            self.drop(self._spare.pop()[0])

    def forget(self) -> None:
        """Keep nothing of a parent process: it goes on using its connections."""
        self._spare = deque()


def reserve_for(client: Any) -> Reserve | None:
    """Return a reserve for a client, or None where it has ways of its own.

    A pool that lets callers wait for a connection has to see each that is free.
    """
    if type(client) is not Redis or client.connection is not None:
        return None
    pool = client.connection_pool
    return Reserve(pool) if type(pool) in POOLS else None


_reserves: Final[weakref.WeakSet[Reserve]] = weakref.WeakSet()


def _forget_parent() -> None:
    for reserve in list(_reserves):
        reserve.forget()


os.register_at_fork(after_in_child=_forget_parent)
