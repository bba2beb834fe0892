"""The tables, in Markdown, that can go into a README as they are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tests.benchmarks.contenders import CONTENDERS, OURS
from tests.benchmarks.operations import LABELS, SECTIONS
from tests.benchmarks.rounds import Spread, ratio, spread
from tests.benchmarks.targets import Target

__all__ = ["lines", "ratio_text", "summary", "table", "target_lines"]

AGAIN = f"{OURS} again"

COUNTS = (
    "Redis commands",
    "Redis round trips",
    "bytes to Redis",
    "bytes from Redis",
    "SQL queries",
    "of them for sessions",
    "SQL round trips",
    "SQL bytes",
)


def lines(result: Mapping[str, Any], found: Iterable[Target]) -> list[str]:
    """Return the report, all but memory and growth."""
    samples: Mapping[str, Any] = result["samples"]
    return [
        *_setting(result),
        *target_lines(list(found)),
        *_noise(samples),
        *_timings(samples),
        *_counts(result["counts"]),
        *_differences(),
        *_left_out(result["left_out"]),
    ]


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return medians and quartiles in microseconds, ratios and the noise."""
    samples: Mapping[str, Any] = result["samples"]
    return {
        "microseconds": {
            operation: {
                name: asdict(spread([each * 1e6 for each in seconds]))
                for name, seconds in times.items()
            }
            for operation, times in samples.items()
        },
        "ratios": {
            operation: {
                name: asdict(ratio(times[OURS], seconds))
                for name, seconds in times.items()
                if name != OURS
            }
            for operation, times in samples.items()
            if OURS in times
        },
    }


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table; all columns but the first are numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [*(f"| {' | '.join(row)} |" for row in (head, rule, *rows)), ""]


def _setting(result: Mapping[str, Any]) -> list[str]:
    machine = result["machine"]
    versions = ", ".join(f"{name} {is_}" for name, is_ in result["versions"].items())
    text = (
        f"Measured on {result['date']} on {machine['cpu']}, {machine['cores']} cores"
        f" ({machine['cores_used']} used), {machine['memory_gib']} GiB,"
        f" {machine['system']} {machine['kernel']}, with"
        f" {versions}. {result['rounds']} rounds in each of {result['launches']}"
        " launches of every process; medians, quartiles in brackets."
    )
    return [
        text,
        *_delay(result["delay_us"]),
        *(
            ["A quick run: it shows that all runs, and no figures."]
            * result["is_quick"]
        ),
        "",
    ]


def _delay(added: Sequence[float]) -> list[str]:
    if not added:
        return []
    texts = ", ".join(f"{each:.0f}" for each in added)
    return [f"The delaying proxy added {texts} µs to a bare PING."]


def target_lines(found: list[Target]) -> list[str]:
    """Return what is to be reached, and whether it is."""
    if not found:
        return []
    rows = [
        (each.figure, f"{each.at_most:g}", ratio_text(each.measured), _reached(each))
        for each in found
    ]
    return [
        "### To be reached",
        "",
        *table(("figure", "at most", "measured", ""), rows),
    ]


def _reached(target: Target) -> str:
    return "reached" if target.is_reached else "**not reached**"


def _noise(samples: Mapping[str, Any]) -> list[str]:
    rows = [
        (title(operation), ratio_text(ratio(times[AGAIN], times[OURS])))
        for operation, times in samples.items()
        if {OURS, AGAIN} <= times.keys()
    ]
    head = ("operation", f"{AGAIN} ÷ {OURS}")
    return (
        ["### Noise: the same against itself", "", *table(head, rows)] if rows else []
    )


def _timings(samples: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for section, heading in _sections(samples).items():
        operations = [each for each in samples if each.rpartition(".")[0] == section]
        found += [f"### {heading}", ""]
        found += [f"Microseconds; after them {OURS} ÷ this one.", ""]
        if section.startswith("delayed."):
            found += ["Only what goes to Redis is delayed, not what goes to SQL.", ""]
        found += _timing_table(operations, samples)
    return found


def _sections(samples: Mapping[str, Any]) -> dict[str, str]:
    delayed = {f"delayed.{name}": f"{text}, delayed" for name, text in SECTIONS.items()}
    known = {operation.rpartition(".")[0] for operation in samples}
    return {
        name: text for name, text in {**SECTIONS, **delayed}.items() if name in known
    }


def _timing_table(operations: list[str], samples: Mapping[str, Any]) -> list[str]:
    head = ["", *(_label(operation) for operation in operations)]
    rows = [
        [name, *(_timing(name, samples[operation]) for operation in operations)]
        for name in _names(samples[operation] for operation in operations)
    ]
    return table(head, rows)


def _timing(name: str, times: Mapping[str, list[float]]) -> str:
    if name not in times:
        return ""
    took = spread(times[name])
    text = f"{_us(took.median)} [{_us(took.low)}, {_us(took.high)}]"
    if OURS not in times or name == OURS:
        return text
    return f"{text} · {ratio_text(ratio(times[OURS], times[name]))}"


def _us(seconds: float) -> str:
    microseconds = seconds * 1e6
    return f"{microseconds:.1f}" if microseconds < 100 else f"{microseconds:.0f}"


def ratio_text(found: Spread) -> str:
    """Return a ratio with its spread."""
    if found.low == found.high:
        return f"{found.median:g}"
    return f"{found.median:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _counts(counts: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for operation, by_name in counts.items():
        head = [title(operation), *COUNTS]
        rows = [(name, *_count(by_name[name])) for name in _names([by_name])]
        found += table(head, rows)
    return ["### Counted, each", "", *found] if found else []


def _count(count: Mapping[str, Any]) -> tuple[str, ...]:
    redis, sql = count["redis"], count.get("sql")
    return (
        f"{redis['commands']:g}",
        f"{redis['trips']:g}",
        f"{redis['sent']:.0f}",
        f"{redis['received']:.0f}",
        f"{count['queries']:g}",
        f"{count['queries_of_sessions']:g}",
        f"{sql['trips']:g}" if sql else "",
        f"{sql['sent'] + sql['received']:.0f}" if sql else "",
    )


def _differences() -> list[str]:
    rows = [
        f"- {each.name}: {each.lacks}." for each in CONTENDERS if each.name != AGAIN
    ]
    return ["### What each does and does not do", "", *rows, ""]


def _left_out(left_out: Mapping[str, Mapping[str, str]]) -> list[str]:
    rows = [
        f"- {name}, {operation}: {why}"
        for operation, whys in left_out.items()
        for name, why in whys.items()
    ]
    return ["### Left out, for it failed", "", *rows, ""] if rows else []


def _names(tables: Iterable[Mapping[str, Any]]) -> list[str]:
    known = set().union(*tables)
    return [each.name for each in CONTENDERS if each.name in known]


def _label(operation: str) -> str:
    return LABELS[operation.removeprefix("delayed.")]


def title(operation: str) -> str:
    """Return section and label of an operation."""
    section = operation.rpartition(".")[0].replace("delayed.", "delayed ")
    return f"{section}: {_label(operation)}"
