"""The run: which process measures what, in turns.

Tools such as pytest-benchmark and pyperf time one thing after the other. Here all
contenders are timed in each round, so that what disturbs the machine falls on all of
them, and ratios are taken within a round: that is why the loop is our own.
"""

import math
import sys
import time
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

from tests.benchmarks.concurrent import AT_ONCE
from tests.benchmarks.place import Place
from tests.benchmarks.processes import (
    ContenderError,
    ProxyProcess,
    Worker,
    ask_all,
    errors_of,
)
from tests.benchmarks.rounds import Timer, in_turns
from tests.benchmarks.web import AsyncServer, Browser, Crowd, WebServer

__all__ = ["Effort", "Measuring"]

SHORT = 3
"""So many times more rounds has a load or a save without a request around it."""

COUNTED = 5
"""So often each operation is done to be counted."""


Samples = dict[str, dict[str, list[float]]]
"""Operation and contender to seconds, one for each round of each launch."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much time is spent."""

    rounds: int
    launches: int
    batch_seconds: float
    pool: int
    """Users of each operation that leaves them with other sessions than before."""

    def rounds_of(self, operation: str) -> int:
        """Return the rounds in each launch: more for what takes microseconds."""
        is_short = operation.removeprefix("delayed.").startswith(("store.", "due."))
        return self.rounds * (SHORT if is_short else 1)


@dataclass(slots=True)
class Measuring:
    """All that is measured, and what went wrong."""

    places: dict[str, Place]
    """By contender."""

    effort: Effort
    samples: Samples = field(default_factory=dict)
    counts: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)
    """Operation (or "start") and contender to why."""

    is_set_up: bool = False

    def time(
        self,
        operations: Sequence[str],
        prefix: str = "",
        through: ProxyProcess | None = None,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        """Time operations in every launch.

        Args:
            operations: their names.
            prefix: before their names in the results.
            through: stands between them and Redis.
            begin: is called before each launch.
        """
        for launch in range(self.effort.launches):
            say(f"launch {launch + 1} of {self.effort.launches}")
            begin()
            with self._workers(through) as workers, ExitStack() as stack:
                servers = self._servers(operations, workers, stack)
                for operation in operations:
                    if operation.startswith("server."):
                        timers = self._server_timers(operation, workers, servers, stack)
                    elif operation.startswith("asgi."):
                        timers = self._crowd_timers(operation, workers, stack)
                    else:
                        timers = self._timers(operation, prefix, workers)
                    self._round(prefix + operation, timers)

    def count(
        self, operations: Sequence[str], redis: ProxyProcess, sql: ProxyProcess | None
    ) -> None:
        """Count what each operation sends, through these."""
        with self._workers(redis, sql) as started:
            workers = self._without_failed(started, ask_all(started, "watch"))
            for operation in operations:
                say(f"counting {operation}")
                for worker in self._able(operation, workers):
                    with self._leaving_out(operation, worker.name):
                        found = _count(worker, operation, redis, sql)
                        self.counts.setdefault(operation, {})[worker.name] = found

    def _round(self, operation: str, timers: dict[str, Timer]) -> None:
        if not timers:
            return
        rounds = self.effort.rounds_of(operation)
        say(f"{operation}: {len(timers)} contenders, {rounds} rounds")
        guarded = {
            name: self._guarded(operation, name, timer)
            for name, timer in timers.items()
        }
        known = self.samples.setdefault(operation, {})
        for name, times in in_turns(guarded, rounds).items():
            if name not in self.left_out[operation]:
                known.setdefault(name, []).extend(times)

    def _guarded(self, operation: str, name: str, timer: Timer) -> Timer:
        """Let the others go on where one fails amid the rounds."""

        def guarded() -> float:
            if name not in self.left_out[operation]:
                with self._leaving_out(operation, name):
                    return timer()
            return math.nan

        return guarded

    @contextmanager
    def _workers(
        self, redis: ProxyProcess | None = None, sql: ProxyProcess | None = None
    ) -> Iterator[list[Worker]]:
        with ExitStack() as stack:
            workers = [
                stack.enter_context(Worker(_through(place, redis, sql)))
                for place in self.places.values()
            ]
            stack.callback(end_all, workers)
            workers = self._without_failed(workers, errors_of(workers))
            if not self.is_set_up:
                say("making databases")
                # One by one: at once they wait long for each other's copies.
                errors = [ask_all([worker], "set_up") for worker in workers]
                workers = self._without_failed(workers, dict(ChainMap(*errors)))
                self.is_set_up = True
            yield workers
            ask_all(workers, "close")

    def _without_failed(
        self, workers: list[Worker], errors: dict[str, str]
    ) -> list[Worker]:
        self.left_out.setdefault("start", {}).update(errors)
        for name, error in errors.items():
            say(f"{name} is left out: {error}")
            del self.places[name]
            for times in self.samples.values():
                times.pop(name, None)
        return [worker for worker in workers if worker.name not in errors]

    def _able(
        self, operation: str, workers: Iterable[Worker], prefix: str = ""
    ) -> Iterator[Worker]:
        missing = self.left_out.setdefault(prefix + operation, {})
        for worker in workers:
            reason = worker.contender.leaves_out(operation)
            if reason is None and worker.name not in missing:
                yield worker

    @contextmanager
    def _leaving_out(self, operation: str, name: str) -> Iterator[None]:
        """Go on without a contender that does not get ready for an operation."""
        try:
            yield
        except ContenderError as error:
            say(f"{name} is left out of {operation}: {error}")
            self.left_out[operation][name] = str(error)
            self.samples.get(operation, {}).pop(name, None)

    def _timers(
        self, operation: str, prefix: str, workers: list[Worker]
    ) -> dict[str, Timer]:
        timers: dict[str, Timer] = {}
        for worker in self._able(operation, workers, prefix):
            with self._leaving_out(prefix + operation, worker.name):
                worker.ask(
                    "prepare",
                    operation=operation,
                    seconds=self.effort.batch_seconds,
                    pool=self.effort.pool,
                )
                timers[worker.name] = _timer(worker)
        return timers

    def _servers(
        self, operations: Sequence[str], workers: list[Worker], stack: ExitStack
    ) -> dict[str, WebServer]:
        if not any(operation.startswith("server.") for operation in operations):
            return {}
        servers = {
            worker.name: stack.enter_context(WebServer(worker.place))
            for worker in self._able("server.read", workers)
        }
        stack.callback(end_all, servers.values())
        return servers

    def _server_timers(
        self,
        operation: str,
        workers: list[Worker],
        servers: dict[str, WebServer],
        stack: ExitStack,
    ) -> dict[str, Timer]:
        timers: dict[str, Timer] = {}
        for worker in self._able(operation, workers):
            with self._leaving_out(operation, worker.name):
                browser = _browser(operation, worker, servers[worker.name])
                stack.enter_context(browser)
                browser.warm()
                browser.calibrate(self.effort.batch_seconds)
                timers[worker.name] = browser.time
        return timers

    def _crowd_timers(
        self, operation: str, workers: list[Worker], stack: ExitStack
    ) -> dict[str, Timer]:
        timers: dict[str, Timer] = {}
        for worker in self._able(operation, workers):
            with self._leaving_out(operation, worker.name):
                server = stack.enter_context(AsyncServer(worker.place))
                crowd = stack.enter_context(Crowd(server))
                keys = islice(cycle(worker.ask("keys")), AT_ONCE)
                crowd.connect("/awaited/", [*keys])
                timers[worker.name] = crowd.time
        return timers


def _browser(operation: str, worker: Worker, server: WebServer) -> Browser:
    kind = operation.partition(".")[2]
    if kind == "none":
        return Browser(server, "/none/", [""])
    keys = worker.ask("keys")
    if kind != "every":
        return Browser(server, f"/{kind}/", keys)
    # For good, so it is the last that is asked of this server.
    with Browser(server, "/every/", [""]) as switch:
        switch.warm()
    return Browser(server, "/read/", keys, has_cookie=True)


def say(text: str) -> None:
    """Tell how far the run is."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def end_all(processes: Iterable[Worker | WebServer]) -> None:
    """Let all end at the same time, before each is waited for."""
    for process in processes:
        process.end()


def _through(
    place: Place, redis: ProxyProcess | None, sql: ProxyProcess | None
) -> Place:
    if redis is not None:
        place = place.with_redis(redis.url)
    if sql is not None:
        place = place.with_database(HOST=str(sql.path.parent))
    return place


def _timer(worker: Worker) -> Callable[[], float]:
    def timer() -> float:
        seconds: float = worker.ask("run")
        return seconds

    return timer


def _count(
    worker: Worker, operation: str, redis: ProxyProcess, sql: ProxyProcess | None
) -> dict[str, Any]:
    worker.ask("prepare", operation=operation, seconds=0, pool=COUNTED)
    worker.ask("ready", times=COUNTED)
    proxies = {"redis": redis} | ({"sql": sql} if sql else {})
    before = {name: proxy.traffic() for name, proxy in proxies.items()}
    queries: list[str] = worker.ask("count", times=COUNTED)
    found: dict[str, Any] = {
        name: {what: (n - before[name][what]) / COUNTED for what, n in after.items()}
        for name, after in ((name, proxy.traffic()) for name, proxy in proxies.items())
    }
    found["queries"] = len(queries) / COUNTED
    found["queries_of_sessions"] = (
        sum(not _is_of_the_user(query) for query in queries) / COUNTED
    )
    return found


def _is_of_the_user(query: str) -> bool:
    """Tell whether a query is the one for ``request.user``, or for its last login."""
    return 'FROM "auth_user" ' in query or query.startswith('UPDATE "auth_user" ')
