"""A login that waits for its person's choice, under the policy ``ask``.

It is in the data of the browser's anonymous session. It signs nobody in, counts as no
session and is in no index: ``views.choose`` makes a login of it.
"""

import time
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME, load_backend
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.utils.crypto import constant_time_compare
from django.utils.http import url_has_allowed_host_and_scheme

from expire_sessions.answers import prefers_json
from expire_sessions.exceptions import SessionLimitReached
from expire_sessions.users import pk_of, user_id_of

__all__ = ["PENDING", "PENDING_AGE", "PendingLogin", "pending_in", "pending_of"]

PENDING: Final = "_expire_pending"
"""Its key in the session's data."""

PENDING_AGE: Final = 300
"""Seconds after which it is void: long enough to read a list of devices, short enough
for a browser that its person has walked away from. Authenticator apps and one-time
codes by mail take about the same."""


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """Who was authenticated, and when; as much as is needed to check it again."""

    user_id: str
    backend: str
    """The path of the backend that has authenticated them."""

    auth_hash: str = field(repr=False)
    """Django's hash of their password, as in the session of who is signed in."""

    asked: int
    """Seconds since 1970, by the clock of the web node."""

    to: str
    """Where the login goes on to. Of this site."""

    back: str
    """Where who cancels goes back to: the page of the login."""

    def keep_in(self, session: Any) -> None:
        """Let a session keep it. Saved with the response."""
        session[PENDING] = asdict(self)

    def user(self) -> Any | None:
        """Return the user, as Django would find them at a request; None: not any more.

        One query.
        """
        if time.time() - self.asked > PENDING_AGE:
            return None
        if self.backend not in settings.AUTHENTICATION_BACKENDS:
            return None
        try:
            user = load_backend(self.backend).get_user(pk_of(self.user_id))
        except ValueError:
            return None  # the user model is another one since
        if user is None or not constant_time_compare(self.auth_hash, _hash_of(user)):
            return None
        return user


def pending_of(request: HttpRequest, error: SessionLimitReached) -> PendingLogin:
    """Return what has to be kept of a login that found no free place."""
    return PendingLogin(
        user_id=user_id_of(error.user),
        backend=error.backend,
        auth_hash=_hash_of(error.user),
        asked=int(time.time()),
        to=_next_of(request),
        back=_back_of(request),
    )


def pending_in(session: Any) -> PendingLogin | None:
    """Return what a session keeps; None where it is nothing, or of another version."""
    try:
        return PendingLogin(**session[PENDING])
    except (KeyError, TypeError):
        return None


def _hash_of(user: Any) -> str:
    """Return what ``login()`` writes into the session, and compares at each request."""
    get_hash = getattr(user, "get_session_auth_hash", None)
    return "" if get_hash is None else str(get_hash())


def _next_of(request: HttpRequest) -> str:
    """Return where the login would have gone on to, as far as the request tells."""
    asked = request.GET.get(REDIRECT_FIELD_NAME, "")
    to = request.POST.get(REDIRECT_FIELD_NAME, asked)
    is_safe = url_has_allowed_host_and_scheme(
        to, {request.get_host()}, require_https=request.is_secure()
    )
    return to if is_safe else resolve_url(settings.LOGIN_REDIRECT_URL)


def _back_of(request: HttpRequest) -> str:
    """Return the page of the login: mostly its form is sent to where it was.

    A link that signs in by itself would do so again, and may work once only.
    """
    if request.method != "POST" or prefers_json(request):
        return resolve_url(settings.LOGIN_URL)
    return request.get_full_path()
