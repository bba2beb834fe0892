"""What an operation costs: round trips and queries, counted where they are sent."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.contrib.auth import authenticate, login
from django.core.cache import caches
from django.http import HttpRequest
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django_redis.client import DefaultClient
from redis.asyncio.connection import AbstractConnection as AsyncConnection
from redis.connection import AbstractConnection

from expire_sessions.backend import SessionStore
from expire_sessions.noticing import arefusal
from expire_sessions.sessions import UserSessions
from expire_sessions.signals import superuser_handler
from expire_sessions.transport.connections import connection_for, forget_connections
from tests.asking import add_members, index_name, redis_client
from tests.choosing import CHOOSE, asking, offered, try_login, waiting
from tests.sessions import key_of
from tests.sessions import sign_in as sign_in_store

SignIn = Callable[..., Client]


class Trips:
    """Counts what is sent to Redis: a command, or a pipeline of them, is one."""

    def __init__(self) -> None:
        self.sent = 0

    def during(self, call: Callable[[], object]) -> int:
        """Return how many round trips a call makes."""
        before = self.sent
        call()
        return self.sent - before


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> Trips:
    """A counter on every connection, which works as before."""
    counter = Trips()
    send = AbstractConnection.send_packed_command

    def counted(self: Any, *args: Any, **kwargs: Any) -> None:
        counter.sent += 1
        send(self, *args, **kwargs)  # type: ignore[no-untyped-call] # redis-py's

    monkeypatch.setattr(AbstractConnection, "send_packed_command", counted)
    return counter


@pytest.fixture
def store(ann: Any) -> SessionStore:
    """A session that its process has just seen; scripts and connections are warm."""
    warm = sign_in_store(ann)
    forget_connections()
    SessionStore(warm.session_key).load()
    warm.cycle_key()
    warm.flush()
    return sign_in_store(ann)


def last_seen(user: Any) -> float:
    """Return when the only session of a user was last seen."""
    ((_, seen),) = redis_client().zrange(index_name(user), 0, -1, withscores=True)
    return float(seen)


def test_a_load_is_one_round_trip(store: SessionStore, trips: Trips) -> None:
    assert trips.during(SessionStore(store.session_key).load) == 1


def test_a_load_that_marks_the_session_seen_is_one(
    ann: Any, store: SessionStore, trips: Trips
) -> None:
    add_members(ann, {str(store.session_key): 1})  # nobody has marked it lately
    forget_connections()  # as a process that has not seen the session yet,
    redis_client().ping()  # but is connected
    before = last_seen(ann)
    assert trips.during(SessionStore(store.session_key).load) == 1
    assert last_seen(ann) > before
    assert trips.during(SessionStore(store.session_key).load) == 1


def test_a_miss_is_one_more_for_the_reason(trips: Trips, store: SessionStore) -> None:
    assert trips.during(SessionStore("x" * 32).load) == 2
    with override_settings(EXPIRE_NOTICE_AGE=0):
        assert trips.during(SessionStore("x" * 32).load) == 1


def test_a_visitor_without_a_cookie_is_none(trips: Trips, store: SessionStore) -> None:
    assert trips.during(SessionStore().load) == 0
    assert trips.during(lambda: SessionStore().notice) == 0


def test_an_ordinary_save_is_one(store: SessionStore, trips: Trips) -> None:
    store["x"] = 1
    assert trips.during(store.save) == 1


def test_a_save_that_changes_nothing_is_one(store: SessionStore, trips: Trips) -> None:
    loaded = SessionStore(store.session_key)
    loaded.get("x")
    assert trips.during(loaded.save) == 1


def test_a_login_is_the_one_that_creates_the_session(
    ann: Any, store: SessionStore, trips: Trips
) -> None:
    """At the limit: one session is created, one ended, in a single round trip."""
    assert trips.during(lambda: sign_in_store(ann)) == 1


def test_a_login_in_an_anonymous_session_is_one_more(
    ann: Any, store: SessionStore, trips: Trips
) -> None:
    request = HttpRequest()
    anonymous = SessionStore()
    anonymous["cart"] = 1
    anonymous.save()
    request.session = SessionStore(anonymous.session_key)
    assert trips.during(lambda: request.session.get("cart")) == 1
    assert trips.during(lambda: login(request, ann)) == 1, "moves it to its new key"
    assert trips.during(request.session.save) == 1


def test_creating_rotating_and_ending_are_one_each(
    store: SessionStore, trips: Trips
) -> None:
    assert trips.during(SessionStore().create) == 1
    assert trips.during(store.cycle_key) == 1
    assert trips.during(store.flush) == 1


def test_what_was_never_saved_costs_nothing_to_drop(trips: Trips) -> None:
    fresh = SessionStore()
    fresh.cycle_key()
    assert fresh.session_key
    assert trips.during(fresh.flush) == 0


def test_listing_is_two_whatever_there_is_to_list(
    ann: Any, trips: Trips, settings: Any
) -> None:
    settings.EXPIRE_MAX_USERS = 0
    for _ in range(20):
        sign_in_store(ann)
    assert trips.during(UserSessions(ann).list) == 2


def test_an_ordinary_request_makes_no_query(
    ann: Any, sign_in: SignIn, django_assert_num_queries: Any
) -> None:
    browser = sign_in(ann)
    with django_assert_num_queries(0):
        assert browser.get("/set/x/1/").status_code == 200
        assert browser.get("/get/x/").content == b"1"


def counted_send(
    trips: Trips, send: Callable[..., Awaitable[None]]
) -> Callable[..., Awaitable[None]]:
    """Count what an async connection sends."""

    async def counted(self: Any, *args: Any, **kwargs: Any) -> None:
        trips.sent += 1
        await send(self, *args, **kwargs)

    return counted


@pytest.fixture
def async_trips(monkeypatch: pytest.MonkeyPatch) -> Trips:
    """A counter on every async connection."""
    counter = Trips()
    counted = counted_send(counter, AsyncConnection.send_packed_command)
    monkeypatch.setattr(AsyncConnection, "send_packed_command", counted)
    return counter


def test_an_async_notice_does_not_block(
    ann: Any, store: SessionStore, async_trips: Trips, trips: Trips
) -> None:
    """Nor does the refusal of an API client."""
    dead = [sign_in_store(ann).session_key for _ in range(3)]
    request = HttpRequest()
    request.session = SessionStore(dead[1])

    async def count() -> tuple[int, int]:
        await SessionStore().aexists("x" * 32)  # connects
        before = async_trips.sent, trips.sent
        assert await SessionStore(dead[0]).anotice()
        assert await arefusal(request)
        return async_trips.sent - before[0], trips.sent - before[1]

    assert asyncio.run(count()) == (6, 0)  # load, the reason, and that it was taken


@pytest.mark.parametrize("is_due", [True, False])
def test_an_async_load_is_one_round_trip_due_or_not(
    ann: Any, store: SessionStore, async_trips: Trips, trips: Trips, is_due: bool
) -> None:
    add_members(ann, {str(store.session_key): 1})

    async def count() -> tuple[int, int]:
        await SessionStore().aexists("x" * 32)  # connects
        if is_due:
            connection_for("default").seen.forget()
        before = async_trips.sent, trips.sent
        assert await SessionStore(store.session_key).aload()
        return async_trips.sent - before[0], trips.sent - before[1]

    assert asyncio.run(count()) == (1, 0)
    assert (last_seen(ann) > 1) is is_due


def test_async_loads_of_one_turn_are_one_round_trip(
    store: SessionStore, async_trips: Trips
) -> None:
    async def count() -> int:
        await SessionStore().aexists("x" * 32)
        before = async_trips.sent
        loads = [SessionStore(store.session_key).aload() for _ in range(50)]
        assert all(await asyncio.gather(*loads))
        return async_trips.sent - before

    assert asyncio.run(count()) == 1


@pytest.mark.parametrize("site", ["", "/a"])
def test_a_handler_costs_no_query_where_the_user_has_one_session(
    ann: Any, sign_in: SignIn, django_assert_num_queries: Any, site: str, handle: Any
) -> None:
    """Not even one that looks at the user."""
    browser = sign_in(ann)
    handle(superuser_handler)
    connection_for("default").seen.forget()
    with django_assert_num_queries(0):
        assert browser.get(f"{site}/set/x/1/").status_code == 200
        assert browser.get(f"{site}/get/x/").content == b"1"


@override_settings(EXPIRE_MAX_USERS=5)
def test_a_handler_is_asked_once_in_an_interval(ann: Any, handle: Any) -> None:
    """A login asks anew, whatever was answered before."""
    asked: list[object] = []

    def note(**kwargs: object) -> None:
        asked.append(kwargs["sender"])

    first, _ = sign_in_store(ann), sign_in_store(ann)
    handle(note)
    for number in range(3):
        connection_for("default").seen.forget()
        loaded = SessionStore(first.session_key)
        loaded["x"] = number
        loaded.save()
    assert len(asked) == 1
    sign_in_store(ann)
    assert len(asked) == 2


def history_queries(queries: CaptureQueriesContext) -> list[str]:
    """Return the first words of the queries on the history."""
    return [
        query["sql"].split()[0]
        for query in queries
        if "expire_sessions_loggedsession" in query["sql"]
    ]


def failure_queries(queries: CaptureQueriesContext) -> list[str]:
    """Return the first words of the queries on nothing but the failures."""
    return [
        query["sql"].split()[0]
        for query in queries
        if "expire_sessions_failedsignins" in query["sql"]
        and "expire_sessions_loggedsession" not in query["sql"]
    ]


def fail(name: str) -> None:
    """Try to sign in with a wrong password."""
    assert authenticate(username=name, password="wrong") is None


def test_a_login_makes_one_insert_and_two_looks(
    ann: Any, sign_in: SignIn, django_assert_max_num_queries: Any
) -> None:
    """One look for the last access, one when it has its place."""
    sign_in(ann).get("/logout/")
    with django_assert_max_num_queries(20) as queries:
        sign_in(ann)
    assert history_queries(queries) == ["SELECT", "INSERT", "SELECT"]
    assert failure_queries(queries) == []


def test_what_a_login_is_told_of_failures_costs_one_update(
    ann: Any, sign_in: SignIn, django_assert_max_num_queries: Any
) -> None:
    sign_in(ann).get("/logout/")
    fail("ann")
    with django_assert_max_num_queries(20) as queries:
        sign_in(ann)
    assert failure_queries(queries) == ["UPDATE"]


def test_the_first_login_of_an_account_looks_once_more(
    ann: Any, sign_in: SignIn, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(20) as queries:
        sign_in(ann)
    assert history_queries(queries) == ["SELECT", "INSERT", "SELECT"]
    assert failure_queries(queries) == ["SELECT"]


@pytest.mark.parametrize("name", ["ann", "nobody"])
def test_a_failed_sign_in_is_one_write_whether_or_not_there_is_such_an_account(
    ann: Any, name: str, django_assert_num_queries: Any
) -> None:
    fail(name)
    with django_assert_num_queries(5) as queries:
        fail(name)
    assert failure_queries(queries) == ["UPDATE"]


def test_a_login_that_ends_another_updates_its_row(
    ann: Any, sign_in: SignIn, django_assert_max_num_queries: Any
) -> None:
    sign_in(ann)
    with django_assert_max_num_queries(20) as queries:
        sign_in(ann)
    assert history_queries(queries) == ["SELECT", "INSERT", "UPDATE", "SELECT"]


def test_all_requests_and_threads_of_a_process_share_one_client(
    ann: Any, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = sign_in(ann)
    built: list[object] = []
    build = DefaultClient.__init__

    def counted(self: Any, *args: Any, **kwargs: Any) -> None:
        built.append(self)
        build(self, *args, **kwargs)

    monkeypatch.setattr(DefaultClient, "__init__", counted)
    clients: list[object] = [redis_client()]

    def request() -> None:
        SessionStore(key_of(browser)).load()
        clients.append(SessionStore()._connection.client)
        caches.close_all()

    for _ in range(5):
        browser.get("/get/x/")
        thread = threading.Thread(target=request)
        thread.start()
        thread.join()
    assert built == []
    assert len(set(map(id, clients))) == 1


@pytest.mark.django_db
def test_to_ask_costs_what_the_readme_says(
    ann: Any, trips: Trips, django_assert_num_queries: Any
) -> None:
    with asking():
        sign_in_store(ann)
        waiting().post(CHOOSE, {"all": ""})
        browser = Client()
        assert trips.during(lambda: try_login(browser)) == 2
        with django_assert_num_queries(2):
            assert trips.during(lambda: browser.get(CHOOSE)) == 3
        chosen = {"session": offered(browser.get(CHOOSE))}
        assert trips.during(lambda: browser.post(CHOOSE, chosen)) == 9
