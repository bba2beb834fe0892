"""The audit log: one record for each session that starts, is refused or ends.

They are at level INFO on the logger ``expire_sessions``, which Django leaves off. All
have the same attributes (``FIELDS``), None where one says nothing, for a formatter that
writes JSON. None holds a session key. What a client has sent stands there as the short
name of its device, quoted: it cannot forge a line.
"""

import logging
from typing import Any, Final

from expire_sessions.clients import device
from expire_sessions.context import Context
from expire_sessions.endings import Ended
from expire_sessions.reasons import EndReason

__all__ = ["FIELDS", "log_ended", "log_refused", "log_started"]

logger: Final = logging.getLogger("expire_sessions")

FIELDS: Final = (
    "event",
    "user_id",
    "session_id",
    "reason",
    "ip",
    "device",
    "new_device",
    "concurrent",
    "by",
)
"""The attributes of each record, in this order in its text."""


def log_started(
    *,
    user_id: str,
    session_id: str,
    context: Context,
    concurrent: bool | None,
    new_device: bool | None,
    **kwargs: object,
) -> None:
    """Leave a record of a login."""
    if logger.isEnabledFor(logging.INFO):
        _log(
            "session_started",
            context,
            user_id=user_id,
            session_id=session_id,
            concurrent=concurrent,
            new_device=new_device,
        )


def log_refused(
    *,
    user_id: str,
    session_id: str,
    context: Context,
    concurrent: bool | None,
    new_device: bool | None,
    **kwargs: object,
) -> None:
    """Leave a record of a login that found no place."""
    if logger.isEnabledFor(logging.INFO):
        _log(
            "session_refused",
            context,
            user_id=user_id,
            session_id=session_id,
            reason=str(EndReason.REFUSED),
            concurrent=concurrent,
            new_device=new_device,
        )


def log_ended(
    *, ended: tuple[Ended, ...], reason: EndReason, context: Context, **kwargs: object
) -> None:
    """Leave a record of each session that has ended. One refused had not begun."""
    if reason is EndReason.REFUSED or not logger.isEnabledFor(logging.INFO):
        return
    for one in ended:
        _log(
            "session_ended",
            context,
            user_id=one.user_id,
            session_id=one.session_id,
            reason=str(reason),
        )


def _log(event: str, context: Context, **known: Any) -> None:
    client = device(context.user_agent) if context.user_agent else None
    found = {"event": event, "ip": context.ip, "device": client, "by": context.by}
    fields = dict.fromkeys(FIELDS) | found | known
    told = ((name, fields[name]) for name in FIELDS[1:])
    words = [f"{name}={value!r}" for name, value in told if value is not None]
    logger.info("%s %s", event, " ".join(words), extra=fields)
