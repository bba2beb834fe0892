"""What the demo says, as it happens."""

import textwrap
from collections.abc import Sequence
from typing import Final

WIDTH: Final = 80
"""Columns of a terminal, the least that is usual."""


class NotAsSaidError(Exception):
    """A step did not do what it said. It has been reported."""


def say(text: str = "") -> None:
    """Print a line, now."""
    print(text, flush=True)  # noqa: T201 - it is what the demo is for


def verify(what: str, *, expected: object, found: object) -> None:
    """Say that a step did what it says, or else what was expected and found.

    Raises:
        NotAsSaidError: it did not.
    """
    if found == expected:
        say(_wrapped("   ok  ", what))
        return
    say(_wrapped("   FAILED  ", what))
    say(f"           expected: {expected}")
    say(f"           found:    {found}")
    raise NotAsSaidError(what)


def say_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with its columns aligned."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, ["-" * width for width in widths], *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        say(f"   {'  '.join(cells)}".rstrip())


def _wrapped(mark: str, text: str) -> str:
    """Return as many lines as the text takes, the first with the mark before it."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_on_hyphens=False,
    )
