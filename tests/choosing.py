"""What the tests of the policy "ask" do in browsers, and what they see of them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.test import Client, override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.pending import PENDING
from tests.sessions import key_of

ASK = "expire_sessions.middleware.AskMiddleware"
CHOOSE = "/sessions/choose/"


@contextmanager
def asking(**changed: Any) -> Iterator[None]:
    """Let a project ask at the limit, which is 1 if nothing else is said."""
    changed = {
        "EXPIRE_POLICY": "ask",
        "MIDDLEWARE": [*settings.MIDDLEWARE, ASK],
        "ROOT_URLCONF": "tests.policy_urls",
        **changed,
    }
    with override_settings(**changed):
        yield


def try_login(browser: Client, name: str = "ann", **extra: Any) -> Any:
    """Sign in by Django's own view; whatever becomes of it."""
    form = {"username": name, "password": name, **extra}
    return browser.post("/accounts/login/", form)


def waiting(name: str = "ann", **extra: Any) -> Client:
    """Return a browser that was sent to the choice."""
    browser = Client()
    response = try_login(browser, name, **extra)
    assert (response.status_code, response.headers["Location"]) == (302, CHOOSE)
    return browser


def offered(response: Any) -> list[str]:
    """Return the ids of the sessions that a page offers to end."""
    return re.findall(r'name="session" value="(\w+)"', response.text)


def data_of(browser: Client) -> dict[str, Any]:
    """Return what is in the session of a browser."""
    return dict(SessionStore(key_of(browser)).items())


def store_of(browser: Client) -> SessionStore:
    """Return the session of a browser, loaded."""
    store = SessionStore(key_of(browser))
    assert PENDING in store
    return store


def with_the_cookies_of(browser: Client) -> Client:
    """Return another tab: it has the cookies that the browser has now."""
    tab = Client()
    tab.cookies.load({name: c.value for name, c in browser.cookies.items()})
    return tab
