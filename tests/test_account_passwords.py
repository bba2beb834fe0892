"""A new password, however it is set: the other sessions end at once."""

import getpass
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import MD5PasswordHasher, make_password
from django.core.management import call_command
from django.db import transaction
from django.test import override_settings

from expire_sessions.backend import SessionStore
from tests.accounts.models import SaltedUser
from tests.caches import other_cache
from tests.sessions import live, reasons, request_of, sign_in, who

pytestmark = pytest.mark.django_db

Commits = Callable[[], AbstractContextManager[Any]]


@pytest.fixture(autouse=True)
def three_allowed(settings: Any) -> None:
    """Allow three sessions."""
    settings.EXPIRE_MAX_USERS = 3


def fetched(user: Any, *fields: str) -> Any:
    """Return the user as another process reads it."""
    return get_user_model()._default_manager.only(*fields or ("pk",)).get(pk=user.pk)


def set_it(user: Any) -> None:
    """Set it as Django's forms do."""
    user.set_password("new")
    user.save()


def set_it_async(user: Any) -> None:
    """Set it in async code."""
    user.set_password("new")
    async_to_sync(user.asave)()


def set_the_field(user: Any) -> None:
    """Save nothing but a hash, made by hand."""
    user.password = make_password("new")
    user.save(update_fields=["password"])


def set_none(user: Any) -> None:
    """Let there be no password any more, as the admin can."""
    user.set_unusable_password()
    user.save()


def set_of_deferred(user: Any) -> None:
    """Set it where the old one was never loaded."""
    set_it(fetched(user, "username"))


def set_by_command(user: Any) -> None:
    """Set it at the console."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(getpass, "getpass", lambda **_: "rather9long")
        call_command("changepassword", user.get_username())


@pytest.mark.parametrize(
    "change",
    [
        set_it,
        set_it_async,
        set_the_field,
        set_none,
        set_of_deferred,
        set_by_command,
    ],
)
def test_outside_of_a_request_all_sessions_end(
    ann: Any, bob: Any, commits: Commits, change: Callable[[Any], None]
) -> None:
    for user in (ann, ann, bob):
        sign_in(user)
    with commits():
        change(fetched(ann, "username", "password"))
    assert (live(ann), live(bob)) == (0, 1)
    assert reasons(ann) == ["password_changed", "password_changed"]


def test_a_store_that_a_script_has_open_is_no_session_in_use(
    ann: Any, commits: Commits
) -> None:
    request = request_of(sign_in(ann))
    with commits():
        set_it(ann)
    assert not SessionStore().exists(request.session.session_key)


def test_a_save_that_changes_nothing_of_it_ends_nothing(
    ann: Any, commits: Commits
) -> None:
    sign_in(ann)
    early = fetched(ann, "username", "password")
    with commits():
        fetched(ann, "username", "password").save()
        fetched(ann, "username").save()
        early.set_password("new")
        early.save(update_fields=["last_login"])
    assert live(ann) == 1


def test_what_was_read_again_is_no_change(ann: Any, commits: Commits) -> None:
    """An instance that was loaded before another process set a new one."""
    early = fetched(ann, "username", "password")
    with commits():
        set_it(ann)
    sign_in(ann)
    early.refresh_from_db()
    with commits():
        early.save()
    assert live(ann) == 1


def test_a_user_that_was_just_made_can_change_it(commits: Commits) -> None:
    user = get_user_model().objects.create_user(username="eve", password="eve")
    for _ in range(2):
        sign_in(user)
        with commits():
            set_it(user)
        assert live(user) == 0


@pytest.mark.django_db(transaction=True)
def test_a_change_that_was_rolled_back_can_be_made_again(ann: Any) -> None:
    sign_in(ann)
    with transaction.atomic():
        set_it(ann)
        transaction.set_rollback(True)
    assert live(ann) == 1
    ann.save()
    assert live(ann) == 0


@pytest.mark.django_db(transaction=True)
def test_two_changes_of_one_transaction(ann: Any) -> None:
    """The second is not saved in it, and so is another one."""
    with transaction.atomic():
        set_it(ann)
        ann.set_password("newer")
    sign_in(ann)
    ann.save()
    assert live(ann) == 0


@pytest.mark.usefixtures("no_retries")
def test_an_outage_breaks_no_change(
    ann: Any, commits: Commits, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sign_in(ann)
    with other_cache(f"unix://{tmp_path}/nothing?db=0"), commits():
        set_it(ann)
    assert "UserSessions(user).end_all()" in caplog.text
    ann.refresh_from_db()
    assert ann.check_password("new")


class Stronger(MD5PasswordHasher):
    """The hasher that a project changes to."""

    algorithm = "stronger"


OLD = "django.contrib.auth.hashers.MD5PasswordHasher"
BOTH = [f"{__name__}.Stronger", OLD]


def test_a_stronger_hash_at_a_login_is_no_other_password(
    ann: Any, sign_in: Any, site: str, commits: Commits
) -> None:
    """Django itself drops the others then, one by one, at their next requests."""
    other = sign_in(ann)
    with override_settings(PASSWORD_HASHERS=BOTH):
        with commits():
            browser = sign_in(ann)
        ann.refresh_from_db()
        assert ann.password.startswith("stronger$")
        assert live(ann) == 2
        assert (who(browser, site), who(other, site)) == ("ann", "")
        assert reasons(ann) == ["flushed", ""]
        with commits():
            set_the_field(ann)
    assert live(ann) == 0, "an up-to-date hash is never renewed"


@override_settings(AUTH_USER_MODEL="accounts.SaltedUser")
def test_whatever_the_sessions_depend_on_by_the_user_model(commits: Commits) -> None:
    sam: Any = SaltedUser.objects.create_user("sam", password="sam")
    sign_in(sam)
    with commits():
        sam.is_superuser = True
        sam.save()
        sam.salt = "sea"
        sam.save(update_fields=["is_superuser"])
    assert live(sam) == 1
    with commits():
        sam.save(update_fields=["salt"])
    assert live(sam) == 0
