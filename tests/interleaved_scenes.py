"""Scenes: who meets whom over which sessions; and the theatre that plays them."""

import random
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.test import override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession
from expire_sessions.signals import expire_check
from expire_sessions.transport.connections import forget_sessions
from tests.asking import redis_client
from tests.interleaved_actors import KINDS, MARK, VISITOR, Actor, Stage, sign_in
from tests.interleaved_rules import Judge, Violation, noted_signals
from tests.interleaving import (
    Choose,
    Losing,
    Players,
    Run,
    every_script,
    follow,
    letters,
    same_keys,
)

__all__ = ["Played", "Scene", "Theatre", "any_scene", "scene_of", "theatre"]

PRUNED: Final = " pruned"
UNTOUCHED: Final = " untouched"

FRESH: Final = 20.0
"""Seconds for which a stage is used again: the history treats rows of the last minute
differently from older ones."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Who meets whom."""

    limit: int
    sessions: tuple[str, ...]
    """Marks of the sessions that are there: Ann's, oldest first, and ``VISITOR``."""

    actors: tuple[Actor, ...]
    losing: Losing | None = None
    prunes: bool = False
    """No ended row is kept."""

    touches: bool = True
    """Every load marks its session seen, and none otherwise."""

    def __str__(self) -> str:
        actors = ", ".join(map(str, self.actors))
        options = PRUNED * self.prunes + UNTOUCHED * (not self.touches)
        return f"limit {self.limit}{options}: {' '.join(self.sessions)} | {actors}"


@dataclass(frozen=True, slots=True)
class Played:
    """A schedule of a scene and what was wrong with it."""

    scene: Scene
    run: Run
    violations: list[Violation]

    @property
    def replay(self) -> str:
        """The words that play it again."""
        losing = self.scene.losing
        lost = f" | {letters([losing.actor])}{losing.command}" if losing else ""
        return f"{self.scene} | {letters(self.run.choices)}{lost}"

    def __str__(self) -> str:
        broken = "\n".join(f"  {rule}: {text}" for rule, text in self.violations)
        return f"{self.replay}\n{broken}\n{self.run.story()}"


def parse(words: str) -> tuple[Scene, str]:
    """Return the scene and the choices of ``Played.replay``."""
    stage, cast, choices, *lost = (part.strip() for part in words.split("|"))
    options, sessions = stage.split(":")
    scene = Scene(
        limit=int(options.split()[1]),
        sessions=tuple(sessions.split()),
        actors=tuple(map(_actor, cast.split(", "))),
        losing=Losing(ord(lost[0][0]) - ord("A"), int(lost[0][1:])) if lost else None,
        prunes=PRUNED in options,
        touches=UNTOUCHED not in options,
    )
    return scene, choices


def _actor(words: str) -> Actor:
    if words in KINDS:
        return Actor(words)
    what, target = words.rsplit(maxsplit=1)
    return Actor(what, target)


def scene_of(
    *what: str,
    limit: int = 2,
    own: Sequence[str] = ("s1", "s2"),
    losing: Losing | None = None,
    prunes: bool = False,
    touches: bool = True,
    target: Callable[[Sequence[str]], str] = min,
) -> Scene:
    """Return a scene in which these meet.

    Args:
        own: the sessions that Ann has.
        target: says which of them an actor is about.
    """
    actors = tuple(_actor_on(kind, target(own)) for kind in what)
    has_visitor = any(actor.target == VISITOR for actor in actors)
    sessions = (*own, VISITOR) if has_visitor else tuple(own)
    return Scene(limit, sessions, actors, losing, prunes, touches)


def _actor_on(what: str, target: str) -> Actor:
    return Actor(what, {"session": target, "visitor": VISITOR, "": ""}[KINDS[what].on])


def any_scene(draw: random.Random, count: int) -> Scene:
    """Draw a scene of so many actors."""
    limit = draw.choice((1, 2, 2, 3))
    own = [f"s{n}" for n in range(1, draw.randint(1, limit) + 1)]
    losing = Losing(draw.randrange(count), draw.randrange(8))
    return scene_of(
        *draw.choices(sorted(KINDS), k=count),
        limit=limit,
        own=own,
        losing=losing if draw.random() < 0.4 else None,
        prunes=draw.random() < 0.2,
        touches=draw.random() < 0.7,
        target=draw.choice,
    )


class Theatre:
    """Plays scenes with two users, while the block lasts."""

    def __init__(self, players: Players) -> None:
        users = get_user_model().objects
        self.players = players
        ann, bob = (users.create_user(username=n, password=n) for n in ("ann", "bob"))
        self._stage = Stage(ann, bob, {}, 0)
        self._props: dict[Any, _Props] = {}
        for script in every_script():
            redis_client().script_load(script.source)

    def play(self, scene: Scene, choose: Choose) -> Played:
        """Play one schedule of the scene, from a fresh stage."""
        interval = 0 if scene.touches else None
        with override_settings(EXPIRE_TOUCH_INTERVAL=interval):
            return self._play(scene, choose)

    def _play(self, scene: Scene, choose: Choose) -> Played:
        self._set(scene)
        forget_sessions()  # what a process has seen changes what its loads ask
        with noted_signals() as noted:
            judge = Judge(self._stage, scene.actors, noted)
            acts = [
                _act(self._stage, letters([n]), actor)
                for n, actor in enumerate(scene.actors)
            ]
            run = self.players.run(acts, choose, losing=scene.losing, watch=judge.watch)
            # Both ways to settle, and the same one when it is played again.
            by_login = zlib.crc32(bytes(run.choices)) % 2 == 0
            judge.finish(run, by_login=by_login)
        return Played(scene, run, judge.violations)

    def replay(self, words: str) -> Played:
        """Play what a failed schedule has printed."""
        scene, choices = parse(words)
        return self.play(scene, follow(choices))

    def _set(self, scene: Scene) -> None:
        self._stage.limit = scene.limit
        self._stage.log_limit = 0 if scene.prunes else None
        name = scene.limit, scene.prunes, scene.sessions
        props = self._props.get(name)
        if props is None or time.monotonic() - props.since > FRESH:
            self._props[name] = self._make(scene)
        else:
            self._stage.keys = props.keys
            props.put_back()

    def _make(self, scene: Scene) -> "_Props":
        redis_client().flushdb()
        LoggedSession.objects.all().delete()
        self._stage.keys = {}
        with same_keys():
            for mark in scene.sessions:
                self._stage.keys[mark] = self._begin(mark)
        return _Props(self._stage.keys)

    def _begin(self, mark: str) -> str:
        store = SessionStore()
        if mark == VISITOR:
            store[MARK] = mark
            store.save()
        else:
            sign_in(store, self._stage.ann, mark)
        return str(store.session_key)


def _act(stage: Stage, me: str, actor: Actor) -> Any:
    return lambda: actor.kind.act(stage, me, actor.target)


class _Props:
    """A stage as it was set, to be put back faster than it was made."""

    def __init__(self, keys: dict[str, str]) -> None:
        self.keys = keys
        self.since = time.monotonic()
        client = redis_client()
        self._values = [
            (key, max(client.pttl(key), 0), client.dump(key))
            for key in client.scan_iter()
        ]
        self._rows = list(LoggedSession.objects.all())

    def put_back(self) -> None:
        pipeline = redis_client().pipeline(transaction=False)
        pipeline.flushdb()
        for key, life, value in self._values:
            pipeline.restore(key, life, value)
        pipeline.execute()
        LoggedSession.objects.all().delete()
        LoggedSession.objects.bulk_create(self._rows)


@contextmanager
def theatre(count: int = 3) -> Iterator[Theatre]:
    """Open a theatre of so many players."""

    def limit(*, settings: dict[str, Any], **kwargs: object) -> None:
        settings["max_users"] = playing._stage.limit
        settings["log_limit"] = playing._stage.log_limit

    with Players(count) as players:
        playing = Theatre(players)
        expire_check.connect(limit)
        try:
            yield playing
        finally:
            expire_check.disconnect(limit)
