"""One round trip with Redis, sync: words out, replies in. Nothing is tried again."""

from types import FunctionType
from typing import Any, Final

import redis.client
from redis import Redis
from redis.exceptions import ResponseError

from expire_sessions.conf import conf
from expire_sessions.protocol.asking import Asked, Batch
from expire_sessions.transport.connections import Connection
from expire_sessions.transport.reserve import Reserve

__all__ = ["replies"]


def replies(connection: Connection, asked: Asked[Any], now: float) -> Any:
    """Return the reply to a command, or those to a batch.

    As they come over the wire, or as the client's callbacks make them: readers know
    both.

    Args:
        now: by the monotonic clock.

    Raises:
        redis.exceptions.RedisError: as redis-py raises it. What a command of a batch
            was refused with is its reply.
    """
    reserve = connection.reserve
    if reserve is None:
        return _by_client(connection.client, asked)
    # A connection at hand may have been closed meanwhile, and needs the second try.
    if conf.timeout and Redis.execute_command is EXECUTE:
        return _by_reserve(reserve, asked, now)
    reserve.hand_back()  # the client takes its connections from the pool
    return _by_client(connection.client, asked)


def _is_redis_pys(method: Any) -> bool:
    """Tell whether a method is as redis-py defines it, and nobody has wrapped it."""
    return isinstance(method, FunctionType) and (
        method.__code__.co_filename == redis.client.__file__
    )


EXECUTE: Final = Redis.execute_command if _is_redis_pys(Redis.execute_command) else None
"""What sends a command where nobody looks on. Around each, redis-py 8 reads the clock
twice, formats labels for its own metrics and builds three closures: a sixth of a round
trip on loopback. A pool and its connections are as public, and do without."""


def _by_client(client: Any, asked: Asked[Any]) -> Any:
    """Ask in redis-py's own way: for a tracer, or where nothing is tried again."""
    if not isinstance(asked, Batch):
        return client.execute_command(*asked.words)
    pipeline = client.pipeline(transaction=False)
    for command in asked.commands:
        pipeline.execute_command(*command.words)
    return pipeline.execute(raise_on_error=False)


def _by_reserve(reserve: Reserve, asked: Asked[Any], now: float) -> Any:
    connection, looked_at = reserve.take(now)
    try:
        if isinstance(asked, Batch):
            reply = _exchanged_batch(connection, asked)
        else:
            connection.send_command(*asked.words)
            reply = connection.read_response()
    except ResponseError:
        reserve.give_back(connection, looked_at)
        raise
    except BaseException:
        reserve.drop(connection)  # the next to use it must not read this reply
        raise
    reserve.give_back(connection, looked_at)
    return reply


def _exchanged_batch(connection: Any, batch: Batch[Any]) -> list[Any]:
    packed = connection.pack_commands([command.words for command in batch.commands])
    connection.send_packed_command(packed)
    found: list[Any] = []
    for _ in batch.commands:
        try:
            found.append(connection.read_response())
        except ResponseError as error:
            found.append(error)
    return found
