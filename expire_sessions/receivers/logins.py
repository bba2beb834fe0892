"""What Django tells of logins and logouts is handed to the session.

Under the policies ``refuse`` and ``ask`` a login takes its place here, inside of
Django's ``login()``, whichever view has called it: where there is none, ``login()``
raises.
"""

import hashlib
from contextlib import suppress
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted

from expire_sessions.backend import SessionStore
from expire_sessions.clients import describe
from expire_sessions.context import Context
from expire_sessions.exceptions import SessionLimitReached, StoreUnavailable
from expire_sessions.flows.facts import Announced
from expire_sessions.flows.refusing import EVICT
from expire_sessions.limits import Limits, limits_for
from expire_sessions.pending import PENDING
from expire_sessions.transport.connections import session_connection
from expire_sessions.users import user_id_of

__all__ = ["give_place_back", "remember_login", "remember_logout"]

PLACED: Final = "_expire_sessions_placed"
"""The attribute of a request whose login has its place already."""


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
    context = describe(request, user_id)
    mark = _mark_of(request, context)
    login = Announced(user_id, user, context, limits=limits, browser=mark)
    session.remember_login(login)
    if limits is not None and limits.policy != EVICT:
        _take_place(request, session, user)


def remember_logout(*, request: Any, user: Any, **kwargs: object) -> None:
    """Tell the session that the flush to come is a logout, and whose."""
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        by = user_id_of(user) if hasattr(user, "_meta") else None
        session.remember_logout(describe(request, by))


def give_place_back(*, request: Any = None, **kwargs: object) -> None:
    """End the session of a login whose request has failed: no browser will have it.

    Only where it took its place inside of ``login()``. Receives
    ``got_request_exception``.
    """
    session = getattr(request, "session", None)
    if getattr(request, PLACED, False) and isinstance(session, SessionStore):
        with suppress(StoreUnavailable):
            session.flush()


def _limits_of(user_id: str, user: Any) -> Limits | None:
    try:
        limits = limits_for(user_id, user)
    except Exception:  # noqa: BLE001 - the save asks again, and raises it
        return None
    session_connection().answers.add(user_id, limits)
    return limits


def _take_place(request: Any, session: SessionStore, user: Any) -> None:
    is_own = session.owner_id == user_id_of(user)
    try:
        session.save()
    except Exception as error:
        # Whatever it was: nobody is signed in, in Redis or here.
        if isinstance(error, SessionLimitReached):
            error.user, error.backend = user, session.get(BACKEND_SESSION_KEY, "")
        session.drop_login()
        _forget_user(request)
        if isinstance(error, UpdateError):
            raise SessionInterrupted(
                "The session of this browser has ended before the login was complete."
            ) from error
        raise
    # Of a login in its own session the browser has the cookie already.
    setattr(request, PLACED, not is_own)


def _forget_user(request: Any) -> None:
    """Take back what Django's ``login()``, and ``alogin()`` from 6.0 on, has set."""
    if hasattr(request, "user"):
        request.user = AnonymousUser()
    if hasattr(request, "auser"):
        request.auser = _nobody


async def _nobody() -> AnonymousUser:
    return AnonymousUser()


def _mark_of(request: Any, context: Context) -> str:
    """Return what tells this browser from others until it has signed in.

    Both cookies change with the login, so two logins with the same ones are a button
    that was clicked twice, or an answer that was lost. Empty where there is no cookie.
    """
    cookies = getattr(request, "COOKIES", {})
    names = (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME)
    found = [cookies.get(name, "") for name in names]
    if not any(found):
        return ""
    # An app may send the same token from all devices.
    whole = "\n".join([*found, context.ip or "", context.user_agent or ""])
    return hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()[:32]
