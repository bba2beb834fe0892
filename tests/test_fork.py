"""A process that is forked after first use shares no connection with its parent."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable

import pytest

from expire_sessions.backend import SessionStore
from expire_sessions.transport import connections
from tests.loops import on_a_loop

pytestmark = pytest.mark.usefixtures("untraced")

ROUNDS = 100
SECONDS = 30
"""Far more than a child takes."""


def session(**data: object) -> str:
    """Make a session of nobody."""
    store = SessionStore()
    store.update(data)
    store.save()
    return str(store.session_key)


def in_a_child(act: Callable[[], None]) -> int:
    """Start an act in a child; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(SECONDS)  # a child that hangs ends, and says so by its exit code
    try:
        act()
    except BaseException:  # noqa: BLE001 - its parent sees the exit code
        os._exit(1)
    os._exit(0)


def exit_code(pid: int) -> int:
    """Wait for a child to end."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def use(key: str, name: str) -> None:
    """Load and save, and look whether it is one's own."""
    for number in range(ROUNDS):
        store = SessionStore(key)
        assert store["name"] == name
        store["number"] = number
        store.save()
        assert SessionStore(key)["number"] == number


def test_parent_and_children_use_sessions_at_the_same_time() -> None:
    own = session(name="parent")
    keys = {name: session(name=name) for name in ("one", "two")}
    SessionStore(own).load()  # there is a connection at hand
    children = [
        in_a_child(lambda key=key, name=name: use(key, name))  # type: ignore[misc]
        for name, key in keys.items()
    ]
    use(own, "parent")
    assert [exit_code(child) for child in children] == [0, 0]


def test_a_child_has_event_loops_of_its_own() -> None:
    key = session(name="any")

    async def fork() -> int:
        assert await SessionStore(key).aget("name") == "any"
        return in_a_child(lambda: None)

    def use_async() -> None:
        # No thread: those of asgiref's executor are the parent's alone.
        assert asyncio.run(SessionStore(key).aload()) == {"name": "any"}

    assert exit_code(on_a_loop(fork)) == 0
    on_a_loop(SessionStore(key).aload)
    assert exit_code(in_a_child(use_async)) == 0
    on_a_loop(SessionStore(key).aload)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_while_another_thread_connects_does_not_hang() -> None:
    """The child's copy of the lock would be held by a thread that it does not have."""
    key = session(name="any")
    taken, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with connections._lock:
            taken.set()
            go_on.wait()

    def connect() -> None:
        connections.forget_connections()
        assert SessionStore(key)["name"] == "any"

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    child = in_a_child(connect)
    go_on.set()
    thread.join()
    assert exit_code(child) == 0
