"""Measure expire_sessions against the others: ``python -m tests.benchmarks``.

The report goes to standard output in Markdown, all of it to a file as JSON, and how
far it is to standard error. See ``--help``.
"""

import argparse
import datetime
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks import growth, report
from tests.benchmarks.contenders import CONTENDERS, OURS
from tests.benchmarks.machine import stay_on_one_processor
from tests.benchmarks.run import SECTIONS, Run, Wanted
from tests.benchmarks.targets import targets

QUICK_SIZES = [1_000, 5_000]
RESULT = Path(".benchmark/latest.json")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the report and write the result."""
    # As an exception, so that every process is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = parsed(arguments)
    if not options.all_processors:
        stay_on_one_processor()
    today = datetime.datetime.now(datetime.UTC).date()
    result = {"date": today.isoformat(), **Run(wanted(options)).result()}
    found = targets(result["samples"], result["counts"], result["versions"]["database"])
    if "growth" in result:
        found += growth.targets(result)
    lines = report.lines(result, found)
    if "growth" in result:
        lines += growth.lines(result)
    sys.stdout.write("\n".join(lines) + "\n")
    result["targets"] = [
        {**asdict(target), "is_reached": target.is_reached} for target in found
    ]
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result | report.summary(result), indent=1))


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--only", type=_sections, help=", ".join(SECTIONS))
    parser.add_argument("--contenders", type=_contenders, help="names, with commas")
    parser.add_argument("--rounds", type=int, help="in each launch")
    parser.add_argument("--sizes", type=int, nargs="+", help="sessions, for growth")
    parser.add_argument("--launches", type=int, help="of every process")
    parser.add_argument("--quick", action="store_true", help="to see that it runs")
    parser.add_argument(
        "--all-processors", action="store_true", help="not all on one, to see the noise"
    )
    parser.add_argument("--json", type=Path, default=RESULT, help="the result's file")
    return parser.parse_args(arguments)


def wanted(options: argparse.Namespace) -> Wanted:
    """Fill in what the command line does not say."""
    return Wanted(
        sections=options.only or [*SECTIONS],
        contenders=options.contenders or [each.name for each in CONTENDERS],
        rounds=options.rounds or (2 if options.quick else 10),
        launches=options.launches or (1 if options.quick else 3),
        sizes=options.sizes or (QUICK_SIZES if options.quick else growth.SIZES),
        is_quick=options.quick,
    )


def _sections(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(SECTIONS):
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}")
    return names


def _contenders(text: str) -> list[str]:
    known = [each.name for each in CONTENDERS]
    names = [name for name in known if name in {OURS, *text.split(",")}]
    if unknown := set(text.split(",")) - set(known):
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}")
    return names


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
