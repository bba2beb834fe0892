"""Which sessions a process has marked seen: once in an interval, not all at once."""

import os
from itertools import pairwise

import pytest

from expire_sessions.transport import seen
from expire_sessions.transport.seen import Seen
from tests.clocks import Clock

KEYS = [f"session {number}" for number in range(400)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that ``Seen`` looks at."""
    clock = Clock()
    monkeypatch.setattr(seen, "time", clock)
    return clock


def marks(seen: Seen, clock: Clock, key: str, seconds: float | None) -> list[float]:
    """Ask every second, for ten minutes; return when the session was due."""
    found: list[float] = []
    for _ in range(600):
        clock.now += 1
        if not seen.mark_of(key, seconds):
            found.append(clock.now)
            seen.add(key, seconds)
    return found


def test_a_session_is_due_once_in_an_interval(clock: Clock) -> None:
    found = marks(Seen(), clock, "a session", 60)
    assert found[0] == 1001
    assert {later - earlier for earlier, later in pairwise(found[1:])} == {60}


def test_sessions_are_due_at_different_times(clock: Clock) -> None:
    first = {key: marks(Seen(), clock, key, 60)[1] % 60 for key in KEYS[:100]}
    assert len(set(first.values())) > 20


def test_two_processes_mark_a_session_at_different_times() -> None:
    """Also where one is a fork of the other: they have the same hashes."""
    readers: list[int] = []
    for _ in range(4):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, str(seen._salt).encode())
            os._exit(0)
        os.close(writer)
        readers.append(reader)
    salts = [int(os.read(reader, 100)) for reader in readers]
    for reader in readers:
        os.wait()
        os.close(reader)
    assert len({seen._salt, *salts}) > 2


def test_of_many_sessions_few_are_due_in_one_second(clock: Clock) -> None:
    process = Seen()
    for key in KEYS:
        process.add(key, 60)
    most = 0
    for _ in range(60):
        clock.now += 1
        due = [key for key in KEYS if not process.mark_of(key, 60)]
        most = max(most, len(due))
        for key in due:
            process.add(key, 60)
    assert 0 < most < len(KEYS) / 4


def test_with_an_interval_of_nothing_it_is_always_due(clock: Clock) -> None:
    process = Seen()
    process.add("a session", 0)
    assert not process.mark_of("a session", 0)


def test_without_touches_it_is_due_once_an_hour(clock: Clock) -> None:
    process = Seen()
    assert not process.mark_of("a session", None)
    process.add("a session", None)
    assert process.mark_of("a session", None)
    clock.now += 3600
    assert not process.mark_of("a session", None)


def test_it_does_not_grow_for_ever(clock: Clock) -> None:
    process = Seen(most=100)
    for number in range(1000):
        process.add(f"session {number}", 60)
        assert process.mark_of(f"session {number}", 60)
    assert len(process._young) + len(process._old) <= 100


def test_what_nobody_asks_for_is_forgotten(clock: Clock) -> None:
    process = Seen()
    for key in KEYS:
        process.add(key, 60)
    for _ in range(3):
        clock.now += 61
        process.add("another", 60)
    assert not {*process._young, *process._old} & set(KEYS)
