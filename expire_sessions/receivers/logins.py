"""What Django tells of logins and logouts is handed to the session."""

from typing import Any

from expire_sessions.backend import SessionStore
from expire_sessions.clients import describe
from expire_sessions.users import user_id_of

__all__ = ["remember_login", "remember_logout"]


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
