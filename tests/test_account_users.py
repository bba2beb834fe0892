"""A user that is deactivated or deleted: all sessions end at once, and say why."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.core import serializers
from django.core.management import call_command
from django.db import connections, transaction
from django.db.models.signals import post_delete
from django.test import Client, override_settings

from expire_sessions import receivers
from expire_sessions.models import LoggedSession
from expire_sessions.sessions import UserSessions
from tests.accounts.models import BareUser, LeavingUser, UuidMember, UuidStaff, UuidUser
from tests.asking import live_keys
from tests.caches import other_cache
from tests.sessions import live, reasons, sign_in, who

pytestmark = pytest.mark.django_db

Commits = Callable[[], AbstractContextManager[Any]]
Told = list[tuple[str, dict[str, Any]]]


@pytest.fixture(autouse=True)
def three_allowed(settings: Any) -> None:
    """Allow three sessions."""
    settings.EXPIRE_MAX_USERS = 3


def deactivate(user: Any) -> None:
    """Save it as somebody who may not sign in."""
    user.is_active = False
    user.save()


def deactivate_alone(user: Any) -> None:
    """Save nothing else."""
    user.is_active = False
    user.save(update_fields=["is_active"])


def deactivate_async(user: Any) -> None:
    """Save it in async code."""
    user.is_active = False
    async_to_sync(user.asave)()


def deactivate_loaded(user: Any) -> None:
    """Save what was loaded in part."""
    found = get_user_model()._default_manager.only("is_active").get(pk=user.pk)
    deactivate(found)


@pytest.mark.parametrize(
    "end", [deactivate, deactivate_alone, deactivate_async, deactivate_loaded]
)
def test_all_sessions_of_who_is_deactivated_end(
    ann: Any, bob: Any, commits: Commits, told: Told, end: Callable[[Any], None]
) -> None:
    for user in (ann, ann, bob):
        sign_in(user)
    told.clear()
    with commits():
        end(ann)
    assert (live(ann), live(bob)) == (0, 1)
    assert reasons(ann) == ["deactivated", "deactivated"]
    ended = [kwargs for name, kwargs in told if name == "session_ended"]
    assert {kwargs["reason"] for kwargs in ended} == {"deactivated"}


def test_in_the_admin(ann: Any, commits: Commits) -> None:
    browser = Client()
    browser.force_login(
        get_user_model().objects.create_user(
            username="root", is_staff=True, is_superuser=True
        )
    )
    sign_in(ann)
    fields = {"username": "ann", "date_joined_0": "2026-01-01", "date_joined_1": "0:00"}
    with commits():
        browser.post(f"/admin/auth/user/{ann.pk}/change/", fields)
    ann.refresh_from_db()
    assert (ann.is_active, live(ann), who(browser)) == (False, 0, "root")


def delete_by_query(user: Any) -> None:
    """Delete without the instance."""
    get_user_model()._default_manager.filter(pk=user.pk).delete()


@pytest.mark.parametrize("delete", [lambda user: user.delete(), delete_by_query])
def test_all_sessions_of_who_is_deleted_end(
    ann: Any, bob: Any, commits: Commits, told: Told, delete: Callable[[Any], object]
) -> None:
    """No row is left of them, nor does one come back."""
    user_id = str(ann.pk)
    for user in (ann, ann, bob):
        sign_in(user)
    told.clear()
    with commits():
        delete(ann)
    ended = [kwargs for name, kwargs in told if name == "session_ended"]
    assert [(kwargs["user_id"], kwargs["reason"]) for kwargs in ended] == [
        (user_id, "user_deleted")
    ] * 2
    assert (live_keys(user_id), live(bob)) == ([], 1)
    assert LoggedSession.objects.exclude(user=bob).count() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", [deactivate, lambda user: user.delete()])
def test_what_is_rolled_back_ends_nothing(
    ann: Any, end: Callable[[Any], object]
) -> None:
    pk = ann.pk
    sign_in(ann)
    with transaction.atomic():
        end(ann)
        transaction.set_rollback(True)
    found = get_user_model()._default_manager.get(pk=pk)
    assert live(found) == 1
    with transaction.atomic():
        end(found)
        assert len(live_keys(str(pk))) == 1, "nothing is final yet"
    assert live_keys(str(pk)) == []


@pytest.mark.usefixtures("no_retries")
@pytest.mark.parametrize("end", [deactivate, lambda user: user.delete()])
def test_an_outage_breaks_no_save_and_the_sweep_ends_them(
    ann: Any,
    commits: Commits,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    end: Callable[[Any], object],
) -> None:
    user_id = str(ann.pk)
    sign_in(ann)
    with other_cache(f"unix://{tmp_path}/nothing?db=0"), commits():
        end(ann)
    (record,) = (each for each in caplog.records if each.name == "expire_sessions")
    assert record.levelname == "ERROR"
    assert "Run clearsessions" in record.getMessage()
    assert len(live_keys(user_id)) == 1
    call_command("clearsessions")
    assert live_keys(user_id) == []


def test_users_saved_again_and_new_ones_that_are_inactive_are_no_trouble(
    ann: Any, commits: Commits, caplog: pytest.LogCaptureFixture
) -> None:
    with commits():
        deactivate(ann)
        ann.save()
        get_user_model().objects.create_user(username="eve", is_active=False)
    assert caplog.records == []


@pytest.mark.django_db(transaction=True)
def test_a_save_in_the_thread_of_an_event_loop(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django forbids it, unless it is told not to."""
    sign_in(ann)
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

    async def save() -> None:
        try:
            deactivate(ann)
        finally:
            connections.close_all()  # those of the loop

    asyncio.run(save())
    assert (live(ann), reasons(ann)) == (0, ["deactivated"])


@override_settings(SESSION_ENGINE="django.contrib.sessions.backends.db")
def test_sessions_of_another_engine_are_left_alone(
    ann: Any, commits: Commits, caplog: pytest.LogCaptureFixture
) -> None:
    sign_in(ann)
    with commits():
        deactivate(ann)
    assert (live(ann), caplog.records) == (1, [])


ALLOW_ALL = "django.contrib.auth.backends.AllowAllUsersModelBackend"


@override_settings(AUTHENTICATION_BACKENDS=[ALLOW_ALL])
def test_who_may_sign_in_though_inactive_stays(ann: Any, commits: Commits) -> None:
    sign_in(ann)
    with commits():
        deactivate(ann)
        call_command("clearsessions")
    assert live(ann) == 1


class Broken(ModelBackend):
    """A backend of a project, with a fault."""

    def user_can_authenticate(self, user: Any) -> bool:
        """Fail."""
        raise LookupError("no such tenant")


@override_settings(AUTHENTICATION_BACKENDS=[f"{__name__}.Broken"])
def test_a_fault_of_the_project_breaks_no_save(
    ann: Any, commits: Commits, caplog: pytest.LogCaptureFixture
) -> None:
    with commits():
        deactivate(ann)
    ann.refresh_from_db()
    assert not ann.is_active
    assert "no such tenant" in caplog.text


@pytest.mark.parametrize("model", [UuidUser, UuidStaff, UuidMember])
@override_settings(AUTH_USER_MODEL="accounts.UuidUser")
def test_other_models_of_the_same_user(model: Any, commits: Commits) -> None:
    """A proxy, and a child with a table of its own, send signals in their own name."""
    user = model.objects.create(username="uma")
    for end in (deactivate, lambda found: found.delete()):
        found = model.objects.get(pk=user.pk)
        sign_in(UuidUser.objects.get(pk=user.pk))
        with commits():
            end(found)
        assert live_keys(str(user.pk)) == []


@override_settings(AUTH_USER_MODEL="accounts.UuidUser")
def test_the_row_of_a_child_may_go_alone(commits: Commits) -> None:
    member = UuidMember.objects.create(username="uma")
    user = UuidUser.objects.get(pk=member.pk)
    sign_in(user)
    with commits():
        member.delete(keep_parents=True)
    assert len(live_keys(str(user.pk))) == 1


@override_settings(AUTH_USER_MODEL="accounts.UuidUser")
def test_users_of_a_model_that_is_not_in_use(ann: Any, commits: Commits) -> None:
    with override_settings(AUTH_USER_MODEL="auth.User"):
        sign_in(ann)
    with commits():
        deactivate(ann)
    assert len(live_keys(str(ann.pk))) == 1


@override_settings(AUTH_USER_MODEL="accounts.LeavingUser")
def test_whatever_makes_a_user_inactive(commits: Commits) -> None:
    """Also where no field of that name is saved."""
    leo: Any = LeavingUser.objects.create_user("leo", password="leo")
    lea: Any = LeavingUser.objects.create_user("lea", password="lea")
    for user in (leo, lea):
        sign_in(user)
    leo.has_left = True
    with commits():
        leo.save(update_fields=["has_left"])
        lea.save()
    type(lea).objects.filter(pk=lea.pk).update(has_left=True)
    assert [len(live_keys(user)) for user in (leo, lea)] == [0, 1]
    assert UserSessions.end_disallowed([leo.pk, lea.pk]) == 1


def test_a_fixture_ends_nothing_until_the_sweep(ann: Any, commits: Commits) -> None:
    """Django asks receivers to leave everything else alone while it is loaded."""
    sign_in(ann)
    ann.is_active = False
    text = serializers.serialize("json", [ann])
    with commits():
        for fixture in serializers.deserialize("json", text):
            fixture.save()
    assert live(ann) == 1
    call_command("clearsessions")
    assert live(ann) == 0


@override_settings(AUTH_USER_MODEL="accounts.BareUser")
def test_a_user_model_with_neither_password_nor_is_active(commits: Commits) -> None:
    receivers.connect()  # as where it is the user model from the start
    user = BareUser.objects.create(username="bo")
    sign_in(user)
    with commits():
        user.save()
        call_command("clearsessions")
    assert len(live_keys(str(user.pk))) == 1
    pk = str(user.pk)
    with commits():
        user.delete()
    assert live_keys(pk) == []


def test_a_copy_in_another_database_ends_nothing(ann: Any, commits: Commits) -> None:
    sign_in(ann)
    with commits():
        post_delete.send(sender=type(ann), instance=ann, using="archive")
    assert live(ann) == 1
