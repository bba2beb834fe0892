"""One run: the servers it needs, and its sections one after the other."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from example_project.redis_server import VARIABLE, RedisServer, find_program
from tests.benchmarks import growth, machine
from tests.benchmarks.contenders import OURS
from tests.benchmarks.delay import set_delay
from tests.benchmarks.measuring import Effort, Measuring, say
from tests.benchmarks.operations import LABELS, SERVED
from tests.benchmarks.place import Place
from tests.benchmarks.processes import ContenderError, ProxyProcess
from tests.database_server import NoServerError, PostgreSQL, running
from tests.databases import sqlite

__all__ = ["SECTIONS", "Run", "Wanted"]

TIMED: Mapping[str, tuple[str, ...]] = {
    "store": ("store.",),
    "due": ("due.",),
    "stack": ("client.", "server."),
    "login": ("login.",),
    "sessions": ("sessions.",),
    "async": ("async.",),
    "asgi": ("asgi.",),
}
"""The sections that are timed in the same processes, and their operations."""

SECTIONS = (*TIMED, "delayed", "counts", "growth")

DELAYED = ("store.load", "store.change", "store.keep", "due.load", "client.every")
DELAY_SECONDS = 0.0005

BATCH_SECONDS = 0.02
POOL = 20

SESSIONS = 100
QUICK_SESSIONS = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be measured, and with how much effort."""

    sections: list[str]
    contenders: list[str]
    rounds: int
    launches: int
    sizes: list[int]
    """Sessions on each server of the growth."""

    is_quick: bool

    @property
    def effort(self) -> Effort:
        """The effort for each operation."""
        if self.is_quick:
            return Effort(self.rounds, self.launches, batch_seconds=0, pool=2)
        return Effort(self.rounds, self.launches, BATCH_SECONDS, POOL)

    def operations(self) -> list[str]:
        """Return what is timed without delay."""
        begins = [begin for name in self.sections for begin in TIMED.get(name, ())]
        return [each for each in LABELS if each.startswith(tuple(begins))]


class Run:
    """Starts what is needed, measures what is wanted, and ends it all."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._delays: list[float] = []

    def result(self) -> dict[str, Any]:
        """Measure; return what can be written as JSON."""
        program = find_program(_wanted_program())
        with ExitStack() as stack:
            url = stack.enter_context(RedisServer(program)).url
            entry, database = stack.enter_context(_database())
            self._directory = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-"))
            )
            found = machine.describe(url, database)
            measuring = Measuring(self._places(url, entry), self._wanted.effort)
            self._measure(measuring, url, entry)
        grown = self._growth(program, measuring)
        return {
            **found,
            "is_quick": self._wanted.is_quick,
            "rounds": self._wanted.rounds,
            "launches": self._wanted.launches,
            "samples": measuring.samples,
            "counts": measuring.counts,
            "left_out": measuring.left_out,
            "delay_us": self._delays,
            **grown,
        }

    def _places(self, url: str, entry: dict[str, Any]) -> dict[str, Place]:
        return {
            name: Place(
                contender=name,
                prefix=f"bench{number:02}",
                redis=url,
                database={**entry, "NAME": str(self._database_name(entry, number))},
                sessions=QUICK_SESSIONS if self._wanted.is_quick else SESSIONS,
            )
            for number, name in enumerate(self._wanted.contenders)
        }

    def _database_name(self, entry: dict[str, Any], number: int) -> str | Path:
        name = f"bench{number:02}"
        return name if _is_postgresql(entry) else self._directory / f"{name}.sqlite3"

    def _measure(self, measuring: Measuring, url: str, entry: dict[str, Any]) -> None:
        if operations := self._wanted.operations():
            measuring.time(operations)
        if "delayed" in self._wanted.sections:
            with ProxyProcess(self._directory / "delaying", url, "redis") as proxy:

                def begin() -> None:
                    self._delays.append(set_delay(proxy, url, DELAY_SECONDS) * 1e6)

                measuring.time(DELAYED, "delayed.", through=proxy, begin=begin)
        if "counts" in self._wanted.sections:
            self._count(measuring, url, entry)

    def _count(self, measuring: Measuring, url: str, entry: dict[str, Any]) -> None:
        # What a server does for it is what the test client or a load does.
        counted = [name for name in LABELS if not name.startswith(SERVED)]
        with ExitStack() as stack:
            redis = ProxyProcess(self._directory / "counting", url, "redis")
            stack.enter_context(redis)
            sql = None
            if _is_postgresql(entry):
                name = ".s.PGSQL.5432"
                target = f"unix://{entry['HOST']}/{name}"
                sql = ProxyProcess(self._directory / name, target, "other")
                stack.enter_context(sql)
            measuring.count(counted, redis, sql)

    def _growth(self, program: str, measuring: Measuring) -> dict[str, Any]:
        if "growth" not in self._wanted.sections:
            return {}
        say("memory and growth")
        rounds = self._wanted.rounds if self._wanted.is_quick else growth.ROUNDS
        try:
            return growth.measure(program, self._wanted.sizes, rounds)
        except ContenderError as error:
            # What was measured before is not lost for it.
            say(f"growth is left out: {error}")
            measuring.left_out["growth"] = {OURS: str(error)}
            return {}


def _wanted_program() -> str:
    """Return the server program that the environment asks for, or ""."""
    wanted = os.environ.get(VARIABLE, "")
    if "://" in wanted:
        raise SystemExit(
            f"{VARIABLE} is {wanted}, but the benchmark works on servers of its own"
            " alone: name a program, such as redis-server, or unset it."
        )
    return wanted


def _is_postgresql(entry: Mapping[str, Any]) -> bool:
    return bool(entry["ENGINE"] == "django.db.backends.postgresql")


@contextmanager
def _database() -> Iterator[tuple[dict[str, Any], str]]:
    """Give an entry of DATABASES without a name, and say what it is."""
    with ExitStack() as stack:
        try:
            entry = stack.enter_context(running(PostgreSQL))
        except NoServerError as error:
            say(f"SQLite takes the place of PostgreSQL: {error}")
            entry, name = sqlite(), f"SQLite {sqlite3.sqlite_version} (no PostgreSQL)"
        else:
            name = machine.postgresql_version(entry)
        yield {key: value for key, value in entry.items() if key != "TEST"}, name
