"""The examples of the README do what it says of them: they are run as they stand."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.serializers.json import DjangoJSONEncoder
from django.test import RequestFactory, override_settings

from expire_sessions.clients import describe
from expire_sessions.models import FailedSignIns, LoggedSession
from expire_sessions.sessions import UserSessions
from expire_sessions.signals import expire_check
from tests import examples
from tests.accounts.models import Subscription
from tests.sessions import sign_in


@pytest.fixture
def myproject(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A project that has subscriptions, for what the examples import."""
    project, models, clients = map(
        ModuleType, ("myproject", "myproject.models", "myproject.clients")
    )
    vars(models)["Subscription"] = Subscription
    for module in (project, models, clients):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return clients


run_example = partial(examples.run_example, "README.md")


@contextmanager
def connected(handler: Any) -> Iterator[None]:
    """Let a handler decide."""
    expire_check.connect(handler)
    try:
        yield
    finally:
        expire_check.disconnect(handler)


def asked(handler: Any, user: Any) -> int:
    """Ask a handler, with a sender of which nothing is known but the key."""
    settings = {"max_users": 1}
    handler(SimpleNamespace(pk=user.pk), settings=settings, signal=expire_check)
    return settings["max_users"]


@pytest.mark.django_db
def test_the_team_may_have_three_sessions(
    ann: Any, bob: Any, django_assert_num_queries: Any
) -> None:
    handler = run_example("team_limit")["team_limit"]
    bob.groups.add(Group.objects.create(name="team"))
    for user, limit in ((ann, 1), (bob, 3)):
        with django_assert_num_queries(1):
            assert asked(handler, user) == limit


@pytest.mark.django_db
def test_a_subscription_says_how_many(
    myproject: ModuleType, ann: Any, bob: Any, django_assert_num_queries: Any
) -> None:
    handler = run_example("seat_limit")["seat_limit"]
    subscription = Subscription.objects.create(user=bob, seats=5)
    for user, limit in ((ann, 1), (bob, 5)):
        with django_assert_num_queries(1):
            assert asked(handler, user) == limit
    subscription.seats = 0
    subscription.save()
    assert asked(handler, bob) == 1


@pytest.mark.django_db
def test_without_a_subscription_one_can_sign_in(
    myproject: ModuleType, ann: Any, sign_in: Any
) -> None:
    with connected(run_example("seat_limit")["seat_limit"]):
        browsers = [sign_in(ann), sign_in(ann)]
        pages = [browser.get("/whoami/") for browser in browsers]
    assert [page.content for page in pages] == [b"", b"ann"]


@pytest.mark.django_db
def test_the_logins_of_a_user_can_be_exported(ann: Any, bob: Any) -> None:
    for user in (ann, bob, ann):
        sign_in(user)
    text = json.dumps(run_example("export")["export"](ann), cls=DjangoJSONEncoder)
    exported = json.loads(text)
    logins = exported["logins"]
    assert [login["end_reason"] for login in logins] == ["evicted", ""]
    assert {(login["ip"], login["user_agent"]) for login in logins} == {
        ("127.0.0.1", "worker")
    }
    assert len(exported["last_seen"]) == 1


@pytest.mark.django_db
def test_the_logins_of_a_user_can_be_erased(ann: Any, bob: Any) -> None:
    for user in (ann, bob, ann):
        sign_in(user)
        authenticate(username=user.get_username(), password="wrong")
    run_example("erase")["erase"](ann)
    call_command("clearsessions")  # which brings nothing back
    assert LoggedSession.objects.for_user(ann).count() == 0
    assert UserSessions(ann).list() == []
    assert LoggedSession.objects.for_user(bob).active().count() == 1
    assert FailedSignIns.objects.get().user_id == bob.pk
    assert len(UserSessions(bob).list()) == 1


@pytest.mark.django_db
def test_users_are_deactivated_in_bulk(ann: Any, bob: Any) -> None:
    for user in (ann, bob):
        sign_in(user)
    users = get_user_model().objects.filter(username="ann", is_active=True)
    run_example("deactivate_all")["deactivate_all"](users)
    assert [len(UserSessions(user).list()) for user in (ann, bob)] == [0, 1]


def test_the_proxies_are_set_up_as_it_says(myproject: ModuleType) -> None:
    example = run_example("EXPIRE_CLIENT_IP")
    vars(myproject)["client_ip"] = example["client_ip"]
    headers = {"X-Forwarded-For": "198.51.100.66, 203.0.113.9"}
    request = RequestFactory().get("/", headers=headers)
    with override_settings(EXPIRE_CLIENT_IP=example["EXPIRE_CLIENT_IP"]):
        assert describe(request).ip == "203.0.113.9"
