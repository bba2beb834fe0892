"""How long an operation may wait for a Redis that is silent.

redis-py has had a time-out by default since version 8 (5 s); before, a server that
takes a connection and never answers hangs a request for ever. Sentinels are asked with
ten retries unless told otherwise, so one of them that is silent takes a minute.

So whatever the project has not set is set here, on the pool that sessions alone use:

=====================================  ===========  =================================
what                                   here         how a project sets it
=====================================  ===========  =================================
reading a reply                        5 s          ``SOCKET_TIMEOUT``
connecting                             as reading   ``SOCKET_CONNECT_TIMEOUT``
the same two, asking a sentinel        1 s          in ``SENTINEL_KWARGS``, or as above
repeating a question to a sentinel     no           ``retry`` in ``SENTINEL_KWARGS``
=====================================  ===========  =================================

``longest_wait`` says what they come to, with ``EXPIRE_TIMEOUT``.
"""

from collections.abc import Mapping
from math import inf
from typing import Any, Final

from redis.backoff import NoBackoff
from redis.retry import Retry

from expire_sessions.conf import conf
from expire_sessions.transport.sentinels import sentinels_of

__all__ = [
    "SECONDS",
    "SENTINEL_SECONDS",
    "DefaultTimeout",
    "longest_wait",
    "set_timeouts",
]

SECONDS: float = 5
"""Redis answers in about a millisecond: where it takes seconds, it is an outage. It is
what redis-py 8 waits, and well below the 30 s after which gunicorn kills a worker."""

SENTINEL_SECONDS: float = 1
"""There are others to ask, and a request waits for each silent one in turn."""

READ: Final = "socket_timeout"
CONNECT: Final = "socket_connect_timeout"


class DefaultTimeout(float):
    """A time-out that the project has not chosen: the checks tell it by its type."""


def set_timeouts(pool: Any) -> None:
    """Give a pool of redis-py the time-outs that its project has not set.

    Changes the pool, so it must be one that nobody else uses, and not connected yet.
    """
    _set(pool.connection_kwargs, pool.connection_kwargs, SECONDS)
    for sentinel in sentinels_of(pool):
        # What is in the arguments of its pool may be redis-py's own default.
        chosen = pool.sentinel_manager.sentinel_kwargs
        arguments = sentinel.connection_pool.connection_kwargs
        _set(arguments, chosen, SENTINEL_SECONDS)
        if "retry" not in chosen:
            arguments["retry"] = Retry(NoBackoff(), 0)


def longest_wait(pool: Any) -> float:
    """Return the seconds that an operation may wait for nobody; inf: for ever.

    It is tried again until ``EXPIRE_TIMEOUT`` has passed since it began, or once more
    where a script was not answered; and the last try may take as long as any: it may
    have to connect, and wait for a reply. What redis-py does by itself is counted where
    the project has set it up: ``retry`` for connecting, a round more for
    ``health_check_interval``, the wait for a free connection of a
    ``BlockingConnectionPool``.

    Not counted: in async, the wait for one of eight round trips under way, which is one
    read time-out at most; looking up a host name; and a server that does answer, but
    slowly (each reply starts the time anew).
    """
    # As it would be made: the defaults of redis-py hold.
    connection = pool.connection_class(**pool.connection_kwargs)
    first_try = max(conf.timeout, _seconds(connection.socket_timeout))
    return first_try + _longest_try(pool)


def _longest_try(pool: Any) -> float:
    connection = pool.connection_class(**pool.connection_kwargs)
    retries = connection.retry.get_retries()
    if retries < 0:
        return inf
    read = _seconds(connection.socket_timeout)
    reaching = max(_seconds(connection.socket_connect_timeout), read)
    asking = sum(_longest_try(each.connection_pool) for each in sentinels_of(pool))
    rounds = retries + (2 if connection.health_check_interval else 1)
    waiting = _seconds(getattr(pool, "timeout", 0))
    return float(rounds * (asking + reaching) + waiting)


def _set(arguments: dict[str, Any], chosen: Mapping[str, Any], seconds: float) -> None:
    read, connect = chosen.get(READ), chosen.get(CONNECT)
    arguments[READ] = DefaultTimeout(seconds) if read is None else read
    arguments[CONNECT] = arguments[READ] if connect is None else connect


def _seconds(timeout: float | None) -> float:
    return inf if timeout is None else timeout
