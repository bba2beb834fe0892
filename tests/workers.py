"""What the processes of the race tests do.

They are forked from a server process that has imported this module, which sets
Django up on the database and the Redis of the test run.
"""

import asyncio
import json
import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Barrier
from typing import Any

import django
from django.apps import apps
from django.test.utils import override_settings

if not apps.ready:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()

from django.contrib.auth import alogin, get_user_model
from django.contrib.sessions.backends.base import UpdateError
from django.db import connection
from django.http import HttpRequest

from expire_sessions import history
from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import SessionLimitReached
from expire_sessions.flows import held
from expire_sessions.models import LoggedSessionQuerySet
from expire_sessions.protocol import commands
from expire_sessions.protocol.session_keys import new_session_key
from tests.asking import redis_client
from tests.loops import on_a_loop
from tests.sessions import sign_in

REFUSING: dict[str, Any] = {
    "EXPIRE_POLICY": "refuse",
    "EXPIRE_IDLE_AGE": 900,
    "EXPIRE_ABSOLUTE_AGE": 9000,
}

TRIED = "tests:tried"
"""The Redis set of every session key that a worker ever drew."""

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.workers"])


def start(work: Callable[..., None], *args: Any) -> ForkServerProcess:
    """Start a process that does ``work`` on the test's database."""
    database = json.dumps(connection.settings_dict)
    process = context.Process(target=_run, args=(database, work, args), daemon=True)
    process.start()
    return process


def _run(database: str, work: Callable[..., None], args: tuple[Any, ...]) -> None:
    connection.settings_dict.update(json.loads(database))
    held.new_session_key = recorded_key  # type: ignore[attr-defined]
    work(*args)
    connection.close()


def recorded_key() -> str:
    """Draw a session key that the checker knows before it is used."""
    key = new_session_key()
    redis_client().sadd(TRIED, key)
    return key


def user_of(pk: Any) -> Any:
    """Fetch a user."""
    return get_user_model()._default_manager.get(pk=pk)


def logins(pk: Any, limit: int, count: int, barrier: Barrier) -> None:
    """Sign in again and again."""
    user = user_of(pk)
    with override_settings(EXPIRE_MAX_USERS=limit):
        barrier.wait()
        for _ in range(count):
            sign_in(user)


def refusable_logins(pk: Any, limit: int, count: int, barrier: Barrier) -> None:
    """Sign in again and again, where there is a free place."""
    user = user_of(pk)
    with override_settings(EXPIRE_MAX_USERS=limit, **REFUSING):
        barrier.wait()
        for _ in range(count):
            with suppress(SessionLimitReached):
                sign_in(user)


def async_refusable_logins(pk: Any, limit: int, count: int, barrier: Barrier) -> None:
    """The same, all at once on one event loop."""
    user = user_of(pk)

    async def all_at_once() -> list[Any]:
        logins = (async_sign_in(user) for _ in range(count))
        return await asyncio.gather(*logins, return_exceptions=True)

    with override_settings(EXPIRE_MAX_USERS=limit, **REFUSING):
        barrier.wait()
        for outcome in on_a_loop(all_at_once):
            if not isinstance(outcome, SessionStore | SessionLimitReached):
                raise outcome


def mixture(pk: Any, limit: int, count: int, seed: int) -> None:
    """Sign in, load, save, rotate and sign out in random order."""
    user, draw = user_of(pk), random.Random(seed)
    keys: list[str] = []
    with override_settings(EXPIRE_MAX_USERS=limit, EXPIRE_TOUCH_INTERVAL=0):
        for _ in range(count):
            step = draw.choice([visit, visit, change, change, rotate, sign_out])
            if not keys or draw.random() < 0.3:
                keys.append(str(sign_in(user).session_key))
            else:
                store = SessionStore(keys.pop(draw.randrange(len(keys))))
                step(store)
                if store.session_key:
                    keys.append(store.session_key)


def async_logins(pk: Any, limit: int, count: int, barrier: Barrier) -> None:
    """Sign in again and again, all at once on one event loop."""
    user = user_of(pk)

    async def all_at_once() -> None:
        await asyncio.gather(*(async_sign_in(user) for _ in range(count)))

    with override_settings(EXPIRE_MAX_USERS=limit):
        barrier.wait()
        on_a_loop(all_at_once)


def async_mixture(pk: Any, limit: int, count: int, seed: int) -> None:
    """Do all that in random order, ten requests at once on one event loop."""
    user, draw = user_of(pk), random.Random(seed)
    keys: list[str] = []

    async def request() -> None:
        step = draw.choice([aload, asave, asave, arotate, aflush])
        if not keys or draw.random() < 0.3:
            keys.append(str((await async_sign_in(user)).session_key))
            return
        store = SessionStore(draw.choice(keys))
        await step(store)
        if store.session_key and store.session_key not in keys:
            keys.append(store.session_key)

    async def ten_at_once() -> None:
        for _ in range(count // 10):
            await asyncio.gather(*(request() for _ in range(10)))
            del keys[:-20]

    with override_settings(EXPIRE_MAX_USERS=limit, EXPIRE_TOUCH_INTERVAL=0):
        on_a_loop(ten_at_once)


async def async_sign_in(user: Any) -> SessionStore:
    """Sign in as an async view does."""
    request = HttpRequest()
    store = request.session = SessionStore()
    await alogin(request, user)
    await store.asave()
    return store


async def aload(store: SessionStore) -> None:
    """Read the session."""
    await store.aget("x")


async def asave(store: SessionStore) -> None:
    """Write to the session; it may have ended since it was read."""
    await store.aset("x", "y")
    if not await store.ahas_key("_auth_user_id"):
        await store.aflush()
        return
    try:
        await store.asave()
    except UpdateError:
        await store.aflush()


async def arotate(store: SessionStore) -> None:
    """Give the session a new key."""
    if await store.ahas_key("_auth_user_id"):
        await store.acycle_key()


async def aflush(store: SessionStore) -> None:
    """End the session."""
    store.remember_logout()
    await store.aflush()


def async_forever(  # pragma: no cover - is killed
    pk: Any, limit: int, seed: int
) -> None:
    """Do all that on an event loop until killed."""
    async_mixture(pk, limit, 1_000_000, seed)


def visit(store: SessionStore) -> None:
    """Read the session."""
    store.get("x")


def change(store: SessionStore) -> None:
    """Write to the session; it may have ended since it was read."""
    store["x"] = "y"
    if "_auth_user_id" in store:
        try:
            store.save()
        except UpdateError:
            store.flush()
    else:
        store.flush()


def rotate(store: SessionStore) -> None:
    """Give the session a new key."""
    if "_auth_user_id" in store:
        store.cycle_key()


def sign_out(store: SessionStore) -> None:
    """End the session."""
    store.remember_logout()
    store.flush()


def forever(pk: Any, limit: int, seed: int) -> None:  # pragma: no cover - is killed
    """Do all that until killed."""
    mixture(pk, limit, 1_000_000, seed)


POINTS: dict[str, tuple[Any, str]] = {
    "after the row, before the script": (commands, "place"),
    "after the script, before any row is closed": (LoggedSessionQuerySet, "close"),
    "after a row was closed, before the rest is settled": (history, "settle"),
    "after the removal, before its row is closed": (LoggedSessionQuerySet, "close"),
    "after the rotation, before its row follows": (LoggedSessionQuerySet, "follow"),
}
"""Where a process can die, and what it calls there."""


def die_at(point: str, pk: Any, limit: int) -> None:  # pragma: no cover - is killed
    """Sign in, and go on, until this very point, and die there."""
    user = user_of(pk)
    with override_settings(EXPIRE_MAX_USERS=limit):
        store = sign_in(user)
        for _ in range(limit):
            sign_in(user)
        store = sign_in(user)
        setattr(*POINTS[point], die)
        if "removal" in point:
            store.flush()
        elif "rotation" in point:
            store.cycle_key()
        else:
            sign_in(user)


def die(*args: object, **kwargs: object) -> None:  # pragma: no cover - it kills
    """End this process as the system would, with no chance to tidy up."""
    os.kill(os.getpid(), signal.SIGKILL)
