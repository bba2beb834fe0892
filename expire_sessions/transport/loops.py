"""The async clients: one for each event loop and cache alias, closed with its loop.

An async client belongs to one loop. An async generator that is kept open in the loop is
closed by whoever closes the loop (``asyncio.run``, uvicorn, pytest-asyncio), inside it,
and closes the clients. A weak dictionary would not: a client holds its loop.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Final

from asgiref.sync import AsyncToSync
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import RedisError, ResponseError

from expire_sessions.protocol.asking import Asked, Batch
from expire_sessions.tracebacks import without_frames
from expire_sessions.transport.async_clients import async_client, close_client
from expire_sessions.transport.connections import Connection

__all__ = ["Lane", "lane_of"]

MOST_AT_ONCE: Final = 8
"""Round trips under way in one loop. More would only make smaller batches."""

Turn = list[tuple[Any, asyncio.Future[Any]]]
"""The words of commands, and who waits for each reply."""


class Lane:
    """The way from one event loop to one Redis.

    The commands of one turn of the loop go together, in one round trip: a coroutine
    that waits lets the others ask before anything is sent.
    """

    def __init__(self, connection: Connection, client: Any) -> None:
        self._client = client
        most = getattr(connection.client.connection_pool, "max_connections", None)
        self._most = min(MOST_AT_ONCE, most or MOST_AT_ONCE)
        self._loop = asyncio.get_running_loop()
        self._waiting: Turn = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def replies(self, asked: Asked[Any]) -> Any:
        """Return the reply to a command, or those to a batch.

        Cancelling who waits cancels nothing that is under way: no connection is left
        with a reply that nobody has read.
        """
        if not isinstance(asked, Batch):
            return await self._reply_to(asked.words)
        waiting = [self._reply_to(command.words) for command in asked.commands]
        replies = await asyncio.gather(*waiting, return_exceptions=True)
        for reply in replies:
            if isinstance(reply, BaseException) and not isinstance(
                reply, ResponseError
            ):
                raise reply
        return replies

    async def drop_idle(self) -> None:
        """Close the idle connections."""
        await self._client.connection_pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        """Close every connection."""
        await close_client(self._client)

    def _reply_to(self, words: Any) -> asyncio.Future[Any]:
        reply = self._loop.create_future()
        self._waiting.append((words, reply))
        if len(self._waiting) == 1:
            self._loop.call_soon(self._send)
        return reply

    def _send(self) -> None:
        if self._waiting and len(self._under_way) < self._most:
            turn, self._waiting = self._waiting, []
            task = self._loop.create_task(self._round_trip(turn))
            self._under_way.add(task)
            task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._send()

    async def _round_trip(self, turn: Turn) -> None:
        try:
            pipeline = self._client.pipeline(transaction=False)
            for words, _ in turn:
                pipeline.execute_command(*words)
            replies = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError, RuntimeError) as error:  # uvloop says it so
            # One for each who waits: whoever raises it leaves traces on it.
            replies = [_bare(error) for _ in turn]
        except BaseException:  # the loop is being closed, or there is a mistake
            for _, waiting in turn:
                waiting.cancel()
            raise
        for (_, waiting), reply in zip(turn, replies, strict=True):
            if waiting.done():
                continue  # cancelled
            if isinstance(reply, Exception):
                waiting.set_exception(reply)
            else:
                waiting.set_result(reply)


def _bare(error: Exception) -> Exception:
    """Return an error of redis-py, without frames: they hold every session key."""
    if not isinstance(error, RedisError):
        return NoConnection(str(error))
    bare: Any = copy(without_frames(error))
    bare.__cause__ = error.__cause__  # what Redis answered; a copy does without it
    return bare  # type: ignore[no-any-return] # of its own class


@dataclass(slots=True)
class _Loop:
    loop: asyncio.AbstractEventLoop
    lanes: dict[str, tuple[Connection, Lane | None]] = field(default_factory=dict)
    closing: set[asyncio.Task[None]] = field(default_factory=set)
    guard: AsyncGenerator[None, None] | None = None


_loops: Final[dict[int, _Loop]] = {}


def lane_of(connection: Connection) -> Lane | None:
    """Return the lane of the running loop to this connection; None: use a thread.

    A loop that lives for one call only (``async_to_sync``, an async view under WSGI)
    would connect for that call alone: a thread is four times as fast. So is it used
    where the client has no async twin.
    """
    loop = asyncio.get_running_loop()
    entry = _loops.get(id(loop))
    if entry is None or entry.loop is not loop:
        if _lives_for_one_call(loop):
            return None
        entry = _enter(loop)
    known, lane = entry.lanes.get(connection.alias, (None, None))
    if known is connection:
        return lane
    if lane is not None:  # the settings have changed
        task = loop.create_task(lane.close())
        entry.closing.add(task)
        task.add_done_callback(entry.closing.discard)
    client = async_client(connection.client)
    lane = None if client is None else Lane(connection, client)
    entry.lanes[connection.alias] = connection, lane
    return lane


def _lives_for_one_call(loop: asyncio.AbstractEventLoop) -> bool:
    # Not documented. Without it such a loop would be as right, and slower.
    return loop in getattr(AsyncToSync, "loop_thread_executors", ())


def _enter(loop: asyncio.AbstractEventLoop) -> _Loop:
    for name, other in list(_loops.items()):
        if other.loop.is_closed():  # by somebody who closed no generators
            _loops.pop(name, None)
    entry = _loops[id(loop)] = _Loop(loop)
    entry.guard = _close_with_loop(entry)
    with suppress(StopIteration):  # it runs to its yield: the loop knows it now
        entry.guard.__anext__().send(None)
    return entry


async def _close_with_loop(entry: _Loop) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        _loops.pop(id(entry.loop), None)
        for _, lane in entry.lanes.values():
            if lane is not None:
                await lane.close()
