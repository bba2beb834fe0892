"""A request that is cancelled: its login is whole, and no reply is left behind."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth import alogin
from django.http import HttpRequest

from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession
from expire_sessions.transport import running
from tests.asking import live_keys, redis_client
from tests.loops import Complaints, on_a_loop
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

TURNS = 60
"""Turns of the loop after which everything here is over, or waits for a thread."""

Operation = Callable[[SessionStore, Any], Awaitable[None]]


async def load(store: SessionStore, user: Any) -> None:
    await SessionStore(store.session_key).aload()


async def save(store: SessionStore, user: Any) -> None:
    await store.aset("x", 1)
    await store.asave()


async def enter(store: SessionStore, user: Any) -> None:
    request = HttpRequest()
    request.session = SessionStore()
    await alogin(request, user)
    await request.session.asave()


async def rotate(store: SessionStore, user: Any) -> None:
    await store.acycle_key()


async def leave(store: SessionStore, user: Any) -> None:
    await store.aflush()


OPERATIONS = [load, save, enter, rotate, leave]


async def cancelled_after(turns: int, act: Awaitable[None]) -> bool:
    """Cancel after so many turns of the loop; True if it was under way."""
    task = asyncio.ensure_future(act)
    for _ in range(turns):
        await asyncio.sleep(0)
    was_under_way = task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return was_under_way


async def all_is_done() -> None:
    """Wait for the flows that go on without their callers."""
    while running._running:
        await asyncio.gather(*running._running, return_exceptions=True)


@pytest.mark.parametrize("turns", [*range(12), 20, 40, TURNS])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_wherever_it_is_cancelled_what_follows_is_right(
    ann: Any, operation: Operation, turns: int
) -> None:
    store = sign_in(ann)
    others = [SessionStore() for _ in range(10)]

    async def cancel() -> None:
        await store.aget("x")
        await cancelled_after(turns, operation(store, ann))
        await all_is_done()
        for number, other in enumerate(others):
            await other.aset("number", number)
            await other.asave()
        loads = [SessionStore(other.session_key).aget("number") for other in others]
        assert await asyncio.gather(*loads) == list(range(10))

    with Complaints() as heard:
        on_a_loop(cancel)
    assert heard == []
    # Redis and the history say the same.
    live = set(live_keys(ann))
    assert len(live) <= 1
    assert LoggedSession.objects.active().count() == len(live)
    if operation in {load, save}:
        assert live == {store.session_key}


def test_a_login_that_is_cancelled_in_its_save_is_whole(ann: Any) -> None:
    """The save was begun, so it comes to its end: the row, and the end of the other."""
    first = sign_in(ann)

    async def cancel() -> None:
        request = HttpRequest()
        request.session = SessionStore()
        await alogin(request, ann)
        assert await cancelled_after(1, request.session.asave())
        await all_is_done()

    on_a_loop(cancel)
    (key,) = live_keys(ann)
    assert key != first.session_key
    rows = LoggedSession.objects.order_by("pk").values_list("end_reason", flat=True)
    assert list(rows) == ["evicted", ""]


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("operation", [enter, rotate, leave])
def test_what_comes_next_does_not_meet_it_half_done(
    ann: Any, operation: Operation, turns: int
) -> None:
    """A caller that was cancelled waits for the flow, and may use its store again."""
    store = sign_in(ann)

    async def cancel() -> None:
        await store.aget("x")
        await cancelled_after(turns, operation(store, ann))
        assert not running._running
        await store.aflush()
        await store.aset("x", 1)
        await store.asave()
        assert await SessionStore(store.session_key).aget("x") == 1

    on_a_loop(cancel)
    assert redis_client().keys("*None*") == []


def test_a_store_goes_on_after_a_save_that_was_cancelled(ann: Any) -> None:
    store = sign_in(ann)

    async def cancel() -> None:
        for turns in range(8):
            await store.aset("x", turns)
            await cancelled_after(turns, store.asave())
            await store.asave()
            assert await SessionStore(store.session_key).aget("x") == turns

    on_a_loop(cancel)


def test_a_loop_that_ends_with_a_login_under_way_leaves_no_complaint(ann: Any) -> None:
    async def end() -> None:
        task = asyncio.ensure_future(enter(SessionStore(), ann))
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()

    with Complaints() as heard:
        asyncio.run(end())
    assert heard == []
