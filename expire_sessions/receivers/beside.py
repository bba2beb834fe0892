"""Receivers that may write to the database, wherever their signal is sent."""

import asyncio
import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from django.db import connections

from expire_sessions.models import LoggedSession
from expire_sessions.models.rows import own_savepoint

__all__ = ["beside_the_loop", "logged"]

logger: Final = logging.getLogger("expire_sessions")


def beside_the_loop(write: Callable[..., None]) -> Callable[..., None]:
    """Write in a thread where an event loop runs in this one.

    Django refuses the database there. An async view that uses its session in the sync
    way blocks its loop for as long as that takes anyhow.
    """

    @functools.wraps(write)
    def receiver(**kwargs: Any) -> None:
        if not _is_loop_running():
            write(**kwargs)
            return
        with ThreadPoolExecutor(1) as thread:
            thread.submit(_write_and_disconnect, write, kwargs).result()

    return receiver


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _write_and_disconnect(write: Callable[..., None], kwargs: dict[str, Any]) -> None:
    try:
        write(**kwargs)
    finally:
        connections.close_all()  # this thread's own, which nobody else would close


def logged(write: Callable[..., None]) -> Callable[..., None]:
    """Write to the history, as ``beside_the_loop``; log whatever it raises."""

    @functools.wraps(write)
    def receiver(**kwargs: Any) -> None:
        try:
            with own_savepoint(LoggedSession):
                write(**kwargs)
        except Exception:
            # No database, read-only, a user model that is not the history's: a
            # login must go on whatever it is.
            logger.exception(
                "The login history was not written (%s). Where a row and its session"
                " disagree, the user's next login or clearsessions mends it.",
                write.__name__,
            )

    return beside_the_loop(receiver)
