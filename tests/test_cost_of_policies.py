"""What an ordinary request costs under each policy, with and without ages: the same."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client, override_settings

from expire_sessions.transport.connections import forget_connections, forget_sessions
from tests.asking import redis_client
from tests.passing import passing_time
from tests.sessions import key_of
from tests.test_cost import Trips, trips

__all__ = ["trips"]

pytestmark = pytest.mark.django_db

SignIn = Callable[..., Client]
BOTH = {"EXPIRE_IDLE_AGE": 900, "EXPIRE_ABSOLUTE_AGE": 43_200}


@pytest.fixture(autouse=True, params=["evict", "refuse", "ask"])
def policy(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have each of the policies."""
    with override_settings(EXPIRE_POLICY=request.param):
        yield


@pytest.mark.parametrize("ages", [{}, BOTH], ids=["no ages", "both ages"])
@pytest.mark.parametrize("process", ["the same", "another"])
def test_an_ordinary_request_is_a_load_and_a_save(
    ann: Any,
    sign_in: SignIn,
    trips: Trips,
    django_assert_num_queries: Any,
    ages: dict[str, int],
    process: str,
) -> None:
    with override_settings(**ages), passing_time() as later:
        browser = sign_in(ann)
        forget_sessions()
        browser.get("/get/x/")  # the server knows the scripts now
        if process == "another":
            forget_connections()
            redis_client().ping()
        later(5, key_of(browser))
        with django_assert_num_queries(0):
            assert trips.during(lambda: browser.get("/set/x/1/")) == 2
            assert trips.during(lambda: browser.get("/get/x/")) == 1
        forget_sessions()
        with django_assert_num_queries(0):
            assert trips.during(lambda: browser.get("/get/x/")) == 1
