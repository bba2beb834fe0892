"""``manage.py index_sessions``: take in the sessions of before the switch."""

from collections.abc import Iterator
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from expire_sessions.adoption import Adopted, adopt_payloads, adopt_rows
from expire_sessions.exceptions import ExpireSessionsError

DJANGOS: Final = "django.contrib.sessions.backends."
WIDTH: Final = 40


class Command(BaseCommand):
    """Thin: it parses, walks, and prints what was found."""

    help = (
        "Let the sessions that were made before this engine was count for the limit and"
        " end with their user's others. Nobody is signed out by it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--from",
            dest="engine",
            metavar="ENGINE",
            help="Copy the sessions of this engine's table first: db, cached_db, or the"
            " dotted path of one made of these. Run it while the site is down.",
        )
        parser.add_argument(
            "--resume",
            default="",
            metavar="CURSOR",
            help="Go on where one was stopped.",
        )

    def handle(
        self, *args: Any, engine: str | None, resume: str, **options: Any
    ) -> None:
        """Walk all sessions, and say how many there were."""
        if engine in {"db", "cached_db"}:
            engine = DJANGOS + engine
        steps = adopt_rows(engine, resume) if engine else adopt_payloads(resume)
        cursor = resume
        counts = dict.fromkeys(("indexed", "anonymous", "ended", "unreadable"), 0)
        try:
            for step in self._shown(steps):
                cursor = step.cursor
                for name in counts:
                    counts[name] += getattr(step, name)
        except KeyboardInterrupt:
            self._stopped("Interrupted.", cursor)
        except (ExpireSessionsError, DatabaseError, ValueError) as error:
            self._stopped(str(error), cursor)
        self.stdout.write(
            f"{counts['indexed']:,} sessions of users are in their index,"
            f" {counts['anonymous']:,} are anonymous,"
            f" {counts['ended']:,} had ended here, {counts['unreadable']:,} cannot be"
            " read."
        )

    def _stopped(self, why: str, cursor: str) -> None:
        hint = f" Go on with: --resume {cursor}" if cursor else ""
        raise CommandError(why + hint)

    def _shown(self, steps: Iterator[Adopted]) -> Iterator[Adopted]:
        """Show a bar while it goes on, on a terminal."""
        is_terminal = self.stderr.isatty()
        for step in steps:
            if is_terminal:
                done = "#" * round(step.part * WIDTH)
                self.stderr.write(f"\r[{done:<{WIDTH}}] {step.part:4.0%}", ending="")
            yield step
        if is_terminal:
            self.stderr.write("")
