"""The access history listens: to logins, and to sign-ins that fail."""

from collections.abc import Mapping
from typing import Any

from expire_sessions import lookback
from expire_sessions.backend import SessionStore
from expire_sessions.receivers.beside import logged
from expire_sessions.users import pk_of

__all__ = ["count_failure", "look_back", "note_told"]


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
