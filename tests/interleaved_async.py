"""The actors of the interleavings over the async engine.

Each actor's thread has an event loop that stays. Its store awaits the async methods
where the actor calls the sync ones, so the actors are the same. What the engine would
do in a thread (handlers, signals, the database) happens in the actor's own, where the
gates are: whose turn it is has to be one thread's to say.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from django.db import connection

from expire_sessions.backend import SessionStore
from expire_sessions.receivers import beside
from expire_sessions.transport import running
from expire_sessions.transport.connections import connection_for
from expire_sessions.transport.loops import lane_of
from tests import interleaved_actors
from tests.interleaving import at_end, gated_statement

__all__ = ["AwaitingStore", "awaiting_actors"]

T = TypeVar("T")

_local = threading.local()


def _awaited(awaitable: Awaitable[T]) -> T:
    """Await something on the event loop of this thread."""

    async def main() -> T:
        assert lane_of(connection_for("default")) is not None, "not by a thread"
        return await awaitable

    if not hasattr(_local, "runner"):
        _local.runner = asyncio.Runner()
        at_end(_local.runner.close)
    runner: asyncio.Runner = _local.runner
    return runner.run(main())


class AwaitingStore(SessionStore):
    """A store whose sync methods await their async twins."""

    def load(self) -> dict[str, Any]:
        """Await ``aload``."""
        return _awaited(self.aload())

    def save(self, must_create: bool = False) -> None:
        """Await ``asave``."""
        _awaited(self.asave(must_create))

    def create(self) -> None:
        """Await ``acreate``."""
        _awaited(self.acreate())

    def delete(self, session_key: str | None = None) -> None:
        """Await ``adelete``."""
        _awaited(self.adelete(session_key))

    def flush(self) -> None:
        """Await ``aflush``."""
        _awaited(self.aflush())

    def cycle_key(self) -> None:
        """Await ``acycle_key``."""
        _awaited(self.acycle_key())


def _here(function: Callable[..., T]) -> Callable[..., Awaitable[T]]:
    async def called(*args: Any) -> T:
        # In a coroutine Django has another connection than around it.
        try:
            with connection.execute_wrapper(gated_statement):
                return function(*args)
        finally:
            connection.close()

    return called


@contextmanager
def awaiting_actors() -> Iterator[None]:
    """Let the actors use the async engine while the block lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        patch.setattr(running, "sync_to_async", _here)
        patch.setattr(beside, "_is_loop_running", lambda: False)
        patch.setattr(interleaved_actors, "SessionStore", AwaitingStore)
        yield
