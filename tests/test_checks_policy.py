"""What the policies "ask" and "refuse" need is there, or its absence is told."""

from types import ModuleType
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.test import override_settings

from expire_sessions import middleware
from expire_sessions.checks import check_policy
from tests.choosing import ASK, asking
from tests.found import ids


class AskMiddleware(middleware.AskMiddleware):
    """A project's own."""


def found(**changed: Any) -> list[CheckMessage]:
    """Return what is found in a project that is in order but for these settings."""
    with asking(**changed):
        return check_policy()


@pytest.mark.parametrize("policy", ["evict", "refuse", "ask"])
def test_a_project_in_order_is_told_nothing(policy: str) -> None:
    assert found(EXPIRE_POLICY=policy) == []


@pytest.mark.parametrize("chain", [[], ["no.such"], ["tests.settings.USE_TZ"], None])
def test_to_ask_takes_the_middleware(chain: Any) -> None:
    (message,) = found(MIDDLEWARE=chain)
    assert ids([message]) == {"E046"}
    assert ASK in str(message.hint)


def test_middleware_that_builds_on_it_asks_too() -> None:
    assert found(MIDDLEWARE=[f"{__name__}.AskMiddleware"]) == []


def test_to_ask_takes_the_page() -> None:
    (message,) = found(ROOT_URLCONF="tests.urls")
    assert ids([message]) == {"E047"}
    assert 'include("expire_sessions.urls")' in str(message.hint)


def test_who_is_refused_is_to_see_why() -> None:
    (message,) = found(EXPIRE_POLICY="refuse", ROOT_URLCONF="tests.urls")
    assert ids([message]) == {"W048"}
    assert "expire_sessions.views.permission_denied" in str(message.hint)


def test_a_handler_of_the_project_knows_what_it_does() -> None:
    urls: Any = ModuleType("urls")
    urls.urlpatterns = []
    urls.handler403 = "tests.views.whoami"
    assert found(EXPIRE_POLICY="refuse", ROOT_URLCONF=urls) == []


def test_what_evicts_needs_nothing() -> None:
    assert found(EXPIRE_POLICY="evict", ROOT_URLCONF="tests.urls", MIDDLEWARE=[]) == []


@pytest.mark.parametrize(
    "policy,urls",
    [("ask", "no.such"), ("refuse", "no.such"), ("ask", "tests.settings"), ("ask", 1)],
)
def test_broken_urls_are_left_to_django(policy: str, urls: Any) -> None:
    assert found(EXPIRE_POLICY=policy, ROOT_URLCONF=urls) == []


def test_a_wrong_policy_is_left_to_its_own_check() -> None:
    assert found(EXPIRE_POLICY="postpone") == []


def test_another_engine_has_no_policy() -> None:
    engine = "django.contrib.sessions.backends.db"
    with override_settings(SESSION_ENGINE=engine):
        assert found(MIDDLEWARE=[]) == []
