"""Ages against a model of them: two processes, lost replies, and time that passes.

After each step what a session has left in Redis must be the least of its three ages,
and its index must live as long.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from django.test import override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.transport import running
from expire_sessions.transport.connections import connection_for
from tests.asking import index_name, payload_name, redis_client
from tests.passing import Passing, passing_time
from tests.sessions import sign_in

pytestmark = [pytest.mark.race, pytest.mark.django_db]

IDLE, ABSOLUTE, OWN = 900, 7100, 3000
STEPS: Final = 60
LOST: Final = 0.15
"""The part of all commands whose first reply gets lost: they are asked twice."""

NEAR: Final = 3
"""Seconds around a deadline in which either answer is right: a machine may stall."""

SPANS: Final = (1, 5, 30, 59, 61, 300, 800, 899)


@dataclass
class Life:
    """When a session was made, seen, and when its own age ends it."""

    login: float
    seen: float
    own: float

    def left(self, now: float) -> float:
        """Return the seconds until it ends."""
        return min(self.own, self.seen + IDLE, self.login + ABSOLUTE) - now


class Play:
    """Draws steps, and does each to the engine and to the model."""

    def __init__(self, user: Any, draw: random.Random, later: Passing) -> None:
        self._user, self._draw, self._later = user, draw, later
        self._seen = connection_for("default").seen
        self._processes: list[Any] = [({}, {}), ({}, {})]
        self._now = 0.0
        self._lives: dict[str, Life] = {}

    def step(self) -> None:
        """Do one, as one of the processes."""
        process = self._draw.randrange(2)
        self._seen._young, self._seen._old = self._processes[process]
        names = ["enter"] + ["request"] * 4 + ["wait"] * 2 + ["forget"]
        getattr(self, self._draw.choice(names))()
        self._processes[process] = self._seen._young, self._seen._old
        self._compare()

    def enter(self) -> None:
        """Sign in."""
        if len(self._lives) < 4:
            key = str(sign_in(self._user).session_key)
            self._lives[key] = Life(self._now, self._now, self._now + OWN)

    def wait(self) -> None:
        """Let time pass."""
        span = self._draw.choice(SPANS)
        self._later(span, *self._lives)
        self._later.index(self._user, span)
        self._now += span

    def forget(self) -> None:
        """Be started anew."""
        self._seen.forget()

    def request(self) -> None:
        """Load a session, and do something with it."""
        if not self._lives:
            return
        key = self._draw.choice(list(self._lives))
        life, store = self._lives[key], SessionStore(key)
        is_live = "_auth_user_id" in store
        if abs(life.left(self._now)) > NEAR:
            assert is_live is (life.left(self._now) > 0)
        if is_live:
            life.seen = self._now
            age = self._draw.choice(ACTS)(store)
            if age is not None:
                life.own = self._now + age
            del self._lives[key]
            if store.session_key is not None:
                self._lives[store.session_key] = life

    def _compare(self) -> None:
        index = _left(index_name(self._user))
        for key, life in [*self._lives.items()]:
            found, expected = _left(payload_name(key)), life.left(self._now)
            if expected < -NEAR:
                assert found < 0
                del self._lives[key]
            elif expected > NEAR:
                assert abs(found - expected) < NEAR
                assert index >= found - 1


def _left(name: str) -> float:
    return float(redis_client().pttl(name)) / 1000


def read(store: SessionStore) -> float | None:
    """Do no more than that."""
    return None


def change(store: SessionStore) -> float | None:
    """Set something, and save."""
    store["x"] = store.get("x", 0) + 1
    return keep(store)


def keep(store: SessionStore) -> float | None:
    """Save what there is."""
    age = store.get_expiry_age()
    store.save()
    return age


def prolong(store: SessionStore) -> float | None:
    """Give it another age of its own."""
    store.set_expiry(OWN + 1000)
    return keep(store)


def rotate(store: SessionStore) -> float | None:
    """Give it another key."""
    store.cycle_key()
    return keep(store)


def leave(store: SessionStore) -> float | None:
    """Sign out."""
    store.flush()
    return None


ACTS: Final[list[Callable[[SessionStore], float | None]]] = [
    *(read, read, change, keep, prolong, rotate, leave)
]


@pytest.fixture
def lossy(monkeypatch: pytest.MonkeyPatch) -> Callable[[random.Random], None]:
    """Let replies get lost, so that commands are asked again."""
    ask: Any = vars(running)["replies"]

    def lose(draw: random.Random) -> None:
        def twice(*args: Any) -> Any:
            if draw.random() < LOST:
                ask(*args)
            return ask(*args)

        monkeypatch.setattr(running, "replies", twice)

    return lose


@pytest.fixture
def later() -> Iterator[Passing]:
    """Let time pass."""
    with passing_time() as passing:
        yield passing


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("interval", [60, None, 0])
def test_what_is_left_is_the_least(
    ann: Any, lossy: Any, later: Passing, seed: int, interval: int | None
) -> None:
    draw = random.Random(seed)
    lossy(draw)
    with override_settings(
        EXPIRE_IDLE_AGE=IDLE,
        EXPIRE_ABSOLUTE_AGE=ABSOLUTE,
        SESSION_COOKIE_AGE=OWN,
        EXPIRE_MAX_USERS=0,
        EXPIRE_TOUCH_INTERVAL=interval,
    ):
        play = Play(ann, draw, later)
        for _ in range(STEPS):
            play.step()
