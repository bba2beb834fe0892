"""django-allauth's login, under the policies "ask" and "refuse"."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client, override_settings

from expire_sessions.backend import SessionStore
from tests.choosing import ASK, CHOOSE, asking, offered
from tests.sessions import ids, key_of, live_ids, sign_in, who

pytestmark = pytest.mark.django_db(transaction=True)  # a table is made

LOGIN = "/allauth/login/"
FORM = {"login": "ann", "password": "ann", "next": "/get/hello/"}


@pytest.fixture(autouse=True)
def allauth(db: None) -> Iterator[None]:
    """Install allauth, with the one table that its logins look into."""
    account = "allauth.account.middleware.AccountMiddleware"
    changed: dict[str, Any] = {
        "MIDDLEWARE": [*settings.MIDDLEWARE, account, ASK],
        "ROOT_URLCONF": "tests.allauth_urls",
        "AUTHENTICATION_BACKENDS": [
            "allauth.account.auth_backends.AuthenticationBackend"
        ],
        "ACCOUNT_EMAIL_VERIFICATION": "none",
        "ACCOUNT_RATE_LIMITS": False,
    }
    apps = [*settings.INSTALLED_APPS, "allauth", "allauth.account"]
    # It looks for its middleware while it is installed.
    with asking(**changed), override_settings(INSTALLED_APPS=apps):
        emails = import_module("allauth.account.models").EmailAddress
        with connection.schema_editor() as editor:
            editor.create_model(emails)
        yield
        with connection.schema_editor() as editor:
            editor.delete_model(emails)


def test_its_login_asks(ann: Any) -> None:
    first = sign_in(ann)
    browser = Client()
    response = browser.post(LOGIN, FORM)
    assert (response.status_code, response.headers["Location"]) == (302, CHOOSE)
    assert who(browser) == ""
    assert live_ids(ann) == ids(first)
    page = browser.get(CHOOSE)
    done = browser.post(CHOOSE, {"session": offered(page)})
    assert done.headers["Location"] == "/get/hello/"
    assert who(browser) == "ann"
    assert live_ids(ann) == ids(SessionStore(key_of(browser)))


def test_its_login_refuses(ann: Any) -> None:
    first = sign_in(ann)
    browser = Client()
    with override_settings(EXPIRE_POLICY="refuse"):
        response = browser.post(LOGIN, FORM)
    assert response.status_code == 403
    assert "Your sign-in details are right" in response.text
    assert who(browser) == ""
    assert live_ids(ann) == ids(first)
    first.flush()
    with override_settings(EXPIRE_POLICY="refuse"):
        assert browser.post(LOGIN, FORM).headers["Location"] == "/get/hello/"
    assert who(browser) == "ann"
