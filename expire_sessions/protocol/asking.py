"""What one round trip asks, and how its reply is read."""

from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from expire_sessions.protocol.scripts import Script

__all__ = [
    "Asked",
    "Batch",
    "Command",
    "Steps",
    "as_it_is",
    "ask",
    "each",
    "scripted",
    "together",
]

T = TypeVar("T")


def as_it_is(reply: Any) -> Any:
    """Read a reply that says what is wanted."""
    return reply


class Command(Generic[T]):
    """One command, and the reader of its reply.

    Its ``repr`` shows no words: they hold session keys, and error reports show it.

    Args:
        words: the command.
        read: makes of the reply what is wanted.
        script: whose run it is, where it is one.
        otherwise: makes what to ask in its place where nobody answers it.
    """

    __slots__ = ("otherwise", "read", "script", "words")

    def __init__(
        self,
        words: Sequence[Any],
        read: Callable[[Any], T] = as_it_is,
        script: Script | None = None,
        otherwise: "Callable[[], Command[T]] | None" = None,
    ) -> None:
        self.words = words
        self.read = read
        self.script = script
        self.otherwise = otherwise

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.words[0]}>"

    def in_full(self) -> "Command[T]":
        """Return the same with the text of its script, for a server that forgot it."""
        if self.script is None:
            return self
        words = ("EVAL", self.script.source, *self.words[2:])
        return Command(words, self.read, otherwise=self.otherwise)


class Batch(Generic[T]):
    """Commands that go together: one round trip, in no transaction.

    Args:
        commands: what is asked.
        read: reads the list of replies. A command that was refused has its error
            there: see ``each``, which raises it.
    """

    __slots__ = ("commands", "read")

    otherwise: None = None

    def __init__(
        self, commands: Sequence[Command[Any]], read: Callable[[list[Any]], T]
    ) -> None:
        self.commands = commands
        self.read = read

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.commands)}>"

    def in_full(self) -> "Batch[T]":
        """Return the same with the text of the scripts."""
        return Batch([command.in_full() for command in self.commands], self.read)


Asked: TypeAlias = Command[T] | Batch[T]
Steps: TypeAlias = Generator[Asked[Any], Any, T]
"""Several round trips: yields what is to be asked, and is sent what was read."""


def ask(asked: Asked[T]) -> Steps[T]:
    """Ask within ``Steps``: the same as to yield it, with a type."""
    reply: T = yield asked
    return reply


def together(commands: Sequence[Command[T]]) -> Batch[list[T]]:
    """Return commands as one round trip that reads the reply to each."""

    def read(replies: list[Any]) -> list[T]:
        return [
            command.read(reply)
            for command, reply in zip(commands, each(replies), strict=True)
        ]

    return Batch(commands, read)


def each(replies: list[Any]) -> list[Any]:
    """Return the replies to a batch; raise the first error among them."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def scripted(
    script: Script,
    names: Sequence[str],
    arguments: Sequence[Any],
    read: Callable[[Any], T] = as_it_is,
) -> Command[T]:
    """Return the run of a script, by its digest."""
    words = ("EVALSHA", script.digest, len(names), *names, *arguments)
    return Command(words, read, script)
