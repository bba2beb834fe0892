"""``manage.py clearsessions``: Django's, and it says what was done.

It is found where this app stands before ``django.contrib.sessions``. Where it does not,
Django's own command does the same and says nothing.
"""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.sessions.management.commands import clearsessions
from django.core.management.base import CommandError

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import ExpireSessionsError
from expire_sessions.models import LoggedSession

VERBOSE = 2


class Command(clearsessions.Command):
    """Django's command, with a word at ``-v 2``."""

    def handle(self, **options: Any) -> None:
        """Sweep; fail where something is left over, so that cron notices."""
        store = import_module(settings.SESSION_ENGINE).SessionStore
        if not issubclass(store, SessionStore):
            super().handle(**options)
            return
        is_verbose = options["verbosity"] >= VERBOSE
        before = _rows() if is_verbose else None
        try:
            swept = store.sweep()
        except ExpireSessionsError as error:
            raise CommandError(str(error)) from error
        if before is not None:
            after = _rows()
            self.stdout.write(
                f"Sessions of users: {swept.live:,} live; {swept.dropped:,} had expired"
                " and left their index.\n"
                f"Login history: {after[0]:,} active rows (before: {before[0]:,}),"
                f" {after[1]:,} ended (before: {before[1]:,})."
            )


def _rows() -> tuple[int, int]:
    rows = LoggedSession.objects
    return rows.active().count(), rows.ended().count()
