"""The async engine on event loops: one client for each, closed with it."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth import alogin
from django.http import HttpRequest
from django.test import override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import StoreRefused
from expire_sessions.transport import loops
from expire_sessions.transport.connections import connection_for
from expire_sessions.transport.loops import MOST_AT_ONCE, lane_of
from tests.asking import live_keys, payload_name, redis_client
from tests.loops import Complaints, on_a_loop
from tests.server_plugin import another_server
from tests.sessions import sign_in


def connections_made() -> int:
    """Return how many connections the server has ever taken."""
    return int(redis_client().info("stats")["total_connections_received"])


FEW = 4
"""Connections that tests and fixtures may have themselves."""


@pytest.fixture(autouse=True)
def complaints() -> Iterator[None]:
    """Let nothing be complained of by asyncio."""
    with Complaints() as heard:
        yield
        gc.collect()
    assert heard == []


def anonymous(**data: Any) -> str:
    """Make a session of nobody."""
    store = SessionStore()
    store.update(data)
    store.save()
    return str(store.session_key)


def clients() -> int:
    """Count the connections to the server."""
    return len(redis_client().client_list())


def test_calls_from_sync_code_leave_no_connection_and_no_loop() -> None:
    """Each has a loop of its own, for which it is not worth to connect."""
    key = anonymous(x=1)
    before = connections_made()
    for _ in range(200):
        assert async_to_sync(SessionStore(key).aload)() == {"x": 1}
    assert connections_made() <= before + 1
    assert loops._loops == {}


def test_a_loop_that_ends_closes_its_client() -> None:
    key = anonymous(x=1)
    before, ended = clients(), []

    async def load() -> None:
        ended.append(weakref.ref(asyncio.get_running_loop()))
        assert await SessionStore(key).aload() == {"x": 1}
        assert lane_of(connection_for("default")) is not None

    for _ in range(200):
        asyncio.run(load())
    gc.collect()
    assert clients() <= before
    assert loops._loops == {}
    assert [loop for loop in ended if loop() is not None] == []


def test_a_loop_that_closes_no_generators_is_forgotten_by_the_next() -> None:
    key = anonymous(x=1)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(SessionStore(key).aload())
    (entry,) = loops._loops.values()
    ((_, lane),) = entry.lanes.values()
    assert lane is not None
    loop.run_until_complete(lane.close())
    loop.close()
    on_a_loop(SessionStore(key).aload)
    assert loops._loops == {}


def test_many_requests_on_one_loop_get_each_its_own_data() -> None:
    keys = [anonymous(number=number) for number in range(300)]

    async def change(number: int) -> None:
        store = SessionStore(keys[number])
        assert await store.aget("number") == number
        await store.aset("twice", 2 * number)
        await store.asave()
        again = SessionStore(keys[number])
        assert await again.aload() == {"number": number, "twice": 2 * number}

    async def all_at_once() -> None:
        await asyncio.gather(*map(change, range(300)))

    on_a_loop(all_at_once)
    assert clients() <= MOST_AT_ONCE + FEW


def test_a_command_that_is_refused_fails_alone() -> None:
    keys = [anonymous(number=number) for number in range(20)]
    name = payload_name(keys[7])
    redis_client().delete(name)
    redis_client().lpush(name, "no payload")

    async def all_at_once() -> list[Any]:
        loads = [SessionStore(key).aload() for key in keys]
        found: list[Any] = await asyncio.gather(*loads, return_exceptions=True)
        return found

    found = on_a_loop(all_at_once)
    assert isinstance(found.pop(7), StoreRefused)
    assert [data["number"] for data in found] == [n for n in range(20) if n != 7]


def test_connections_that_are_cut_are_made_anew() -> None:
    key = anonymous(x=1)

    async def go_on() -> None:
        for _ in range(10):
            loads = [SessionStore(key).aload() for _ in range(20)]
            redis_client().client_kill_filter(_type="normal", skipme=True)
            assert await asyncio.gather(*loads) == [{"x": 1}] * 20

    with override_settings(EXPIRE_TIMEOUT=60):
        on_a_loop(go_on)


def test_new_settings_hold_on_a_loop_that_is_running() -> None:
    key = anonymous(x=1)
    here: dict[str, Any] = settings.CACHES["default"]

    async def go_on() -> None:
        assert await SessionStore(key).aload() == {"x": 1}
        elsewhere = {**here, "LOCATION": own.url}
        with override_settings(CACHES={"default": elsewhere}):
            store = SessionStore()
            await store.aset("y", 2)
            await store.asave()
            assert not await store.aexists(key)
            assert await SessionStore(store.session_key).aload() == {"y": 2}
        assert await SessionStore(key).aload() == {"x": 1}

    with another_server() as own:
        on_a_loop(go_on)


def test_two_loops_in_two_threads_do_not_meet() -> None:
    keys = [anonymous(number=number) for number in range(2)]
    errors: list[BaseException] = []

    async def load(number: int) -> None:
        for _ in range(100):
            found = await SessionStore(keys[number]).aload()
            assert found == {"number": number}

    def act(number: int) -> None:
        try:
            asyncio.run(load(number))
        except BaseException as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    threads = [threading.Thread(target=act, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.mark.django_db(transaction=True)
@override_settings(EXPIRE_MAX_USERS=3)
def test_logins_at_once_on_one_loop_keep_to_the_limit(ann: Any, bob: Any) -> None:
    async def enter(user: Any) -> None:
        request = HttpRequest()
        request.session = SessionStore()
        await alogin(request, user)
        await request.session.asave()

    async def all_at_once() -> None:
        await asyncio.gather(*(enter(user) for user in [ann, bob] * 10))

    on_a_loop(all_at_once)
    assert len(live_keys(ann)) == len(live_keys(bob)) == 3


@pytest.mark.django_db(transaction=True)
@override_settings(EXPIRE_TOUCH_INTERVAL=None)
def test_an_async_save_keeps_to_a_limit_that_was_lowered(ann: Any) -> None:
    """No load does it here: without touches the limit is tested where one saves."""
    with override_settings(EXPIRE_MAX_USERS=2):
        first, second = sign_in(ann), sign_in(ann)

    async def save() -> None:
        store = SessionStore(second.session_key)
        await store.aset("x", 1)
        await store.asave()

    assert set(live_keys(ann)) == {first.session_key, second.session_key}
    on_a_loop(save)
    assert live_keys(ann) == [second.session_key]


def test_a_batch_that_none_waits_for_any_more_disturbs_nobody(ann: Any) -> None:
    store = sign_in(ann)

    async def give_up() -> None:
        loads = [
            asyncio.ensure_future(SessionStore(store.session_key).aload())
            for _ in range(20)
        ]
        await asyncio.sleep(0)
        for load in loads:
            load.cancel()
        await asyncio.gather(*loads, return_exceptions=True)
        assert await SessionStore(store.session_key).aget("_auth_user_id")

    on_a_loop(give_up)
