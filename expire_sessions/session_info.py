"""What is shown of a session."""

import datetime
from dataclasses import dataclass

__all__ = ["SessionInfo"]


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A live session, as it may be shown to its user."""

    session_id: str
    last_seen: datetime.datetime
    """By the clock of Redis; as exact as ``EXPIRE_TOUCH_INTERVAL``."""

    is_current: bool
    """It is the one whose key was given to ``UserSessions``."""

    since: datetime.datetime | None
    """When the user signed in; None where the history has no row."""

    ip: str | None
    user_agent: str
