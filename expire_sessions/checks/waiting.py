"""Check how long a request may wait for a Redis that is silent."""

from collections.abc import Iterator
from math import isinf
from typing import Any, Final

from django.core.checks import CheckMessage

from expire_sessions.checks.messages import Section, warning
from expire_sessions.transport import timeouts
from expire_sessions.transport.sentinels import sentinels_of
from expire_sessions.transport.timeouts import DefaultTimeout, longest_wait

__all__ = ["LONGEST", "check_waiting"]

LONGEST: Final = 30
"""Seconds after which gunicorn kills a worker, with all that it is doing."""


def check_waiting(client: Any) -> list[CheckMessage]:
    """W037 to W039: the time-outs of a client of redis-py. No round trip."""
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        return []  # a client of the project, which has its own ways
    return [*_check_timeouts(pool), *_check_sentinels(pool), *_check_longest_wait(pool)]


def _check_timeouts(pool: Any) -> Iterator[CheckMessage]:
    if _is_default(pool):
        text = (
            "The session cache has no time-out of its own. Sessions wait"
            f" {timeouts.SECONDS:g} s for an answer; what else uses this cache waits as"
            " long as redis-py does, which is for ever before redis-py 8."
        )
        hint = "Set SOCKET_TIMEOUT and SOCKET_CONNECT_TIMEOUT in its OPTIONS."
        yield warning("W037", text, Section.TIMEOUTS, hint)


def _check_sentinels(pool: Any) -> Iterator[CheckMessage]:
    if any(_is_default(sentinel.connection_pool) for sentinel in sentinels_of(pool)):
        text = (
            "The sentinels of the session cache have no time-out of their own. Sessions"
            f" wait {timeouts.SENTINEL_SECONDS:g} s for each; whatever else uses this"
            " cache may wait for minutes where one is silent."
        )
        hint = 'Set socket_timeout and socket_connect_timeout in "SENTINEL_KWARGS".'
        yield warning("W038", text, Section.SENTINEL, hint)


def _check_longest_wait(pool: Any) -> Iterator[CheckMessage]:
    try:
        seconds = longest_wait(pool)
    except Exception:  # noqa: BLE001 - its options are wrong: no connection can be made
        return
    if seconds > LONGEST:
        words = "without end" if isinf(seconds) else f"for {seconds:g} s"
        text = (
            f"Where Redis is silent, a request waits {words}, and a web server gives up"
            f" on it before: gunicorn kills its worker after {LONGEST} s."
        )
        hint = "Set shorter time-outs and fewer retries."
        yield warning("W039", text, Section.TIMEOUTS, hint)


def _is_default(pool: Any) -> bool:
    return isinstance(pool.connection_kwargs.get("socket_timeout"), DefaultTimeout)
