"""Event loops for the tests, as a server keeps one: the engine asks natively there."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

from expire_sessions.transport.connections import connection_for
from expire_sessions.transport.loops import lane_of

T = TypeVar("T")


def on_a_loop(act: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine function on a loop of its own, and prove that it is native."""

    async def main() -> T:
        assert lane_of(connection_for("default")) is not None
        try:
            return await act()
        finally:
            # The thread of Django's sync code keeps a connection for itself.
            await sync_to_async(connections.close_all)()

    return asyncio.run(main())


class ServerLoop:
    """A loop that stays, as a server's: each call runs on it to its end."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def __call__(self, awaitable: Awaitable[T]) -> T:
        """Run something on the loop."""

        async def main() -> T:
            assert lane_of(connection_for("default")) is not None
            return await awaitable

        return self._runner.run(main())

    def close(self) -> None:
        """Close the loop, and the database connection of its thread."""
        self._runner.run(sync_to_async(connections.close_all)())
        self._runner.close()


@contextmanager
def server_loop() -> Iterator[ServerLoop]:
    """Keep a loop while the block lasts."""
    loop = ServerLoop()
    try:
        yield loop
    finally:
        loop.close()


class Complaints(logging.Handler):
    """What asyncio complains of: tasks destroyed, exceptions that nobody has taken."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note it."""
        self.heard.append(record.getMessage())

    def __enter__(self) -> list[str]:
        logging.getLogger("asyncio").addHandler(self)
        return self.heard

    def __exit__(self, *error: object) -> None:
        logging.getLogger("asyncio").removeHandler(self)
