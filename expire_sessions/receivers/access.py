"""The access history listens: to logins, and to sign-ins that fail."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from expire_sessions import lookback
from expire_sessions.backend import SessionStore
from expire_sessions.clients import device
from expire_sessions.context import Context
from expire_sessions.receivers.beside import logged
from expire_sessions.users import pk_of

__all__ = ["count_failure", "log_concurrent", "look_back", "note_told"]

logger: Final = logging.getLogger("expire_sessions")


def look_back(*, request: Any, user: Any, **kwargs: object) -> None:
    """Put the last access into the session of a login. One query, or two.

    Comes before the session can be saved: see ``receivers.PAIRS``.
    """
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        session.remember_before(None)  # what an earlier login was told is no news now
        _look_back(session=session, user=user)


@logged
def _look_back(*, session: SessionStore, user: Any) -> None:
    session.remember_before(lookback.before(user.pk))


@logged
def note_told(*, user_id: str, failures: int | None, **kwargs: object) -> None:
    """Count the failures as told: the login that they were told to has its place."""
    if failures:
        lookback.note_told(pk_of(user_id), failures)


@logged
def count_failure(*, credentials: Mapping[str, Any], **kwargs: object) -> None:
    """Count a failed sign-in for the account it was for. See ``lookback``."""
    lookback.count_failure(credentials)


def log_concurrent(
    *,
    user_id: str,
    session_id: str,
    context: Context,
    concurrent: bool | None,
    new_device: bool | None,
    **kwargs: object,
) -> None:
    """Leave a record of a sign-in to an account that is in use elsewhere."""
    if not concurrent:
        return
    client = device(context.user_agent or "")
    logger.info(
        "User %r signed in (session %s) while signed in at another address or on"
        " another device: now at %s with %r.",
        user_id,
        session_id,
        context.ip or "an unknown address",
        client,
        extra={
            "event": "concurrent_sign_in",
            "user_id": user_id,
            "session_id": session_id,
            "ip": context.ip,
            "device": client,
            "new_device": new_device,
        },
    )
