"""Every way in which a session ends, and the reason that its row has then."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.backends.base import UpdateError
from django.core.management import call_command
from django.http import HttpRequest
from django.test import Client, TestCase, override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import SessionLimitReached
from expire_sessions.reasons import EndReason
from expire_sessions.sessions import UserSessions
from tests.asking import lose_payload, redis_client
from tests.sessions import key_of, make_older
from tests.sessions import sign_in as sign_in_store


def interrupt(browser: Client, ann: Any) -> None:
    """Sign in while the browser's anonymous session goes."""
    request = HttpRequest()
    request.session = SessionStore()
    request.session["x"] = "y"
    request.session.create()
    login(request, ann)
    lose_payload(request.session.session_key)
    with pytest.raises(UpdateError):
        request.session.save()


def be_refused(browser: Client, ann: Any) -> None:
    """Sign in where there is no place; the first session goes away with its row."""
    with override_settings(EXPIRE_POLICY="refuse"), pytest.raises(SessionLimitReached):
        sign_in_store(ann)


def click_twice(browser: Client, ann: Any) -> None:
    """Sign in twice with one page: nothing has come back in between."""
    mark = {settings.CSRF_COOKIE_NAME: "drawn for this browser"}
    with override_settings(EXPIRE_MAX_USERS=3):
        sign_in_store(ann, cookies=mark)
        sign_in_store(ann, cookies=mark)


def commit(save: Callable[[], object]) -> None:
    """Save, and do what is to be done after the commit."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        save()


def change_password_elsewhere(browser: Client, ann: Any) -> None:
    """Change it where another session of the user does."""
    ann.set_password("new")
    commit(ann.save)


def change_password_in_bulk(browser: Client, ann: Any) -> None:
    """Change it where no signal tells of it."""
    type(ann).objects.filter(pk=ann.pk).update(password=make_password("new"))
    browser.get("/whoami/")


def deactivate(browser: Client, ann: Any) -> None:
    """Let the user be inactive, for a moment."""
    ann.is_active = False
    commit(ann.save)
    type(ann).objects.filter(pk=ann.pk).update(is_active=True)
    ann.is_active = True


def forget_user(browser: Client, ann: Any) -> None:
    """Do what is done once a user is deleted."""
    UserSessions.of_pk(ann.pk).end_all(EndReason.USER_DELETED)


def let_age_pass(browser: Client, ann: Any) -> None:
    """Let the session go unnoticed, a day after the login."""
    make_older()
    lose_payload(key_of(browser))
    call_command("clearsessions")


def lose_at_once(browser: Client, ann: Any) -> None:
    """Let the login be lost between its row and its place."""
    redis_client().flushall()
    call_command("clearsessions")


BOB = {"username": "bob", "password": "bob"}
ENDS: list[tuple[str, Callable[[Client, Any], object]]] = [
    ("logout", lambda browser, _: browser.get("/logout/")),
    ("evicted", lambda _, ann: sign_in_store(ann)),
    ("ended", lambda _, ann: UserSessions(ann).end_all()),
    ("flushed", lambda browser, _: browser.get("/login/", BOB)),
    ("flushed", change_password_in_bulk),
    ("password_changed", change_password_elsewhere),
    ("deactivated", deactivate),
    ("user_deleted", forget_user),
    ("deleted", lambda browser, _: SessionStore().delete(key_of(browser))),
    ("expired", let_age_pass),
    ("lost", lose_at_once),
    ("interrupted", interrupt),
    ("refused", be_refused),
    ("replaced", click_twice),
]
