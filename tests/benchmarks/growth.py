"""What sessions take of Redis's memory, and what it costs to have many of them.

Memory: see ``memory``. Growth: a server for each size, all up at once, each with that
many sessions of a fifth as many users; loads and saves of sessions drawn by lot, in
turns, so that a size is compared with another in the same moment. The smallest is there
twice, which tells the noise. No user is above the limit (EXPIRE_MAX_USERS is 5), and
the process has seen the sessions before: it marks none. See ``growth_worker``.

On its own: ``python -m tests.benchmarks --only growth``.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from redis import Redis

from example_project.redis_server import RedisServer
from tests.benchmarks.growth_report import AGAIN, LABELS, lines, targets
from tests.benchmarks.growth_settings import VARIABLE
from tests.benchmarks.machine import server_version
from tests.benchmarks.processes import Asked
from tests.benchmarks.rounds import Timer, in_turns

__all__ = ["lines", "measure", "targets"]

SIZES = [10_000, 1_000_000, 5_000_000]
ROUNDS = 12

TURNS = 10
"""Batches in a round: these ratios are so near to 1 that they need many."""


class Size(Asked):
    """A process that measures on one server."""

    patience = 3600  # millions are written

    def __init__(self, url: str) -> None:
        settings = "tests.benchmarks.growth_settings"
        env = {**os.environ, "DJANGO_SETTINGS_MODULE": settings, VARIABLE: url}
        super().__init__("growth_worker", env=env)
        self.result()


def measure(program: str, sizes: Sequence[int], rounds: int) -> dict[str, Any]:
    """Measure with servers of this program; return what can be written as JSON.

    Raises:
        ContenderError: a process failed.
    """
    with RedisServer(program) as server, Size(server.url) as size:
        memory = {**size.ask("memory"), "server": _server(server.url)}
    aliases = {f"{size}": size for size in sorted(sizes)} | {AGAIN: min(sizes)}
    with ExitStack() as stack:
        processes = {
            alias: stack.enter_context(
                Size(stack.enter_context(RedisServer(program)).url)
            )
            for alias in aliases
        }
        growth = _grow(processes, aliases, rounds * TURNS)
    return {"memory": memory, "growth": growth}


def _grow(
    processes: Mapping[str, Size], sizes: Mapping[str, int], rounds: int
) -> dict[str, Any]:
    """Fill every server, and time every operation at all sizes in turns.

    All operations in the same turns: one is compared with another in each.
    """
    held = {
        alias: process.ask("fill", sessions=sizes[alias])
        for alias, process in processes.items()
    }
    timers = {
        (name, alias): _timer(process, name)
        for name in LABELS
        for alias, process in processes.items()
    }
    in_turns(timers, 1)  # connections are opened, and scripts loaded
    for process in processes.values():
        process.ask("begin")
    times = in_turns(timers, rounds)
    spent = {alias: process.ask("end") for alias, process in processes.items()}
    return {
        "held": held,
        "samples": _by_name(times),
        "in_redis": _by_name(
            {(name, alias): spent[alias][name] for name, alias in timers}
        ),
    }


def _by_name(found: Mapping[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
    return {
        name: {alias: value for (other, alias), value in found.items() if other == name}
        for name in LABELS
    }


def _timer(process: Size, name: str) -> Timer:
    def timer() -> float:
        seconds: float = process.ask("run", name=name)
        return seconds

    return timer


def _server(url: str) -> str:
    with Redis.from_url(url) as client:
        info: Any = client.info()
    return f"{server_version(info)}, {info['mem_allocator']}"
