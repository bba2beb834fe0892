"""Keep session keys out of tracebacks.

Error reports show the local variables of every frame: Django's HTML report, Sentry and
others. In the frames around a command to Redis these hold the session key, which signs
in whoever has it. So these frames are dropped: the message says what went wrong, and
the frames above say who asked.
"""

import functools
import inspect
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar, cast

from expire_sessions.exceptions import StoreUnavailable

__all__ = ["without_frames", "without_keys"]

P = ParamSpec("P")
R = TypeVar("R")


def without_frames(error: BaseException) -> BaseException:
    """Drop the frames of an error of redis-py, and of all that led to it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        found = waiting.pop()
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            found.__traceback__ = None
            waiting += [found.__cause__, found.__context__]
    return error


def without_keys(method: Callable[P, R]) -> Callable[P, R]:
    """Let an outage leave a public method, sync or async, without the frames below."""
    if inspect.iscoroutinefunction(method):
        return cast("Callable[P, R]", _without_keys_async(method))

    @functools.wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except StoreUnavailable as error:
            unavailable = error.with_traceback(None)
        del args, kwargs  # a report shows the variables of this frame as well
        raise unavailable

    return wrapper


def _without_keys_async(
    method: Callable[P, Awaitable[R]],
) -> Callable[P, Awaitable[R]]:
    @functools.wraps(method)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await method(*args, **kwargs)
        except (StoreUnavailable, CancelledError) as error:
            # A time-out of the project shows where it was cancelled.
            bare = error.with_traceback(None)
        del args, kwargs
        raise bare

    return wrapper
