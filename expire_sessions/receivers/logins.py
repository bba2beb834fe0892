"""What Django tells of logins and logouts is handed to the session.

Under the policies ``refuse`` and ``ask`` a login takes its place here, inside of
Django's ``login()``, whichever view has called it: where there is none, ``login()``
raises.
"""

import hashlib
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted

from expire_sessions.backend import SessionStore
from expire_sessions.clients import describe
from expire_sessions.exceptions import SessionLimitReached
from expire_sessions.flows.held import Announced
from expire_sessions.limits import Limits, limits_for
from expire_sessions.pending import PENDING
from expire_sessions.transport.connections import session_connection
from expire_sessions.users import user_id_of

__all__ = ["remember_login", "remember_logout"]

EVICT: Final = "evict"


def remember_login(*, request: Any, user: Any, **kwargs: object) -> None:
    """Hand what is known of a login to the session, for the save that follows.

    Under another policy than ``evict`` it is saved here.

    Raises:
        SessionLimitReached: there is no free place. Nobody is signed in.
        SessionInterrupted: the session of this browser has ended meanwhile.
    """
    session = getattr(request, "session", None)
    if not isinstance(session, SessionStore):
        return
    session.pop(PENDING, None)  # whoever it was of: somebody signs in now
    user_id = user_id_of(user)
    limits = _limits_of(user_id, user)
    login = Announced(
        user_id, user, describe(request), limits=limits, browser=_mark_of(request)
    )
    session.remember_login(login)
    if limits is not None and limits.policy != EVICT:
        _take_place(request, session, user)


def remember_logout(*, request: Any, **kwargs: object) -> None:
    """Tell the session that the flush to come is a logout."""
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        session.remember_logout()


def _limits_of(user_id: str, user: Any) -> Limits | None:
    try:
        limits = limits_for(user_id, user)
    except Exception:  # noqa: BLE001 - the save asks again, and raises it
        return None
    session_connection().answers.add(user_id, limits)
    return limits


def _take_place(request: Any, session: SessionStore, user: Any) -> None:
    try:
        session.save()
    except SessionLimitReached as error:
        error.user, error.backend = user, session.get(BACKEND_SESSION_KEY, "")
        session.drop_login()
        _forget_user(request)
        raise
    except UpdateError as error:
        raise SessionInterrupted(
            "The session of this browser has ended before the login was complete."
        ) from error


def _forget_user(request: Any) -> None:
    """Take back what Django's ``login()``, and ``alogin()`` from 6.0 on, has set."""
    if hasattr(request, "user"):
        request.user = AnonymousUser()
    if hasattr(request, "auser"):
        request.auser = _nobody


async def _nobody() -> AnonymousUser:
    return AnonymousUser()


def _mark_of(request: Any) -> str:
    """Return what tells this browser from others until it has signed in.

    Both cookies change with the login, so two logins with the same ones are a button
    that was clicked twice. Empty where there is no cookie.
    """
    cookies = getattr(request, "COOKIES", {})
    names = (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME)
    found = [cookies.get(name, "") for name in names]
    if not any(found):
        return ""
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:32]
