"""The tables of memory and growth, in Markdown, and what is to be reached."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from tests.benchmarks.report import table
from tests.benchmarks.rounds import Spread, quotients, ratio, spread
from tests.benchmarks.targets import Samples, Target

__all__ = ["AGAIN", "LABELS", "lines", "targets"]

AGAIN = "again"
"""The alias of the second server with the smallest size."""

LABELS = {
    "load": "load",
    "change": "load, changed, save",
    "get": "redis-py GET",
    "get_and_set": "redis-py GET, SET",
}

FLOORS = {"load": "get", "change": "get_and_set"}
"""What each does in Redis at least, with bare redis-py."""

KINDS = {
    "payload": "payload, as Django's cache backend has it",
    "index of 1": "index, one session",
    "index of 5": "index, 5 sessions",
    "index of 10": "index, 10 sessions",
    "index of 200": "index, 200 sessions",
    "payload and index of 1": "payload and index, one session",
    "made": "what tells a repeated login, for a minute",
}

INDEX_AT_MOST = 220
GROWTH_AT_MOST = 1.02


def targets(result: Mapping[str, Any]) -> list[Target]:
    """Return what is to be reached, and what was measured of it."""
    sizes = _sizes(result)
    smallest, largest = sizes[0], sizes[-1]
    index = _over_a_doubling(result["memory"]["bytes"]["index of 1"])
    text = f"{LABELS['load']}: with {int(largest):,} sessions ÷ {int(smallest):,}"
    grown = _against_floor(result["growth"]["samples"], "load", largest, smallest)
    return [
        Target("bytes of the index of a user with one session", INDEX_AT_MOST, index),
        Target(f"{text}, ÷ the same of a bare GET", GROWTH_AT_MOST, grown),
    ]


def _against_floor(samples: Samples, name: str, size: str, smallest: str) -> Spread:
    """Divide the growth of an operation by that of its floor, batch by batch."""
    times, floor = samples[name], samples[FLOORS[name]]
    return ratio(
        quotients(times[size], times[smallest]), quotients(floor[size], floor[smallest])
    )


def lines(result: Mapping[str, Any]) -> list[str]:
    """Return the tables, in Markdown."""
    return [*_memory(result["memory"]), *_growth(result)]


def _memory(found: Mapping[str, Any]) -> list[str]:
    text = (
        f"{found['server']}. The payload has {found['payload_bytes']} bytes, a user's"
        " id seven digits, the keys no prefix. used_memory with all tables of keys in"
        " it: the mean over a doubling of their number, the least and the most in"
        " brackets. What the engine writes takes the same: checked."
    )
    rows = [_memory_row(KINDS[name], found["bytes"][name]) for name in KINDS]
    head = ("bytes for each user", "used_memory", "MEMORY USAGE")
    return ["### Memory in Redis", "", text, "", *table(head, rows)]


def _memory_row(label: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    each = _over_a_doubling(found)
    text = f"{each.median:.0f} [{each.low:.0f}, {each.high:.0f}]"
    return (label, text, f"{found['memory_usage']:.0f}")


def _over_a_doubling(found: Mapping[str, Any]) -> Spread:
    """Return the mean, and instead of quartiles the least and the most."""
    counts = found["per_user"]
    return Spread(min(counts), fmean(counts), max(counts))


def _growth(result: Mapping[str, Any]) -> list[str]:
    text = (
        "Five sessions a user, drawn by lot from all, and seen before. Microseconds of"
        " the middle one of each batch; after them this size ÷ the smallest, batch by"
        " batch."
    )
    sizes, growth = _sizes(result), result["growth"]
    rows = [_growth_row(alias, growth, sizes[0]) for alias in (*sizes, AGAIN)]
    head = ("sessions", "used_memory", "bytes a session", *LABELS.values())
    return [
        *("### Growth", "", text, "", *table(head, rows)),
        *_floors(growth, sizes),
        *_in_redis(growth, sizes),
    ]


def _floors(growth: Mapping[str, Any], sizes: Sequence[str]) -> list[str]:
    text = (
        "This size ÷ the smallest, divided by the same of what it does in Redis at"
        " least, batch by batch."
    )
    rows = [_floors_row(alias, growth, sizes[0]) for alias in (*sizes[1:], AGAIN)]
    head = ("sessions", *(f"{LABELS[n]} ÷ {LABELS[FLOORS[n]]}" for n in FLOORS))
    return [text, "", *table(head, rows)]


def _floors_row(alias: str, growth: Mapping[str, Any], smallest: str) -> list[str]:
    found = [
        _against_floor(growth["samples"], name, alias, smallest) for name in FLOORS
    ]
    return [
        _sessions(alias, growth),
        *(f"{each.median:.3f} [{each.low:.3f}, {each.high:.3f}]" for each in found),
    ]


def _sessions(alias: str, growth: Mapping[str, Any]) -> str:
    again = " again" if alias == AGAIN else ""
    return f"{growth['held'][alias]['sessions']:,}{again}"


def _in_redis(growth: Mapping[str, Any], sizes: Sequence[str]) -> list[str]:
    text = (
        "Of these microseconds, in Redis itself (INFO commandstats): what is not in its"
        " processor's caches takes longer, whoever asks."
    )
    spent = growth["in_redis"]
    rows = [
        (f"{int(alias):,}", *(f"{spent[name][alias] * 1e6:.1f}" for name in LABELS))
        for alias in sizes
    ]
    return [text, "", *table(("sessions", *LABELS.values()), rows)]


def _growth_row(alias: str, growth: Mapping[str, Any], smallest: str) -> list[str]:
    held = growth["held"][alias]
    return [
        _sessions(alias, growth),
        f"{held['used_memory'] / 2**20:,.1f} MiB",
        f"{held['per_session']:.0f}",
        *(_timing(growth["samples"][name], alias, smallest) for name in LABELS),
    ]


def _timing(times: Mapping[str, list[float]], alias: str, smallest: str) -> str:
    took = spread([each * 1e6 for each in times[alias]])
    text = f"{took.median:.1f} [{took.low:.1f}, {took.high:.1f}]"
    if alias == smallest:
        return text
    compared = ratio(times[alias], times[smallest])
    return f"{text} · {compared.median:.3f} [{compared.low:.3f}, {compared.high:.3f}]"


def _sizes(result: Mapping[str, Any]) -> list[str]:
    """Return the aliases of the sizes, the smallest first."""
    held = result["growth"]["held"]
    return sorted((alias for alias in held if alias != AGAIN), key=int)
