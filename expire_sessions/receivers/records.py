"""The login history listens.

A history that cannot be written is logged and breaks no login: whether somebody gets in
is never up to the log.
"""

from django.db import IntegrityError
from django.utils import timezone

from expire_sessions import history
from expire_sessions.context import Context
from expire_sessions.endings import Ended, Live
from expire_sessions.models import LoggedSession
from expire_sessions.models.rows import own_savepoint
from expire_sessions.reasons import EndReason
from expire_sessions.receivers.beside import beside_the_loop, logged
from expire_sessions.users import pk_of

__all__ = ["close_rows", "follow_row", "settle_rows", "sweep_rows", "write_row"]


@logged
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


@logged
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


@logged
def follow_row(*, session_id: str, previous_id: str, **kwargs: object) -> None:
    """Let the row follow its session to the new id. One query."""
    LoggedSession.objects.follow(previous_id, session_id)


@logged
def close_rows(
    *, ended: tuple[Ended, ...], reason: EndReason, context: Context, **kwargs: object
) -> None:
    """End the rows of sessions, and prune. One query for 500, and the pruning."""
    history.close(ended, reason, context.limits)


@beside_the_loop
def sweep_rows(*, live: tuple[Live, ...] | None, **kwargs: object) -> None:
    """Put right the rows of live sessions; at the end, close those that have none.

    What it raises is for ``clearsessions`` to tell.
    """
    with own_savepoint(LoggedSession):
        if live is None:
            history.sweep()
        elif live:
            history.confirm(live)
