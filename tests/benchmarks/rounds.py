"""Take times in turns, and compare them within each turn.

What disturbs a shared machine lasts longer than one turn, so it falls on both
sides of a ratio. The median of the turns' ratios is what is quoted, with the
quartiles as its spread; the ratio of a thing to itself tells the noise.
"""

import random
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Spread", "Timer", "in_turns", "quotients", "ratio", "spread"]

Name = TypeVar("Name")
Timer = Callable[[], float]
"""Runs a batch and returns the seconds that one operation took."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A median and the quartiles around it."""

    low: float
    median: float
    high: float


def in_turns(timers: Mapping[Name, Timer], rounds: int) -> dict[Name, list[float]]:
    """Let every timer run once in each round; return what each of them said.

    The order of a round is drawn by lot: who always comes after the same one finds
    the processor's caches always as that one left them.
    """
    found: dict[Name, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name in random.sample([*timers], len(timers)):
            found[name].append(timers[name]())
    return found


def quotients(times: list[float], to: list[float]) -> list[float]:
    """Divide what one said by what the other said, round by round."""
    return [one / other for one, other in zip(times, to, strict=True)]


def ratio(times: list[float], to: list[float]) -> Spread:
    """Compare two contenders, round by round."""
    return spread(quotients(times, to))


def spread(values: list[float]) -> Spread:
    """Return the median and the quartiles."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    return Spread(*statistics.quantiles(values, n=4, method="inclusive"))
