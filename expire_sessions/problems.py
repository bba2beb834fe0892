"""What is wrong with the value of a setting: None, or what it must be."""

from collections.abc import Callable, Collection
from typing import TypeAlias

from django.utils.module_loading import import_string

__all__ = ["Problem", "with_choice", "with_count", "with_function", "with_number"]

Problem: TypeAlias = Callable[[object], str | None]
"""Takes a value, and returns what is wrong with it, or None."""


def with_count(value: object) -> str | None:
    """Say what is wrong with a number of things that may be None."""
    # bool is an int in Python, and True is not a number of sessions.
    number = isinstance(value, int) and not isinstance(value, bool)
    if value is None or (number and value >= 0):  # type: ignore[operator] # a number
        return None
    return "must be None or an integer from 0"


def with_number(
    unit: str, most: int, *, least: int = 0, optional: bool = False
) -> Problem:
    """Return what judges a number of some unit."""
    kind = "None or a number" if optional else "a number"
    words = f"must be {kind} of {unit} from {least} to {most}"

    def problem(value: object) -> str | None:
        if value is None:
            return None if optional else words
        number = isinstance(value, int | float) and not isinstance(value, bool)
        right = number and least <= value <= most  # type: ignore[operator] # a number
        return None if right else words

    return problem


def with_choice(choices: Collection[str | None]) -> Problem:
    """Return what judges one of some words."""

    def problem(value: object) -> str | None:
        if isinstance(value, str | None) and value in choices:
            return None
        return f"must be one of {', '.join(map(repr, choices))}"

    return problem


def with_function(value: object) -> str | None:
    """Say what is wrong with the dotted path of a function."""
    if not isinstance(value, str):
        return "must be the dotted path of a function"
    try:
        found = import_string(value)
    except Exception as error:  # noqa: BLE001 - what the project's module raises
        return f"cannot be imported: {type(error).__name__}: {error}"
    return None if callable(found) else "must name something that can be called"
