"""A Redis that forgets scripts, restarts, or has replicas."""

from typing import Any

import pytest
import redis
from django.test import Client

from example_project.redis_server import RedisServer
from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import StoreUnavailable
from expire_sessions.sessions import UserSessions
from tests.caches import other_cache
from tests.server_plugin import another_server
from tests.sessions import sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_retries")]

KEY = "k" * 32


def test_forgotten_scripts_are_sent_again(ann: Any, server: redis.Redis) -> None:
    store = sign_in(ann)
    server.script_flush()
    store["x"] = 1
    store.save()
    server.script_flush()
    store.cycle_key()
    server.script_flush()
    store.flush()
    assert UserSessions(ann).list() == []


def test_a_restart_is_survived(ann: Any, own_server: RedisServer) -> None:
    sign_in(ann)
    own_server.stop()
    with pytest.raises(StoreUnavailable):
        SessionStore(KEY).load()
    own_server.start()
    store = sign_in(ann)
    assert SessionStore(store.session_key).load()


@pytest.mark.parametrize("site", ["", "/a"])
def test_a_restart_of_a_server_that_persists_signs_nobody_out(
    ann: Any, site: str
) -> None:
    """The connections are broken then, and the scripts forgotten."""
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    with another_server(*durable) as server, other_cache(server.url):
        browser = Client()
        browser.force_login(ann)
        server.stop()
        server.start()
        assert browser.get(f"{site}/set/x/1/").status_code == 200
        assert browser.get(f"{site}/get/x/").content == b"1"
        assert browser.get(f"{site}/whoami/").content == b"ann"


def test_sessions_are_kept_on_and_read_from_the_primary(ann: Any) -> None:
    """Only it knows what is live; the replica of this test knows nothing at all."""
    with (
        another_server() as primary,
        another_server() as replica,
        other_cache(f"{primary.url},{replica.url}"),
        redis.Redis(unix_socket_path=str(primary.socket)) as on_primary,
        redis.Redis(unix_socket_path=str(replica.socket)) as on_replica,
    ):
        store = sign_in(ann)
        assert SessionStore(store.session_key).load()
        assert (on_primary.dbsize(), on_replica.dbsize()) == (3, 0)
        assert on_replica.info("commandstats").get("cmdstat_get") is None
