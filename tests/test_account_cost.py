"""What watching accounts costs: nothing, where nothing of them has changed."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, update_last_login
from django.test import override_settings

from tests.accounts.models import SaltedUser
from tests.asking import redis_client
from tests.sessions import live, sign_in

pytestmark = pytest.mark.django_db


def commands() -> int:
    """Return how many commands the server has been asked, this one included."""
    return int(redis_client().info("stats")["total_commands_processed"])


def save_all(user: Any) -> None:
    """Save every field."""
    user.save()


def save_some(user: Any) -> None:
    """Save what decides, unchanged."""
    user.save(update_fields=["password", "is_active"])


def save_login(user: Any) -> None:
    """Save what every login saves."""
    update_last_login(type(user), user=user)


@pytest.mark.parametrize(
    "loaded,save",
    [
        ((), save_all),
        ((), save_some),
        ((), save_login),
        (("username",), save_all),
        (("username",), save_login),
        (("username", "password"), save_all),
    ],
)
def test_an_ordinary_save_of_a_user_is_no_round_trip_and_one_query(
    ann: Any,
    commits: Any,
    django_assert_num_queries: Any,
    loaded: tuple[str, ...],
    save: Any,
) -> None:
    sign_in(ann)
    users = get_user_model()._default_manager
    user = (users.only(*loaded) if loaded else users).get(pk=ann.pk)
    before = commands()
    with django_assert_num_queries(1), commits():
        save(user)
    assert commands() - before == 1


def test_nor_is_a_new_one(
    ann: Any, commits: Any, django_assert_num_queries: Any
) -> None:
    before = commands()
    with django_assert_num_queries(2), commits():
        eve = get_user_model().objects.create_user(username="eve", password="eve")
        eve.save()
    assert commands() - before == 1


def test_a_new_password_is_one_query_more(
    ann: Any, commits: Any, django_assert_num_queries: Any
) -> None:
    user = get_user_model()._default_manager.get(pk=ann.pk)
    user.set_password("new")
    assert live(ann) == 0, "and connected"
    before = commands()
    with django_assert_num_queries(2), commits():
        user.save()
    assert commands() - before == 2, "its index is looked at, and is empty"
    with django_assert_num_queries(1), commits():
        user.save()


def test_a_new_password_that_is_not_saved_is_no_query_more(
    ann: Any, django_assert_num_queries: Any
) -> None:
    ann.set_password("new")
    with django_assert_num_queries(1):
        ann.save(update_fields=["email"])


@override_settings(AUTH_USER_MODEL="accounts.SaltedUser")
def test_a_login_is_none_more_whatever_the_sessions_depend_on(
    db: None, django_assert_num_queries: Any
) -> None:
    sam = SaltedUser.objects.create_user("sam", password="sam")
    with django_assert_num_queries(1):
        save_login(sam)


def test_what_is_deleted_from_other_tables_goes_the_fast_way(
    ann: Any, django_assert_num_queries: Any
) -> None:
    """Where anybody receives post_delete of a model, each row is loaded first."""
    ann.groups.add(Group.objects.create(name="team"))
    with django_assert_num_queries(1):
        get_user_model().groups.through.objects.all().delete()
