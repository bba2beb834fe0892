"""Why a session ended, in the words that history and signals use."""

from enum import StrEnum
from typing import Final

__all__ = ["ABSOLUTE", "DROPPED", "FOUND_GONE", "IDLE", "EndReason"]


class EndReason(StrEnum):
    """The value is what ``LoggedSession.end_reason`` holds."""

    LOGOUT = "logout"
    """The user signed out."""

    EVICTED = "evicted"
    """A newer session needed its place, or the limit was lowered."""

    ENDED = "ended"
    """Somebody ended it through ``UserSessions``."""

    DEACTIVATED = "deactivated"
    """Its user is no longer active."""

    USER_DELETED = "user_deleted"
    """Its user is gone. Rows of the history are gone with a user that was deleted
    through Django, so there it is signals that say so."""

    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a reason
    """The password was changed or reset, in another session or by somebody else."""

    FLUSHED = "flushed"
    """Its data was dropped: another user signed in with the same browser, or the
    password was not that of its login any more, and nothing had told so."""

    DELETED = "deleted"
    """Code of the project deleted it by its key."""

    EXPIRED = "expired"
    """Nobody ended it: its age had passed when it was looked for."""

    LOST = "lost"
    """No session was found for a login of the last minute: the process that
    handled the login died, or is still at it (then the row opens again)."""

    INTERRUPTED = "interrupted"
    """The login found its browser's session gone before it could take its place."""

    REFUSED = "refused"
    """The login found no free place, under the policies ``refuse`` and ``ask``."""

    REPLACED = "replaced"
    """The same browser signed in again within seconds: a button clicked twice."""


FOUND_GONE: Final = (EndReason.EXPIRED, EndReason.LOST)
"""Reasons that say only that a session was not there. A better one replaces
them, and a session that turns out to be live reopens its row."""

IDLE: Final = "idle"
ABSOLUTE: Final = "absolute"
"""Which age has ended a session that nobody ended. Told to its browser alone: to the
history it has expired, as any other."""

DROPPED: Final = frozenset(
    {*EndReason, IDLE, ABSOLUTE} - {EndReason.DELETED, EndReason.REPLACED}
)
"""Reasons for which what a request in flight has set is dropped without an error. Who
deletes a session by its key gets what Django does; and a browser that signed in twice
has another cookie by now."""
