"""What is to be reached, and whether it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.contenders import (
    AGED,
    CONTENDERS,
    DJANGO_CACHE,
    OURS,
    Ends,
)
from tests.benchmarks.rounds import Spread, ratio

__all__ = ["Samples", "Target", "targets"]

CACHE = DJANGO_CACHE
FLOOR = "redis-py"

Samples = Mapping[str, Mapping[str, list[float]]]

RATIOS = (
    ("load ÷ Django cache's", "store.load", CACHE, 0.75),
    ("load + changing save ÷ Django cache's", "store.change", CACHE, 0.78),
    ("the same with 0.5 ms more a round trip", "delayed.store.change", CACHE, 0.70),
    ("load ÷ bare redis-py GET", "store.load", FLOOR, 1.20),
    ("load with a touch due ÷ Django cache's", "due.load", CACHE, 0.95),
    (
        "load with a touch due, 0.5 ms more a round trip ÷ Django cache's",
        "delayed.due.load",
        CACHE,
        1.0,
    ),
    ("loads as in one of 32 workers ÷ Django cache's", "due.mix", CACHE, 0.95),
    ("those with superuser_handler ÷ Django cache's", "due.handler", CACHE, 1.0),
    (
        "request under SESSION_SAVE_EVERY_REQUEST (WSGI server) ÷ Django cache's",
        "server.every",
        CACHE,
        0.75,
    ),
    ("of it, load + unchanged save ÷ Django cache's", "store.keep", CACHE, 0.75),
    ("200 loads at once ÷ Django cache's", "async.load", CACHE, 0.12),
    (
        "request to an async view (ASGI server) ÷ Django cache's",
        "asgi.read",
        CACHE,
        0.75,
    ),
)

WITH_AGES = (
    ("load with idle and absolute age ÷ without", "store.load", 1.05),
    ("load + changing save with both ages ÷ without", "store.change", 1.05),
)

LOGINS = (
    ("login at the limit", "login.limit", {Ends.AT_LOGIN}),
    (
        "login at the limit and the first request",
        "login.visit",
        {Ends.AT_LOGIN, Ends.AT_REQUEST},
    ),
)
LOGIN_AT_MOST = 0.60

ORDINARY = ("store.load", "store.change", "store.keep", "due.load", "due.mix")
HANDLER = "due.handler"
ORDINARY_PAGES = ("client.read", "client.change", "client.every")


@dataclass(frozen=True, slots=True)
class Target:
    """A figure, and what it may be at most."""

    figure: str
    at_most: float
    measured: Spread

    @property
    def is_reached(self) -> bool:
        """Tell whether the median is low enough."""
        return self.measured.median <= self.at_most


def targets(
    samples: Samples,
    counts: Mapping[str, Mapping[str, Any]],
    database: str,
) -> list[Target]:
    """Return those that this run has figures for; logins on PostgreSQL alone."""
    logins = _logins(samples) if database.startswith("PostgreSQL") else []
    return [*_ratios(samples), *_with_ages(samples), *logins, *_queries(counts)]


def _ratios(samples: Samples) -> list[Target]:
    return [
        Target(figure, at_most, ratio(times[OURS], times[other]))
        for figure, operation, other, at_most in RATIOS
        if {OURS, other} <= (times := samples.get(operation, {})).keys()
    ]


def _with_ages(samples: Samples) -> list[Target]:
    return [
        Target(figure, at_most, ratio(times[AGED], times[OURS]))
        for figure, operation, at_most in WITH_AGES
        if {AGED, OURS} <= (times := samples.get(operation, {})).keys()
    ]


def _logins(samples: Samples) -> list[Target]:
    """Compare with the fastest that ends another session; the larger ratio counts."""
    found: list[Target] = []
    for figure, operation, kinds in LOGINS:
        times = samples.get(operation, {})
        peers = [
            each.name
            for each in CONTENDERS
            if each.ends in kinds and each.name in times and OURS not in each.name
        ]
        if peers and OURS in times:
            ratios = {name: ratio(times[OURS], times[name]) for name in peers}
            fastest = max(peers, key=lambda name: ratios[name].median)
            text = f"{figure} ÷ {fastest}'s"
            found.append(Target(text, LOGIN_AT_MOST, ratios[fastest]))
    return sorted(found, key=lambda target: -target.measured.median)


def _queries(counts: Mapping[str, Mapping[str, Any]]) -> list[Target]:
    sql = [
        counts[operation][OURS]["queries_of_sessions"]
        for operation in (*ORDINARY, *ORDINARY_PAGES)
        if OURS in counts.get(operation, {})
    ]
    found = [("SQL of sessions on an ordinary request", max(sql))] if sql else []
    # A store asks for no user: any query of it is one too many.
    if asked := counts.get(HANDLER, {}).get(OURS):
        found += [("SQL of a load with superuser_handler", asked["queries"])]
    return [Target(figure, 0, Spread(most, most, most)) for figure, most in found]
