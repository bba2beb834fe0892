"""A password changed in a request: the session that does it goes on, no other."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.contrib.auth import get_user_model, update_session_auth_hash
from django.contrib.auth.tokens import default_token_generator
from django.contrib.auth.views import PasswordChangeView, PasswordResetConfirmView
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from expire_sessions.backend import SessionStore
from tests import urls
from tests.asking import live_keys
from tests.loops import on_a_loop
from tests.sessions import key_of, reasons, request_of, who
from tests.sessions import sign_in as sign_in_store

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

Commits = Callable[[], AbstractContextManager[Any]]
SignIn = Callable[..., Client]

NEW = "rather9long"


def change_while_looking_at_others(request: HttpRequest) -> HttpResponse:
    """Open all sessions of the user, then set a new password."""
    user: Any = request.user
    user.set_password(NEW)
    others = [SessionStore(key) for key in live_keys(user)]
    assert all(other.load() for other in others)
    user.save()
    update_session_auth_hash(request, user)
    return HttpResponse(len(others))


def change_after_a_look(request: HttpRequest) -> HttpResponse:
    """Open a session that nothing keeps, then set a new password."""
    user: Any = request.user
    SessionStore(live_keys(user)[0]).load()
    user.set_password(NEW)
    user.save()
    update_session_auth_hash(request, user)
    return HttpResponse()


urlpatterns = [
    *urls.urlpatterns,
    path("change/", PasswordChangeView.as_view(success_url="/whoami/")),
    path("look-and-change/", change_while_looking_at_others),
    path("look-then-change/", change_after_a_look),
    path(
        "reset/<uidb64>/<token>/",
        PasswordResetConfirmView.as_view(success_url="/whoami/"),
    ),
    path(
        "reset-and-sign-in/<uidb64>/<token>/",
        PasswordResetConfirmView.as_view(success_url="/whoami/", post_reset_login=True),
    ),
]


@pytest.fixture(autouse=True)
def three_allowed(settings: Any) -> None:
    """Allow three sessions."""
    settings.EXPIRE_MAX_USERS = 3


@pytest.fixture
def root(db: None) -> Any:
    """Somebody who may do everything."""
    users = get_user_model().objects
    return users.create_superuser(username="root", password="root")


def by_form(browser: Client) -> None:
    """Use Django's page."""
    words = {"old_password": "ann", "new_password1": NEW, "new_password2": NEW}
    assert browser.post("/change/", words).status_code == 302


def by_view(browser: Client) -> None:
    """Use a page of the project."""
    assert browser.get("/password/", {"password": NEW}).status_code == 200


def by_async_view(browser: Client) -> None:
    """Use an async one."""
    assert browser.get("/a/password/", {"password": NEW}).status_code == 200


PAGES = [by_form, by_view, by_async_view]


@pytest.mark.parametrize("change", PAGES)
def test_the_session_that_changes_it_goes_on(
    ann: Any, sign_in: SignIn, commits: Commits, change: Callable[[Client], None]
) -> None:
    first, browser, last = (sign_in(ann) for _ in range(3))
    before = key_of(browser)
    with commits():
        change(browser)
    assert live_keys(ann) == [key_of(browser)] != [before]
    assert reasons(ann) == ["password_changed", "", "password_changed"]
    assert [who(each) for each in (first, browser, last)] == ["", "ann", ""]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", PAGES)
def test_where_each_statement_is_committed_at_once(
    ann: Any, sign_in: SignIn, change: Callable[[Client], None]
) -> None:
    """The others end before the session that goes on gets its new key."""
    _, browser, _ = (sign_in(ann) for _ in range(3))
    change(browser)
    assert live_keys(ann) == [key_of(browser)]
    assert who(browser) == "ann"


def test_a_view_that_has_others_open_goes_on_too(
    ann: Any, sign_in: SignIn, commits: Commits
) -> None:
    """The last that it has opened is left to Django, which refuses it."""
    first, browser, last = (sign_in(ann) for _ in range(3))
    with commits():
        assert browser.get("/look-and-change/").content == b"3"
    assert reasons(ann) == ["password_changed", "", ""]
    assert [who(each) for each in (first, browser, last)] == ["", "ann", ""]
    assert reasons(ann) == ["password_changed", "", "flushed"]


def test_a_view_that_has_looked_at_another_goes_on_too(
    ann: Any, sign_in: SignIn, commits: Commits
) -> None:
    """The store of the other is gone when the password changes."""
    sign_in(ann)
    browser = sign_in(ann)
    with commits():
        browser.get("/look-then-change/")
    assert live_keys(ann) == [key_of(browser)]


@pytest.mark.django_db(transaction=True)
def test_a_request_in_a_transaction(
    ann: Any, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They end after it, when the session that goes on has its new key already."""
    _, browser = sign_in(ann), sign_in(ann)
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", value=True)
    by_form(browser)
    assert live_keys(ann) == [key_of(browser)]
    assert who(browser) == "ann"


@pytest.mark.django_db(transaction=True)
def test_on_an_event_loop(ann: Any) -> None:
    """Also where the task of the request has made a store before."""
    other = sign_in_store(ann)

    async def change() -> str:
        browser = AsyncClient()
        await browser.get("/a/login/", {"username": "ann", "password": "ann"})
        held = SessionStore()  # as a test may
        await browser.get("/a/password/", {"password": NEW})
        assert not await held.aexists(other.session_key)
        return (await browser.get("/a/whoami/")).content.decode()

    assert on_a_loop(change) == "ann"
    assert reasons(ann) == ["password_changed", ""]


def reset_path(user: Any, page: str) -> str:
    """Return the address in the mail that a user gets."""
    user.refresh_from_db()  # the token depends on the last login
    name = urlsafe_base64_encode(force_bytes(user.pk))
    return f"/{page}/{name}/{default_token_generator.make_token(user)}/"


def reset(browser: Client, user: Any, page: str = "reset") -> None:
    """Follow the link, and set another password."""
    asked = browser.get(reset_path(user, page))
    words = {"new_password1": NEW, "new_password2": NEW}
    assert browser.post(asked["Location"], words).status_code == 302


def test_a_reset_by_who_is_not_signed_in_ends_all(
    ann: Any, sign_in: SignIn, commits: Commits
) -> None:
    """In a thread that has just handled a request of one of them."""
    browsers = [sign_in(ann), sign_in(ann)]
    assert [who(browser) for browser in browsers] == ["ann", "ann"]
    with commits():
        reset(Client(), ann)
    assert live_keys(ann) == []
    assert reasons(ann) == ["password_changed"] * 2


def test_a_reset_that_signs_in_leaves_that_one_session(
    ann: Any, sign_in: SignIn, commits: Commits
) -> None:
    for browser in (sign_in(ann), Client()):
        with commits():
            reset(browser, ann, "reset-and-sign-in")
        assert live_keys(ann) == [key_of(browser)]
        assert who(browser) == "ann"


def change_in_admin(browser: Client, user: Any, **words: str) -> None:
    """Set a user's password in the admin."""
    address = f"/admin/auth/user/{user.pk}/password/"
    fields = {"password1": NEW, "password2": NEW, "usable_password": "true", **words}
    assert browser.post(address, fields).status_code == 302


@pytest.mark.parametrize(
    "words", [{}, {"usable_password": "false", "unset-password": "1"}]
)
def test_another_user_in_the_admin(
    ann: Any, root: Any, sign_in: SignIn, commits: Commits, words: dict[str, str]
) -> None:
    sign_in(ann)
    sign_in(ann)
    browser = sign_in(root)
    with commits():
        change_in_admin(browser, ann, **words)
    assert live_keys(ann) == []
    assert live_keys(root) == [key_of(browser)]


def test_ones_own_in_the_admin(root: Any, sign_in: SignIn, commits: Commits) -> None:
    sign_in(root)
    browser = sign_in(root)
    with commits():
        change_in_admin(browser, root)
    assert live_keys(root) == [key_of(browser)]
    assert who(browser) == "root"


def test_the_session_of_a_request_before_is_not_in_use(
    ann: Any, commits: Commits
) -> None:
    """Each store of before is still held."""
    browser = Client()
    browser.force_login(ann)
    requests = [browser.get("/whoami/").wsgi_request, request_of(sign_in_store(ann))]
    with commits():
        reset(Client(), ann)
    assert live_keys(ann) == []
    assert all(request.session.session_key for request in requests)
