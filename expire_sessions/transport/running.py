"""Asking Redis, sync and async: one question, or a flow that asks many.

A flow is a generator. It yields what it wants from the world outside: a command or a
batch for Redis, or a ``Call``, which may block. ``run`` and ``arun`` give it that.
"""

import asyncio
import time
from collections.abc import Callable, Generator
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

from asgiref.sync import sync_to_async
from redis.exceptions import RedisError

from expire_sessions.protocol.asking import Asked
from expire_sessions.transport.connections import Connection
from expire_sessions.transport.exchanging import replies
from expire_sessions.transport.failures import Failures
from expire_sessions.transport.loops import lane_of

__all__ = ["Call", "Flow", "aask", "arun", "ask", "call", "run"]

T = TypeVar("T")


class Call(Generic[T]):
    """Something that may block: a handler, a signal, the database.

    In async it runs in the thread that Django's own sync code would run in.
    """

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function

    def __call__(self) -> T:
        """Do it."""
        try:
            return self._function()
        except StopIteration as error:
            # Thrown into a generator, or out of a thread, it would mean something else.
            raise RuntimeError(f"A handler raised {error!r}.") from error


Flow: TypeAlias = Generator[Asked[Any] | Call[Any], Any, T]


def call(function: Callable[[], T]) -> Flow[T]:
    """Call within a flow: the same as to yield ``Call``, with a type."""
    result: T = yield Call(function)
    return result


def ask(connection: Connection, asked: Asked[T]) -> T:
    """Ask Redis and return what its reply says. One round trip.

    Raises:
        StoreUnavailable: it does not answer, or refuses. See ``Failures``.
    """
    started, failures = time.monotonic(), None
    while True:
        try:
            return asked.read(replies(connection, asked, started))
        except RedisError as error:
            failures = failures or Failures(connection, started)
            again = failures.next_try(asked, error)
        if again.anew:
            connection.drop_idle()
        time.sleep(again.pause)
        asked = again.asked


async def aask(connection: Connection, asked: Asked[T]) -> T:
    """Ask as ``ask`` does, with the other commands of this turn of the event loop."""
    lane = lane_of(connection)
    if lane is None:
        return await sync_to_async(ask)(connection, asked)
    started, failures = time.monotonic(), None
    while True:
        try:
            return asked.read(await lane.replies(asked))
        except RedisError as error:
            failures = failures or Failures(connection, started)
            again = failures.next_try(asked, error)
        if again.anew:
            await lane.drop_idle()
        await asyncio.sleep(again.pause)
        asked = again.asked


def run(connection: Connection, flow: Flow[T]) -> T:
    """Run a flow to its end and return its result."""
    step: Callable[..., Any] = flow.send
    given: Any = None
    while True:
        try:
            wanted = step(given)
        except StopIteration as end:
            return cast("T", end.value)
        try:
            step, given = flow.send, _given(connection, wanted)
        except Exception as error:  # noqa: BLE001 - it is the flow's to handle
            step, given = flow.throw, error


async def arun(connection: Connection, flow: Flow[T]) -> T:
    """Run a flow as ``run`` does. Cancelled, it comes to its end first.

    A login that has its place has to say so; and what the store does next must not
    meet it half done. Only the end of the event loop ends it before.
    """
    if lane_of(connection) is None:
        return await sync_to_async(run)(connection, flow)
    task = asyncio.create_task(_arun(connection, flow))
    _running.add(task)
    task.add_done_callback(_done)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _arun(connection: Connection, flow: Flow[T]) -> T:
    step: Callable[..., Any] = flow.send
    given: Any = None
    while True:
        try:
            wanted = step(given)
        except StopIteration as end:
            return cast("T", end.value)
        try:
            step, given = flow.send, await _agiven(connection, wanted)
        except Exception as error:  # noqa: BLE001 - it is the flow's to handle
            step, given = flow.throw, error


_running: Final[set[asyncio.Task[Any]]] = set()
"""The event loop itself keeps no task alive."""


def _done(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # whoever waited has it; who was cancelled does not care


def _given(connection: Connection, wanted: Asked[Any] | Call[Any]) -> Any:
    return wanted() if isinstance(wanted, Call) else ask(connection, wanted)


async def _agiven(connection: Connection, wanted: Asked[Any] | Call[Any]) -> Any:
    if isinstance(wanted, Call):
        return await sync_to_async(wanted)()
    return await aask(connection, wanted)
