"""Everything this package raises on its own account, in one tree."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured, PermissionDenied

__all__ = [
    "ExpireSessionsError",
    "InvalidLimits",
    "InvalidSetup",
    "SessionLimitReached",
    "StoreRefused",
    "StoreUnavailable",
    "SweepIncomplete",
]


class ExpireSessionsError(Exception):
    """The root of the tree: catches whatever this package raises itself."""


class InvalidSetup(ExpireSessionsError, ImproperlyConfigured):
    """The settings do not add up to a working session store."""


class InvalidLimits(ExpireSessionsError, ValueError):
    """An ``expire_check`` handler left something in the dictionary that is no limit.

    Raised out of the save that follows a login, so nobody gets in above a limit
    that is not known; on any other save it is logged and nothing is ended.
    """


class SessionLimitReached(ExpireSessionsError, PermissionDenied):
    """A login found no free place, under the policies ``refuse`` and ``ask``.

    Nobody was signed in and no session has ended. Its text may be shown to the person.
    """

    code = "session_limit_reached"

    def __init__(self, message: object, policy: str = "refuse") -> None:
        super().__init__(message)
        self.policy = policy
        """What holds for this user: ``"refuse"`` or ``"ask"``."""

        self.user: Any = None
        """Who wanted to sign in; None where it was not by Django's ``login()``."""

        self.backend = ""
        """The path of the backend that has authenticated them."""


class StoreUnavailable(ExpireSessionsError):
    """Redis did not answer, or refused the command.

    Nothing is known about the session then, so nobody is signed out: the
    request fails, the cookie stays. ``__cause__`` is the error of redis-py, without its
    frames: they hold the session key.
    """


class StoreRefused(StoreUnavailable):
    """Redis answered, and refused the command (full, read-only, not allowed).

    Nothing was changed.
    """


class SweepIncomplete(ExpireSessionsError):
    """``clearsessions`` could not bring the login history up to date.

    Redis was swept. ``__cause__`` is the error; run it again.
    """
