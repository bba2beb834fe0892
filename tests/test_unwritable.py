"""A Redis that can be read keeps everybody signed in, also where it takes no writes."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from django.test import Client, override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import StoreRefused
from expire_sessions.flows import loading
from expire_sessions.models import LoggedSession
from expire_sessions.sessions import UserSessions
from tests.asking import id_of
from tests.caches import other_cache
from tests.server_plugin import another_server
from tests.sessions import sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_retries")]


def lose_replicas(client: redis.Redis) -> None:
    client.config_set("min-replicas-to-write", 1)


def become_a_replica(client: redis.Redis) -> None:
    client.replicaof("127.0.0.1", "1")


REFUSALS: dict[str, tuple[Callable[[redis.Redis], None], str]] = {
    "too few replicas": (lose_replicas, "NOREPLICAS"),
    "it is a replica": (become_a_replica, "read only replica"),
}


@pytest.fixture(params=REFUSALS)
def refuse(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Use a server of one's own, which refuses all writes from a call on."""
    act, text = REFUSALS[request.param]
    with another_server() as own:

        def refuse() -> str:
            act(client)
            return text

        with (
            redis.Redis(unix_socket_path=str(own.socket)) as client,
            other_cache(own.url),
            override_settings(EXPIRE_TOUCH_INTERVAL=0),
        ):
            loading.refused_marks.reset()
            yield refuse


@pytest.mark.parametrize("site", ["", "/a"])
def test_pages_are_shown_to_who_is_signed_in(
    ann: Any,
    refuse: Callable[[], str],
    site: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    browser = Client()
    browser.force_login(ann)
    text = refuse()
    found = {browser.get(f"{site}/whoami/").content for _ in range(20)}
    assert found == {b"ann"}
    (record,) = [r for r in caplog.records if "marked seen" in r.getMessage()]
    assert record.levelno == logging.WARNING
    assert text in record.getMessage()


def test_a_write_still_fails(ann: Any, refuse: Callable[[], str]) -> None:
    store = sign_in(ann)
    refuse()
    store["x"] = 1
    with pytest.raises(StoreRefused):
        store.save()
    with pytest.raises(StoreRefused):
        store.flush()
    with pytest.raises(StoreRefused):
        UserSessions(ann).end_all()


def test_a_login_that_is_refused_closes_its_row_at_once(
    ann: Any, refuse: Callable[[], str]
) -> None:
    refuse()
    with pytest.raises(StoreRefused):
        sign_in(ann)
    assert LoggedSession.objects.get().end_reason == "lost"


def test_a_login_that_is_repeated_after_a_refusal_opens_its_row_again(
    ann: Any,
) -> None:
    with (
        another_server() as own,
        other_cache(own.url),
        redis.Redis(unix_socket_path=str(own.socket)) as client,
    ):
        store = SessionStore()
        store["_auth_user_id"] = id_of(ann)
        lose_replicas(client)
        with pytest.raises(StoreRefused):
            store.save()
        client.config_set("min-replicas-to-write", 0)
        store.save()
        assert LoggedSession.objects.get().active
        assert len(UserSessions(ann).list()) == 1
