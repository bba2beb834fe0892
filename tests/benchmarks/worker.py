"""A process that measures one contender: ``python -m tests.benchmarks.worker``.

Settings, middleware and signal handlers of one contender cannot touch another. It is
asked in lines of JSON on its standard input and answers each with one line.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import django

from tests.benchmarks.contenders import named
from tests.benchmarks.operations import Operation, find
from tests.benchmarks.place import Place

__all__ = ["serve"]

TRIES = 3


class Worker:
    """Answers what the parent asks. Each public method is one of its commands."""

    def __init__(self) -> None:
        self._contender = named(Place.from_environment().contender)
        self._operation: Operation | None = None
        self._site: Any = None
        self._times = 1
        self._queries: list[str] = []
        django.setup()

    def set_up(self) -> None:
        """Make the database."""
        if not self._contender.is_floor:
            _site_module().set_up()

    def prepare(self, operation: str, seconds: float, pool: int) -> None:
        """Turn to an operation, in batches that take at least so long."""
        self.close()
        kind = find(operation, is_floor=self._contender.is_floor)
        self._operation = kind(self._get_site(), pool)
        self._operation.prepare()
        self._calibrate(self._operation, seconds)

    def close(self) -> None:
        """Leave the operation."""
        if self._operation is not None:
            self._operation.close()
            self._operation = None

    def run(self) -> float:
        """Time a batch; return the seconds that one took."""
        return self._time(self._current, self._times)

    def ready(self, times: int) -> None:
        """Make ready for ``count``."""
        self._current.ready(times)

    def watch(self) -> None:
        """Note the queries of every connection that is opened from now on."""
        from django.db.backends.signals import connection_created  # noqa: PLC0415 - after the settings

        connection_created.connect(self._watch)

    def count(self, times: int) -> list[str]:
        """Do it so often, with somebody counting outside; return the queries."""
        self._queries.clear()
        self._current.run(times)
        return [*self._queries]

    def keys(self) -> list[str]:
        """Return the keys of sessions to make requests with."""
        keys: list[str] = self._get_site().kept()
        return keys

    def _watch(self, connection: Any, **kwargs: Any) -> None:
        connection.execute_wrappers.append(self._note)

    def _note(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        self._queries.append(sql)
        return execute(sql, *rest)

    @property
    def _current(self) -> Operation:
        assert self._operation is not None, "prepare comes first"
        return self._operation

    def _get_site(self) -> Any:
        if self._site is None and not self._contender.is_floor:
            self._site = _site_module().Site(self._contender)
        return self._site

    def _calibrate(self, operation: Operation, seconds: float) -> None:
        self._times = 1
        while self._times < operation.most:
            # The least of three: one stall must not make a batch of a few for good.
            took = min(self._time(operation, self._times) for _ in range(TRIES))
            if took * self._times >= seconds:
                break
            self._times = min(self._times * 2, operation.most)

    @staticmethod
    def _time(operation: Operation, times: int) -> float:
        operation.warm()
        operation.ready(times)
        begin = time.perf_counter()
        operation.run(times)
        took = time.perf_counter() - begin
        operation.check()
        return took / times


def _site_module() -> Any:
    from tests.benchmarks import site  # noqa: PLC0415 - after the settings

    return site


def answer(worker: object, line: str) -> dict[str, Any]:
    """Do what a line asks for."""
    asked = json.loads(line)
    try:
        return {"result": getattr(worker, asked.pop("do"))(**asked)}
    except Exception as error:  # noqa: BLE001 - a peer's own: the parent is told
        return _failure(error)


def _failure(error: Exception) -> dict[str, Any]:
    return {"error": f"{type(error).__name__}: {error}"}


def serve(kind: Callable[[], object]) -> None:
    """Make a worker, and answer until the parent is gone."""
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)  # whatever a peer prints is no answer
        try:
            worker = kind()
        except Exception as error:  # noqa: BLE001 - a peer that does not run
            answers.write(json.dumps(_failure(error)))
            return
        answers.write(json.dumps({"result": "ready"}) + "\n")
        for line in sys.stdin:
            answers.write(json.dumps(answer(worker, line)) + "\n")


if __name__ == "__main__":
    serve(Worker)
