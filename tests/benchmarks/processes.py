"""The parent's side of the workers and the proxies."""

import json
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from tests.benchmarks.contenders import Contender, named
from tests.benchmarks.place import Place

__all__ = [
    "Asked",
    "Child",
    "ContenderError",
    "ProxyProcess",
    "Worker",
    "ask_all",
    "errors_of",
]

END_SECONDS = 10
ANSWER_SECONDS = 300
"""The longest batch takes some seconds: who says nothing for so long is stuck."""


class ContenderError(Exception):
    """A contender does not run, or does not do what it is to do."""


class Child:
    """A process of the benchmark, ended when its context is left."""

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed at the end
        self._process = subprocess.Popen(
            command,
            stderr=self._log,
            # Ctrl-C is for the parent, which ends this one on its way out.
            start_new_session=True,
            **options,
        )

    def __enter__(self) -> Self:
        return self

    def end(self) -> None:
        """Let it end, and do not wait for it."""
        self._process.terminate()

    def __exit__(self, *args: object) -> None:
        self.end()
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
        finally:
            self._process.kill()  # which does nothing where it has ended
            self._process.wait()
            self._log.close()


class Process(Child):
    """A module of the benchmark in a process of its own, asked in lines of JSON."""

    patience = ANSWER_SECONDS

    def __init__(
        self, module: str, *arguments: str, env: dict[str, str] | None = None
    ) -> None:
        super().__init__(
            [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )

    def end(self) -> None:
        """Let it end, and do not wait for it."""
        with suppress(OSError):  # it has ended, and left what was written
            self._stdin.close()

    def __exit__(self, *args: object) -> None:
        with self._stdout:
            super().__exit__(*args)

    def tell(self, **asked: object) -> None:
        """Ask for something, and do not wait for it.

        Raises:
            ContenderError: it has ended.
        """
        try:
            self._stdin.write(json.dumps(asked) + "\n")
            self._stdin.flush()
        except OSError as error:
            raise self._ended() from error

    def line(self) -> str:
        """Return the next line it has written.

        Raises:
            ContenderError: it has ended, or it is stuck and is ended here.
        """
        if not select.select([self._stdout], [], [], self.patience)[0]:
            self._process.kill()
            raise ContenderError(f"it was stuck for {self.patience} seconds")
        line = self._stdout.readline()
        if not line:
            raise self._ended()
        return line

    def _ended(self) -> ContenderError:
        self._log.seek(0)
        said = self._log.read().decode(errors="replace").strip()
        *_, last = said.split("\n")
        return ContenderError(f"the process ended: {last or 'it said nothing'}")

    @property
    def _stdin(self) -> IO[str]:
        assert self._process.stdin is not None, "it has pipes"
        return self._process.stdin

    @property
    def _stdout(self) -> IO[str]:
        assert self._process.stdout is not None, "it has pipes"
        return self._process.stdout


class Asked(Process):
    """A process that answers with results, see ``worker.serve``."""

    def result(self) -> Any:
        """Wait for the answer to what was told, or to its start."""
        answer = json.loads(self.line())
        if "error" in answer:
            raise ContenderError(answer["error"])
        return answer["result"]

    def ask(self, do: str, **arguments: object) -> Any:
        """Ask for something and wait for the answer."""
        self.tell(do=do, **arguments)
        return self.result()


class Worker(Asked):
    """A process that measures one contender."""

    def __init__(self, place: Place) -> None:
        super().__init__("worker", env=place.environment())
        self.place = place
        self.contender: Contender = named(place.contender)
        self.name = self.contender.name


class ProxyProcess(Process):
    """A proxy before a server, see ``proxy``."""

    def __init__(self, path: Path, target: str, kind: str) -> None:
        super().__init__("proxy", str(path), target, kind)
        self.path = path
        self.url = f"unix://{path}?db=0"
        self.line()

    def traffic(self, **changes: float) -> dict[str, int]:
        """Return what has passed so far; change its delay, where that is given."""
        self.tell(**changes)
        passed: dict[str, int] = json.loads(self.line())
        return passed


def ask_all(workers: Sequence[Worker], do: str) -> dict[str, str]:
    """Ask all at the same time; return the errors of those that failed."""
    errors: dict[str, str] = {}
    for worker in workers:
        try:
            worker.tell(do=do)
        except ContenderError as error:
            errors[worker.name] = str(error)
    return errors | errors_of(each for each in workers if each.name not in errors)


def errors_of(workers: Iterable[Worker]) -> dict[str, str]:
    """Wait for the answer of each; return the errors of those that failed."""
    errors: dict[str, str] = {}
    for worker in workers:
        try:
            worker.result()
        except ContenderError as error:
            errors[worker.name] = str(error)
    return errors
