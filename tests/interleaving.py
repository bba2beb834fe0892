"""A scheduler: several actors on one Redis and one database, one step at a time.

Each actor is a function in a thread of its own. It stops at a gate before every
command (or pipeline) that it sends to Redis and before every statement on the login
history, and goes on when the scheduler says so. One actor runs at a time, so the
sequence of choices is all there is to chance, and a run can be repeated from it.

It knows redis-py and Django's database connections, and nothing of sessions.
"""

import random
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from types import SimpleNamespace
from typing import Any, Final, Self
from unittest.mock import patch

import redis
from django.db import connection
from redis.asyncio.client import Pipeline as AsyncPipeline
from redis.asyncio.connection import AbstractConnection as AsyncConnection
from redis.client import Pipeline
from redis.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from expire_sessions.models import LoggedSession
from expire_sessions.protocol import scripts, session_keys
from expire_sessions.protocol.keys import PAYLOAD
from expire_sessions.protocol.scripts import Script

__all__ = [
    "LOST",
    "Losing",
    "Players",
    "Run",
    "Step",
    "Stuck",
    "at_end",
    "every_script",
    "explore",
    "follow",
    "gate",
    "gated_statement",
    "letters",
    "same_keys",
    "sample",
]

BOUND: Final = 60.0
"""Seconds after which an actor that has reached no gate is stuck: far more than any
step takes."""

READS: Final = frozenset({"GET", "EXISTS", "SCAN", "ZSCAN", "ZRANGE", "ZSCORE", "MGET"})
"""Commands that change nothing. What is not known here counts as a write."""

Act = Callable[[], Any]
Choose = Callable[[dict[int, "Step"]], int]
"""Gets the next step of every actor that has one, and says whose turn it is."""

Watch = Callable[[int, "Step"], None]


@dataclass(frozen=True, slots=True)
class Step:
    """What an actor is about to do."""

    place: str
    """"redis", "history", or whatever else two actors may share."""

    words: str
    """What it does there, to be read by people."""

    writes: bool = True

    def commutes_with(self, other: "Step") -> bool:
        """Tell whether it makes no difference which of the two comes first."""
        apart = {self.place, other.place} == {"redis", "history"}
        return apart or not (self.writes or other.writes)


@dataclass(frozen=True, slots=True)
class Losing:
    """Which reply is to be lost: the command is executed, its caller gets an error."""

    actor: int
    command: int
    """Counted from 0 among the commands which this actor sends to Redis."""


@dataclass(slots=True)
class Run:
    """One schedule, and what came of it."""

    choices: list[int] = field(default_factory=list)
    steps: list[tuple[int, Step]] = field(default_factory=list)
    results: dict[int, Any] = field(default_factory=dict)
    """What each actor returned, or the exception that it ended with."""

    lost: Step | None = None
    """The command whose reply was lost, where there was such a command."""

    def story(self) -> str:
        """Return the run as lines for people."""
        lines = [f"{letters([actor])}: {step.words}" for actor, step in self.steps]
        ends = [f"{letters([actor])} -> {end!r}" for actor, end in self.results.items()]
        return "\n".join([*lines, *ends])


def letters(choices: Sequence[int]) -> str:
    """Write choices as letters: A for the first actor."""
    return "".join(chr(ord("A") + choice) for choice in choices)


class Stuck(Exception):
    """An actor reached no gate in time: it waits for another, or runs in circles."""


class Redundant(Exception):
    """All that can follow here has been seen in another order."""


class _Abandoned(BaseException):
    """Thrown into an actor whose run is given up; no handler takes it for an error."""


@dataclass(frozen=True, slots=True)
class _Finished:
    result: Any


GO, LOSE, ABANDON = "go on", "go on and lose the reply", "give up"
"""What the scheduler says to an actor at a gate."""

LOST: Final = "The scheduler has lost the reply."

MODES: Final = ("new", "update", "keep")


class _Player:
    """A thread that acts, again and again, and keeps its database connection."""

    def __init__(self, reports: "SimpleQueue[Step | _Finished]") -> None:
        self.orders: SimpleQueue[Any] = SimpleQueue()
        self._reports = reports
        self.is_gated = True
        """False while a command is under way, for what it does by itself."""
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def pass_gate(self, step: Step) -> Any:
        self._reports.put(step)
        order = self.orders.get()
        if order is ABANDON:
            raise _Abandoned
        return order

    @contextmanager
    def ungated(self) -> Iterator[None]:
        before, self.is_gated = self.is_gated, False
        try:
            yield
        finally:
            self.is_gated = before

    def stop(self, *, wait: bool) -> None:
        self.orders.put(None)
        if wait:
            self._thread.join()

    def _live(self) -> None:
        _local.player = self
        connection.execute_wrappers.append(gated_statement)
        try:
            while (act := self.orders.get()) is not None:
                self._reports.put(_Finished(self._act(act)))
        finally:
            for end in getattr(_local, "ends", []):
                end()
            connection.close()

    def _act(self, act: Act) -> Any:
        self.is_gated = True
        try:
            return act()
        except (Exception, _Abandoned) as error:  # noqa: BLE001 - an outcome as well
            return error.with_traceback(None)


_local = threading.local()


def _player() -> _Player | None:
    """Return the player of this thread; None in threads that are none."""
    player: _Player | None = getattr(_local, "player", None)
    return player


def at_end(call: Callable[[], Any]) -> None:
    """Have this thread do something when it ends, where it is an actor's."""
    if _player():
        _local.ends = [*getattr(_local, "ends", []), call]


def gate(step: Step) -> None:
    """Wait here, in an actor's thread, until it is this actor's turn."""
    if player := _player():
        player.pass_gate(step)


class Players:
    """The threads that actors run in, while the block lasts.

    Args:
        count: how many.
        bound: seconds after which an actor is stuck.
    """

    def __init__(self, count: int, bound: float = BOUND) -> None:
        self._count, self._bound = count, bound
        self._reports: SimpleQueue[Step | _Finished] = SimpleQueue()
        self._players: list[_Player] = []
        self._stack = ExitStack()
        self._is_stuck = False
        self.steps = 0
        """Steps taken so far, in all runs."""
        self.runs = 0

    def __enter__(self) -> Self:
        self._stack.enter_context(_gates())
        self._players = [_Player(self._reports) for _ in range(self._count)]
        return self

    def __exit__(self, *error: object) -> None:
        for player in self._players:
            player.stop(wait=not self._is_stuck)  # who is stuck would not come
        self._stack.close()

    def run(
        self,
        acts: Sequence[Act],
        choose: Callable[[dict[int, Step]], int],
        *,
        losing: Losing | None = None,
        watch: Watch | None = None,
    ) -> Run:
        """Let the actors run to their ends; ``choose`` says who takes the next step.

        Args:
            choose: gets the next step of every actor that has one. It may raise
                ``Redundant``: the run is given up then.
            watch: called after each step, with nobody running.

        Raises:
            Stuck: an actor came to no gate.
            Redundant: as ``choose`` raises it.
        """
        run = Run()
        pending: dict[int, Step] = {}
        self.runs += 1
        _DRAWS.seed("actors")
        for actor, act in enumerate(acts):
            self._tell(actor, act, run, pending)
        try:
            self._go_on(run, pending, choose, losing, watch)
        except Stuck:
            raise
        except BaseException:
            self._give_up(pending)
            raise
        return run

    def _go_on(
        self,
        run: Run,
        pending: dict[int, Step],
        choose: Choose,
        losing: Losing | None,
        watch: Watch | None,
    ) -> None:
        sent = dict.fromkeys(pending, 0)
        while pending:
            actor = choose(pending)
            step = pending.pop(actor)
            order = GO
            if step.place == "redis":
                if losing == Losing(actor, sent[actor]):
                    order, run.lost = LOSE, step
                sent[actor] += 1
            run.choices.append(actor)
            run.steps.append((actor, step))
            self._tell(actor, order, run, pending)
            self.steps += 1
            if watch:
                watch(actor, step)

    def _tell(self, actor: int, order: Any, run: Run, pending: dict[int, Step]) -> None:
        self._players[actor].orders.put(order)
        try:
            report = self._reports.get(timeout=self._bound)
        except Empty:
            self._is_stuck = True
            raise Stuck(f"{letters([actor])} is stuck after:\n{run.story()}") from None
        if isinstance(report, Step):
            pending[actor] = report
        else:
            run.results[actor] = report.result

    def _give_up(self, pending: dict[int, Step]) -> None:
        for actor in pending:
            self._players[actor].orders.put(ABANDON)
            self._reports.get(timeout=self._bound)


# Which schedules.

Play = Callable[[Callable[[dict[int, Step]], int]], Any]
"""Sets the stage afresh and runs the actors as its argument chooses."""


@dataclass(slots=True)
class _Node:
    """A point of a run at which an actor was chosen."""

    pending: dict[int, Step]
    asleep: set[int]
    """Actors whose next step leads to what has been seen already."""

    chosen: int = -1

    def wake(self) -> bool:
        """Choose the next actor to try; False where there is none left."""
        for actor in sorted(self.pending):
            if actor not in self.asleep:
                self.chosen = actor
                return True
        return False

    def after(self) -> set[int]:
        """Return who stays asleep after the chosen step: whom it does not touch."""
        step = self.pending[self.chosen]
        return {
            actor
            for actor in self.asleep
            if actor != self.chosen and self.pending[actor].commutes_with(step)
        }


def explore(play: Play, most: int) -> tuple[int, bool]:
    """Play every schedule, depth first; those that differ in nothing only once.

    Two neighbouring steps that touch different things, or only read, may change
    places without a difference: of such orders one is played (sleep sets, Godefroid).

    Returns:
        How many schedules were played to their end, and whether these were all.
    """
    path: list[_Node] = []
    ended = 0
    while ended < most:
        depth = 0

        def choose(pending: dict[int, Step]) -> int:
            nonlocal depth
            if depth == len(path):
                asleep = path[-1].after() if path else set()
                path.append(_Node(dict(pending), asleep))
                if not path[-1].wake():
                    raise Redundant
            elif path[depth].pending != pending:
                raise AssertionError(
                    f"The run is not the same again: {path[depth].pending}, {pending}."
                )
            depth += 1
            return path[depth - 1].chosen

        try:
            play(choose)
            ended += 1
        except Redundant:
            pass
        while path:
            path[-1].asleep.add(path[-1].chosen)
            if path[-1].wake():
                break
            path.pop()
        if not path:
            return ended, True
    return ended, False


def sample(draw: random.Random) -> Callable[[dict[int, Step]], int]:
    """Return a chooser that draws: now all is shuffled, now few turns change hands."""
    change = draw.choice((1.0, 0.5, 0.2))
    last: list[int] = []

    def choose(pending: dict[int, Step]) -> int:
        if not last or last[0] not in pending or draw.random() < change:
            last[:] = [draw.choice(sorted(pending))]
        return last[0]

    return choose


def follow(choices: str) -> Callable[[dict[int, Step]], int]:
    """Return a chooser that repeats a run from its letters.

    Where they do not fit, because the code has changed, the first actor that can
    goes on.
    """
    wanted = [ord(letter) - ord("A") for letter in choices]

    def choose(pending: dict[int, Step]) -> int:
        while wanted:
            if (actor := wanted.pop(0)) in pending:
                return actor
        return min(pending)

    return choose


# The gates.

_DRAWS: Final = random.Random()


@contextmanager
def same_keys() -> Iterator[None]:
    """Let this thread draw the same keys each time, and none that an actor draws."""
    _DRAWS.seed("stage")
    _local.draws = True
    try:
        yield
    finally:
        _local.draws = False


@contextmanager
def _gates() -> Iterator[None]:
    """Put the gates before Redis, and let actors draw the same keys in each run."""
    with ExitStack() as stack:
        for owner, name, gated in (
            (redis.Redis, "execute_command", _gated_command),
            (Pipeline, "execute", _gated_pipeline),
            (AbstractConnection, "send_packed_command", _guarded_send),
        ):
            replacement = _for_players(gated, getattr(owner, name))
            stack.enter_context(patch.object(owner, name, replacement))
        for owner, name, gated in (  # type: ignore[assignment]
            (AsyncPipeline, "execute", _gated_async_pipeline),
            (AsyncConnection, "send_packed_command", _guarded_async_send),
        ):
            replacement = _for_players(gated, getattr(owner, name))
            stack.enter_context(patch.object(owner, name, replacement))
        drawn = SimpleNamespace(**{**vars(secrets), "choice": _choice})
        stack.enter_context(patch.object(session_keys, "secrets", drawn))
        yield


def _choice(among: Sequence[Any]) -> Any:
    """Return what session keys are made of."""
    is_drawn = _player() or getattr(_local, "draws", False)
    return _DRAWS.choice(among) if is_drawn else secrets.choice(among)


def _for_players(gated: Callable[..., Any], original: Callable[..., Any]) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        player = _player()
        call = partial(original, self, *args, **kwargs)
        return gated(player, call, self, *args) if player else call()

    return method


def _gated_command(player: _Player, call: Act, client: Any, *command: Any) -> Any:
    if isinstance(client, Pipeline):  # it is only noted now, and sent by execute()
        return call()
    return _send(player, call, [command])


def _gated_pipeline(player: _Player, call: Act, pipeline: Any, *args: Any) -> Any:
    return _send(player, call, [command for command, _ in pipeline.command_stack])


def _send(player: _Player, call: Act, commands: list[tuple[Any, ...]]) -> Any:
    if not commands or not player.is_gated:
        return call()
    words = " | ".join(map(_words, commands))
    writes = any(command[0] not in READS for command in commands)
    order = player.pass_gate(Step("redis", words, writes=writes))
    with player.ungated():
        reply = call()
    if order == LOSE:
        raise RedisConnectionError(LOST)
    return reply


async def _gated_async_pipeline(
    player: _Player, call: Act, pipeline: Any, *args: Any
) -> Any:
    # Waiting here stops the whole event loop: there is nobody else on an actor's.
    commands = [command for command, _ in pipeline.command_stack]
    words = " | ".join(map(_words, commands))
    writes = any(command[0] not in READS for command in commands)
    order = player.pass_gate(Step("redis", words, writes=writes))
    with player.ungated():
        replies = await call()
    if order == LOSE:
        raise RedisConnectionError(LOST)
    return replies


async def _guarded_async_send(player: _Player, call: Act, *args: Any) -> Any:
    return await _guarded_send(player, call)


def _guarded_send(player: _Player, call: Act, *args: Any) -> Any:
    if player.is_gated:
        raise AssertionError("A command went past the gates before Redis.")
    return call()


def _words(command: tuple[Any, ...]) -> str:
    """Return the command and its first key, as short as can be understood."""
    name, *arguments = map(str, command)
    if name in {"EVALSHA", "EVAL"}:
        known = {script.digest: script.name for script in every_script()}
        name, arguments = known.get(arguments[0], name), arguments[2:]
    if name == "save":
        name = " ".join([name, *(word for word in arguments if word in MODES)])
    return f"{name} {short(arguments[0])}" if arguments else name


def short(key: str) -> str:
    """Return what tells a session key, or a key of Redis, from others."""
    kind, _, rest = key.rpartition(PAYLOAD)
    if kind:
        return rest[:6]
    *_, kind, rest = f":{key}".rsplit(":", 2)
    return f"{kind}:{rest[:6]}"


def every_script() -> list[Script]:
    """Return the Lua scripts of the package."""
    return [found for found in vars(scripts).values() if isinstance(found, Script)]


def gated_statement(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
) -> Any:
    # Inside a transaction there is no gate: whoever waits there holds its locks, and
    # to the others it is one step.
    is_history = LoggedSession._meta.db_table in sql
    if sql.startswith("BEGIN") or (is_history and not connection.in_atomic_block):
        verb = sql.split(maxsplit=1)[0]
        gate(Step("history", verb, writes=verb != "SELECT"))
    return execute(sql, params, many, context)
