"""What listens: the requests of logins and logouts, and the history.

Connected in ``apps.ready``. A history that cannot be written is logged and breaks
no login: whether somebody gets in is never up to the log.
"""

import asyncio
import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.signals import setting_changed
from django.db import IntegrityError, connections
from django.db.models.signals import post_init
from django.utils import timezone

from expire_sessions import history, signals
from expire_sessions.backend import SessionStore
from expire_sessions.clients import describe
from expire_sessions.conf import KNOWN, conf
from expire_sessions.context import Context
from expire_sessions.endings import Ended, Live
from expire_sessions.loaded import note_user
from expire_sessions.models import LoggedSession
from expire_sessions.models.rows import own_savepoint
from expire_sessions.reasons import EndReason
from expire_sessions.transport.connections import forget_connections, forget_sessions
from expire_sessions.users import pk_of, user_id_of

__all__ = ["connect"]

logger: Final = logging.getLogger("expire_sessions")

CONNECTION_SETTINGS: Final = ("CACHES", "SESSION_CACHE_ALIAS")


def connect() -> None:
    """Connect every receiver of this module, once."""
    pairs = (
        (user_logged_in, remember_login),
        (user_logged_out, remember_logout),
        (setting_changed, read_settings_again),
        (signals.session_entering, write_row),
        (signals.session_started, settle_rows),
        (signals.session_rotated, follow_row),
        (signals.sessions_ended, close_rows),
        (signals.sessions_swept, sweep_rows),
    )
    for signal, receiver in pairs:
        uid = f"{receiver.__module__}.{receiver.__name__}"
        signal.connect(receiver, dispatch_uid=uid)
    uid = "expire_sessions.loaded.note_user"
    post_init.connect(note_user, sender=get_user_model(), dispatch_uid=uid)


def remember_login(*, request: Any, user: Any, **kwargs: object) -> None:
    """Hand the login's client to the session, for the save that makes it effective."""
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        session.remember_login(user_id_of(user), user, describe(request))


def remember_logout(*, request: Any, **kwargs: object) -> None:
    """Tell the session that the flush to come is a logout."""
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        session.remember_logout()


def read_settings_again(*, setting: str, **kwargs: object) -> None:
    """Drop what was made of settings that a test has just changed."""
    if setting in CONNECTION_SETTINGS:
        forget_connections()
    if setting in KNOWN:
        conf.forget()
        forget_sessions()


def _beside_the_loop(write: Callable[..., None]) -> Callable[..., None]:
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


def _logged(write: Callable[..., None]) -> Callable[..., None]:
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

    return _beside_the_loop(receiver)


@_logged
def write_row(
    *, user_id: str, session_id: str, context: Context, **kwargs: object
) -> None:
    """Log a login, before its session can be ended by another. One insert.

    A key that was used before, and is saved anew, has a row: that is of this login now.
    """
    login = {
        "user_id": pk_of(user_id),
        "ip": context.ip,
        "user_agent": context.user_agent or "",
    }
    try:
        with own_savepoint(LoggedSession):
            LoggedSession.objects.create(session_id=session_id, **login)
    except IntegrityError:
        LoggedSession.objects.filter(session_id=session_id).update(
            **login, date_logged=timezone.now(), ended_at=None, end_reason=""
        )


@_logged
def settle_rows(
    *,
    user_id: str,
    session_id: str,
    context: Context,
    live: frozenset[str] | None,
    **kwargs: object,
) -> None:
    """Put the user's other rows right. One query where they are."""
    if live is None:
        # Too many to look at, but a sweep may have found this one on its way.
        LoggedSession.objects.reopen([session_id])
    else:
        history.settle(user_id, live, context.limits)


@_logged
def follow_row(*, session_id: str, previous_id: str, **kwargs: object) -> None:
    """Let the row follow its session to the new id. One query."""
    LoggedSession.objects.follow(previous_id, session_id)


@_logged
def close_rows(
    *, ended: tuple[Ended, ...], reason: EndReason, context: Context, **kwargs: object
) -> None:
    """End the rows of sessions, and prune. One query for 500, and the pruning."""
    history.close(ended, reason, context.limits)


@_beside_the_loop
def sweep_rows(*, live: tuple[Live, ...] | None, **kwargs: object) -> None:
    """Put right the rows of live sessions; at the end, close those that have none.

    What it raises is for ``clearsessions`` to tell.
    """
    with own_savepoint(LoggedSession):
        if live is None:
            history.sweep()
        elif live:
            history.confirm(live)
