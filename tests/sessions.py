"""What the tests do with sessions, and what they see of them and of their rows."""

from datetime import timedelta
from typing import Any

from django.contrib.auth import login
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.sessions import UserSessions

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"


def sign_in(user: Any, cookies: dict[str, str] | None = None) -> SessionStore:
    """Sign a user in with a new browser, as a login view and the middleware do."""
    request = HttpRequest()
    request.COOKIES = cookies or {}
    request.META = {"REMOTE_ADDR": "127.0.0.1", "HTTP_USER_AGENT": "worker"}
    store = request.session = SessionStore()
    login(request, user)
    store.save()
    return store


def enter(user: Any, user_agent: str = FIREFOX, ip: str = "192.0.2.1") -> SessionStore:
    """Sign in with a new browser of this kind, at this address."""
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": ip, "HTTP_USER_AGENT": user_agent}
    store = request.session = SessionStore()
    login(request, user)
    store.save()
    return store


def request_of(store: SessionBase) -> HttpRequest:
    """Return the next request of a session, which has loaded it."""
    request = HttpRequest()
    request.session = SessionStore(store.session_key)
    request.session.get("x")
    return request


# Browsers.


def log_in(browser: Client, name: str, site: str = "") -> None:
    """Sign in through the page."""
    response = browser.get(f"{site}/login/", {"username": name, "password": name})
    assert response.status_code == 200


def key_of(browser: Client) -> str:
    """Return a browser's session key."""
    return str(browser.cookies["sessionid"].value)


def who(browser: Client, site: str = "") -> str:
    """Return whom a browser's next request is signed in as."""
    return browser.get(f"{site}/whoami/").content.decode()


# Users.


def live(user: Any) -> int:
    """Return how many sessions of a user are live."""
    return len(UserSessions(user).list())


def live_ids(user: Any) -> set[str]:
    """Return the ids of a user's live sessions."""
    return {info.session_id for info in UserSessions(user).list()}


def ids(*stores: SessionStore) -> set[str]:
    """Return the ids of these sessions."""
    return {session_id(str(store.session_key)) for store in stores}


# Rows.


def reasons(user: Any) -> list[str]:
    """Return how the user's sessions ended, in the order of their logins."""
    rows = LoggedSession.objects.for_user(user).order_by("pk")
    return list(rows.values_list("end_reason", flat=True))


def make_older() -> None:
    """Let all logins be of yesterday."""
    LoggedSession.objects.update(date_logged=timezone.now() - timedelta(days=1))


def rows_of(user: Any, count: int, **fields: Any) -> list[LoggedSession]:
    """Write ended rows, one second apart, the first the oldest."""
    now = timezone.now()
    return LoggedSession.objects.bulk_create(
        LoggedSession(
            user=user,
            session_id=session_id(f"{user.pk}-{n}"),
            ended_at=now - timedelta(seconds=count - n),
            end_reason="logout",
            **fields,
        )
        for n in range(count)
    )
