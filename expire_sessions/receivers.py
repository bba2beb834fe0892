"""What listens: the requests of logins and logouts, and the history.

Connected in ``apps.ready``. A history that cannot be written is logged and breaks
no login: whether somebody gets in is never up to the log.
"""

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.signals import setting_changed
from django.db import router, transaction

from expire_sessions import history, signals
from expire_sessions.backend import SessionStore
from expire_sessions.clients import describe
from expire_sessions.conf import KNOWN, conf
from expire_sessions.connections import forget_connections
from expire_sessions.models import LoggedSession
from expire_sessions.reasons import EndReason

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
        (signals.session_ended, close_row),
        (signals.sessions_swept, sweep_rows),
    )
    for signal, receiver in pairs:
        uid = f"{receiver.__module__}.{receiver.__name__}"
        signal.connect(receiver, dispatch_uid=uid)


def remember_login(*, request: Any, user: Any, **kwargs: object) -> None:
    """Hand the login's client to the session, for the save that makes it effective."""
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        session.remember_login(
            user._meta.pk.value_to_string(user), user, dict(describe(request))
        )


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


@contextmanager
def _own_savepoint() -> Iterator[None]:
    """Keep a failed write from breaking the transaction of the project around it.

    Outside of one there is none to break: each statement stands for itself.
    """
    using = router.db_for_write(LoggedSession)
    if transaction.get_connection(using).in_atomic_block:
        with transaction.atomic(using=using):
            yield
    else:
        yield


def _logged(write: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(write)
    def receiver(**kwargs: Any) -> None:
        try:
            with _own_savepoint():
                write(**kwargs)
        except Exception:
            # No database, read-only, a user model that is not the history's: a
            # login must go on whatever it is.
            logger.exception(
                "The login history was not written (%s). Where a row and its session"
                " disagree, the user's next login or clearsessions mends it.",
                write.__name__,
            )

    return receiver


@_logged
def write_row(
    *, user_id: str, session_id: str, context: Mapping[str, Any], **kwargs: object
) -> None:
    """Log a login, before its session can be ended by another. One insert."""
    LoggedSession.objects.create(
        user_id=user_id,
        session_id=session_id,
        ip=context.get("ip"),
        user_agent=context.get("user_agent") or "",
    )


@_logged
def settle_rows(
    *, user_id: str, session_id: str, live: frozenset[str] | None, **kwargs: object
) -> None:
    """Put the user's other rows right. One query where they are."""
    if live is None:
        # Too many to look at, but a sweep may have found this one on its way.
        LoggedSession.objects.reopen([session_id])
    else:
        history.settle(user_id, live)


@_logged
def follow_row(*, session_id: str, previous_id: str, **kwargs: object) -> None:
    """Let the row follow its session to the new id. One query."""
    LoggedSession.objects.follow(previous_id, session_id)


@_logged
def close_row(
    *,
    user_id: str | None,
    session_id: str,
    reason: EndReason,
    context: Mapping[str, Any],
    **kwargs: object,
) -> None:
    """End the row of a session and prune its user's. One query, and the pruning."""
    if context.get("sweep"):
        return  # sweep_rows closes them, some hundred in one query
    if not LoggedSession.objects.close(session_id, reason):
        return
    owner = user_id or LoggedSession.objects.get(session_id=session_id).user_id
    if "log_limit" in context:
        history.prune(owner, context["log_limit"])
    else:
        history.prune_as_allowed(owner)


@_logged
def sweep_rows(**kwargs: object) -> None:
    """Close the rows that have no live session, of all users."""
    history.sweep()
