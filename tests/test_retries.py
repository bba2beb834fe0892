"""What fails is tried again, for EXPIRE_TIMEOUT, and on a connection of its own."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis
from django.test import override_settings
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import ReadOnlyError

from example_project.redis_server import VARIABLE, RedisServer
from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import StoreRefused, StoreUnavailable
from expire_sessions.flows import loading
from expire_sessions.protocol import reads
from expire_sessions.protocol.asking import Command
from expire_sessions.sessions import UserSessions
from expire_sessions.transport import failures, reserve
from expire_sessions.transport.connections import connection_for
from expire_sessions.transport.failures import LONGEST_PAUSE, Failures
from tests.asking import add_members, redis_client
from tests.caches import entry, other_cache
from tests.clocks import Clock
from tests.loops import on_a_loop
from tests.sessions import sign_in
from tests.threads import all_at_once

pytestmark = pytest.mark.usefixtures("untraced")

LONG = override_settings(EXPIRE_TIMEOUT=60)
"""More than anything here takes, also on a busy machine."""

Load = Callable[[str], dict[str, Any]]


def load(key: str) -> dict[str, Any]:
    """Load a session."""
    return SessionStore(key).load()


def load_async(key: str) -> dict[str, Any]:
    """Load a session on an event loop."""
    return on_a_loop(SessionStore(key).aload)


@pytest.fixture
def key() -> str:
    """A session of nobody."""
    store = SessionStore()
    store["x"] = 1
    store.save()
    return str(store.session_key)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that retries go by."""
    clock = Clock()
    monkeypatch.setattr(failures, "time", clock)
    return clock


ASKED = Command[Any](("PING",))


@pytest.mark.parametrize("seconds", [0.1, 1, 2, 60])
def test_there_is_an_end_to_it(clock: Clock, seconds: float) -> None:
    pauses: list[float] = []
    with override_settings(EXPIRE_TIMEOUT=seconds):
        found = Failures(connection_for("default"), clock.now)
        with suppress(StoreUnavailable):
            while True:
                again = found.next_try(ASKED, NoConnection("gone"))
                pauses.append(again.pause)
                clock.now += again.pause
    assert seconds - LONGEST_PAUSE <= sum(pauses) <= seconds
    assert 0.01 <= pauses[0] <= 0.02
    assert max(pauses) <= LONGEST_PAUSE


def test_the_time_that_the_first_try_took_counts(clock: Clock) -> None:
    found = Failures(connection_for("default"), clock.now)
    clock.now += 5
    with pytest.raises(StoreUnavailable):
        found.next_try(ASKED, NoConnection("silent for long"))


@override_settings(EXPIRE_TIMEOUT=0)
def test_there_may_be_none(clock: Clock) -> None:
    found = Failures(connection_for("default"), clock.now)
    with pytest.raises(StoreUnavailable):
        found.next_try(ASKED, NoConnection("gone"))


@pytest.mark.parametrize(
    "error",
    [
        redis.AuthenticationError("wrong password"),
        redis.OutOfMemoryError("full"),
        redis.ResponseError("WRONGTYPE"),
        redis.DataError("no command"),
    ],
)
def test_what_will_not_change_is_not_tried_again(
    clock: Clock, error: redis.RedisError
) -> None:
    found = Failures(connection_for("default"), clock.now)
    with pytest.raises(StoreUnavailable) as raised:
        found.next_try(ASKED, error)
    assert raised.value.__cause__ is error
    assert isinstance(raised.value, StoreRefused) is isinstance(
        error, redis.ResponseError
    )


def test_a_wrong_password_is_one_in_async_too(clock: Clock) -> None:
    """redis.asyncio tells it as a lost connection, and what it was as the cause."""
    found = Failures(connection_for("default"), clock.now)
    lost = NoConnection("lost while connecting")
    lost.__cause__ = redis.AuthenticationError("wrong password")
    with pytest.raises(StoreUnavailable, match="wrong password"):
        found.next_try(ASKED, lost)


@LONG
@pytest.mark.parametrize("act", [load, load_async])
@pytest.mark.parametrize(
    "options,database,error",
    [
        ({"PASSWORD": "wrong"}, 0, StoreUnavailable),
        ({}, 999, StoreRefused),
    ],
    ids=["a wrong password", "no such database"],
)
def test_what_redis_refuses_while_connecting_is_asked_once(
    own_server: RedisServer,
    admin: redis.Redis,
    act: Load,
    options: dict[str, Any],
    database: int,
    error: type[StoreUnavailable],
) -> None:
    """Over a connection: on its way the error must not lose what has caused it."""
    if options:
        admin.config_set("requirepass", "right")
        admin.auth("right")
    before = admin.info("stats")["total_connections_received"]
    address = own_server.url.replace("db=0", f"db={database}")
    with other_cache(address, **options), pytest.raises(StoreUnavailable) as caught:
        act("k" * 32)
    assert type(caught.value) is error
    assert admin.info("stats")["total_connections_received"] == before + 1


def test_a_load_is_asked_for_less_only_where_it_was_asked(clock: Clock) -> None:
    connection = connection_for("default")
    asked = reads.load(connection.keys, "k" * 32, 60)
    with override_settings(EXPIRE_TIMEOUT=0):
        found = Failures(connection, clock.now)
        with pytest.raises(StoreUnavailable):
            found.next_try(asked, redis.TimeoutError("Timeout connecting to server"))
        assert not connection.scripts_pause.lasts()
        again = found.next_try(asked, redis.TimeoutError("Timeout reading from socket"))
    assert again.asked.words[0] == "GET"  # type: ignore[union-attr]
    assert connection.scripts_pause.lasts()


@pytest.mark.django_db
def test_a_load_that_meets_a_replica_connects_anew(
    own_server: RedisServer, ann: Any
) -> None:
    """It may be a primary that was demoted: its name leads elsewhere by now."""
    store = sign_in(ann)
    add_members(ann, {str(store.session_key): 1})  # the mark is not young
    made = int(redis_client().info("stats")["total_connections_received"])
    with redis.Redis(unix_socket_path=str(own_server.socket)) as admin:
        admin.replicaof("127.0.0.1", "1")
        connection_for("default").seen.forget()
        assert SessionStore(store.session_key).load()
        now = int(admin.info("stats")["total_connections_received"])
    assert now > made + 1


@pytest.mark.django_db
def test_an_async_load_that_meets_a_replica_connects_anew_too(
    own_server: RedisServer, admin: redis.Redis, ann: Any
) -> None:
    store = sign_in(ann)

    def connections_made() -> int:
        return int(admin.info("stats")["total_connections_received"])

    async def load_twice() -> int:
        assert await SessionStore(store.session_key).aload()
        before = connections_made()
        admin.replicaof("127.0.0.1", "1")
        connection_for("default").seen.forget()
        assert await SessionStore(store.session_key).aload()
        return connections_made() - before

    add_members(ann, {str(store.session_key): 1})  # the mark is not young
    assert asyncio.run(load_twice()) == 1


def test_a_primary_that_is_none_any_more_is_left_once(clock: Clock) -> None:
    found = Failures(connection_for("default"), clock.now)
    assert found.next_try(ASKED, ReadOnlyError("a replica")).anew
    with pytest.raises(StoreRefused):
        found.next_try(ASKED, ReadOnlyError("a replica"))


@pytest.mark.parametrize("act", [load, load_async])
def test_a_restart_is_lived_through(
    key: str, act: Load, own_server: RedisServer
) -> None:
    with LONG, other_cache(own_server.url):
        store = SessionStore()
        store["x"] = 1
        store.save()
        own_server.stop()
        back = threading.Timer(0.3, own_server.start)
        back.start()
        assert act(str(store.session_key)) in ({}, {"x": 1}), "it kept what it kept"
        back.join()


@pytest.mark.parametrize("act", [load, load_async])
def test_connections_that_were_cut_are_no_error(key: str, act: Load) -> None:
    for _ in range(5):
        assert act(key) == {"x": 1}
        with redis.Redis.from_url(os.environ[VARIABLE]) as other:
            other.client_kill_filter(_type="normal", skipme=True)


@pytest.mark.django_db
@pytest.mark.parametrize("act", [load, load_async])
def test_scripts_that_were_forgotten_are_sent_in_full(ann: Any, act: Load) -> None:
    store = sign_in(ann)
    redis_client().script_flush()
    connection_for("default").seen.forget()
    assert act(str(store.session_key))
    redis_client().script_flush()
    assert UserSessions(ann).end_all() == 1  # in a batch


def test_threads_that_find_no_connection_free_wait_for_one(key: str) -> None:
    pool = {"max_connections": 1}
    with (
        LONG,
        override_settings(CACHES={"default": entry(CONNECTION_POOL_KWARGS=pool)}),
    ):
        assert all_at_once(lambda: [load(key) for _ in range(50)], 4) == []


@pytest.fixture
def paused(own_server: RedisServer, ann: Any) -> Iterator[tuple[redis.Redis, str]]:
    """A server that lets writes wait, and a session on it."""
    with (
        other_cache(own_server.url, SOCKET_TIMEOUT=0.3),
        redis.Redis(unix_socket_path=str(own_server.socket)) as admin,
    ):
        store = sign_in(ann)
        connection_for("default").seen.forget()
        loading.refused_marks.reset()
        admin.client_pause(600_000, all=False)
        yield admin, str(store.session_key)
        admin.client_unpause()


@pytest.mark.django_db
@pytest.mark.parametrize("act", [load, load_async])
def test_a_server_that_lets_writes_wait_is_read_all_the_same(
    paused: tuple[redis.Redis, str],
    ann: Any,
    act: Load,
    caplog: pytest.LogCaptureFixture,
) -> None:
    admin, key = paused
    assert act(key)["_auth_user_id"] == str(ann.pk)
    (record,) = [r for r in caplog.records if "marked seen" in r.getMessage()]
    assert "does not answer scripts" in record.getMessage()
    connection = connection_for("default")
    assert connection.scripts_pause.lasts()
    connection.seen.forget()
    assert act(key), "the next does not even try"
    connection.seen.forget()
    asked = loading.command(SessionStore(key)._held)
    assert asked is not None
    assert asked.words[0] == "GET"
    admin.client_unpause()
    connection.scripts_pause.end()
    connection.seen.forget()
    add_members(ann, {key: 1})
    assert act(key)
    assert float(redis_client().zscore(connection.keys.index(str(ann.pk)), key)) > 1


# The connections at hand.


def test_a_connection_that_was_just_looked_at_goes_past_the_pool(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(key)
    pool = redis_client().connection_pool
    taken: list[object] = []
    take = type(pool).get_connection

    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        taken.append(self)
        return take(self, *args, **kwargs)

    monkeypatch.setattr(reserve, "LOOKED_AT", 3600)
    monkeypatch.setattr(type(pool), "get_connection", noted)
    for _ in range(5):
        load(key)
    assert taken == []
    monkeypatch.setattr(reserve, "LOOKED_AT", 0)
    load(key)
    assert taken == [pool]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, NoConnection])
def test_a_reply_that_was_not_read_is_read_by_nobody(
    key: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command was sent, and an exception came before its reply."""
    other = SessionStore()
    other["y"] = 2
    other.save()
    with monkeypatch.context() as patch:
        connection = redis.connection.AbstractConnection

        def interrupted(*args: Any, **kwargs: Any) -> None:
            raise error

        patch.setattr(connection, "read_response", interrupted)
        with pytest.raises((error, StoreUnavailable)), override_settings():
            SessionStore(other.session_key).load()
    for _ in range(3):
        assert load(key) == {"x": 1}


def test_an_answer_that_is_an_error_leaves_its_connection_at_hand(key: str) -> None:
    load(key)
    pool = redis_client().connection_pool
    redis_client().set(connection_for("default").keys.payload("w" * 32), "x")
    before = len(pool._in_use_connections) + len(pool._available_connections)
    redis_client().delete(connection_for("default").keys.payload("w" * 32))
    redis_client().lpush(connection_for("default").keys.payload("w" * 32), "x")
    for _ in range(5):
        with pytest.raises(StoreRefused):
            SessionStore("w" * 32).load()
    assert load(key) == {"x": 1}
    assert len(pool._in_use_connections) + len(pool._available_connections) <= before


def test_threads_share_connections_and_mix_nothing_up() -> None:
    stores = [SessionStore() for _ in range(8)]
    for number, store in enumerate(stores):
        store["number"] = number
        store.save()
    waiting = list(range(8))

    def look() -> None:
        number = waiting.pop()
        for _ in range(200):
            found = SessionStore(stores[number].session_key).load()
            assert found == {"number": number}

    assert all_at_once(look, 8) == []


def test_many_tasks_that_meet_an_outage_get_each_an_error_of_its_own(
    key: str,
) -> None:
    async def all_at_once() -> list[Any]:
        loads = [SessionStore(key).aload() for _ in range(20)]
        return list(await asyncio.gather(*loads, return_exceptions=True))

    async def during_an_outage() -> list[Any]:
        with (
            override_settings(EXPIRE_TIMEOUT=0.05),
            other_cache("unix:///nowhere/at/all?db=0"),
        ):
            return await all_at_once()

    found = on_a_loop(during_an_outage)
    assert {type(error) for error in found} == {StoreUnavailable}
    assert len({id(error) for error in found}) == 20
    causes = [error.__cause__ for error in found]
    assert len({id(cause) for cause in causes}) == 20
    assert {cause.__traceback__ for cause in causes} == {None}, "they hold every key"
    assert on_a_loop(all_at_once) == [{"x": 1}] * 20
