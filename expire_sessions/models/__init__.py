"""The login history: one row for each login, kept small by ``EXPIRE_LOG_LIMIT``."""

from expire_sessions.models.failed_sign_ins import FailedSignIns
from expire_sessions.models.logged_session import LoggedSession, LoggedSessionManager
from expire_sessions.models.rows import LoggedSessionQuerySet

__all__ = [
    "FailedSignIns",
    "LoggedSession",
    "LoggedSessionManager",
    "LoggedSessionQuerySet",
]
