"""The rows of the login history: what is asked of them, and how they change."""

import datetime
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from django.db import IntegrityError, models, router, transaction
from django.db.models import Q
from django.utils import timezone

from expire_sessions.reasons import FOUND_GONE, EndReason

if TYPE_CHECKING:
    from expire_sessions.models.logged_session import LoggedSession

__all__ = ["BATCH", "IN_FLIGHT", "LoggedSessionQuerySet", "own_savepoint"]

BATCH: Final = 500
"""Rows that one statement closes or deletes: well below the 999 variables of an
old SQLite, and short enough to hold no lock for long."""

IN_FLIGHT: Final = datetime.timedelta(minutes=1)
"""A login that takes longer than this between its row and its place has died."""


@contextmanager
def own_savepoint(model: type[models.Model]) -> Iterator[None]:
    """Keep a failed write from breaking the transaction of the project around it.

    Outside of one there is none to break: each statement stands for itself.
    """
    using = router.db_for_write(model)
    if transaction.get_connection(using).in_atomic_block:
        with transaction.atomic(using=using):
            yield
    else:
        yield


class LoggedSessionQuerySet(models.QuerySet["LoggedSession"]):
    """What is asked of the history, and the few ways in which it changes."""

    def active(self) -> Self:
        """Rows whose session has not ended."""
        return self.filter(ended_at=None)

    def ended(self) -> Self:
        """Rows whose session has ended."""
        return self.exclude(ended_at=None)

    def for_user(self, user: Any) -> Self:
        """Rows of one user: an instance or a primary key."""
        return self.filter(user=user)

    def close(self, session_ids: Collection[str], reason: EndReason) -> int:
        """End rows; return how many. One query for 500.

        A row that was only found gone takes a better reason; one that has a better
        reason keeps it.
        """
        open_to = Q(ended_at=None)
        if reason not in FOUND_GONE:
            open_to |= Q(end_reason__in=FOUND_GONE)
        ids, now = list(session_ids), timezone.now()
        return sum(
            self.filter(open_to, session_id__in=ids[at : at + BATCH]).update(
                ended_at=now, end_reason=reason
            )
            for at in range(0, len(ids), BATCH)
        )

    def follow(self, previous_id: str, session_id: str) -> int:
        """Let the row of a session go on under its new id. One query.

        Where the session was ended under that id already, the row takes that end.
        """
        rows = self.filter(
            Q(ended_at=None) | Q(end_reason__in=FOUND_GONE), session_id=previous_id
        )
        try:
            with own_savepoint(self.model):
                return rows.update(session_id=session_id, ended_at=None, end_reason="")
        except IntegrityError:
            return self._take_end(rows, session_id)

    def _take_end(self, rows: Self, session_id: str) -> int:
        own = rows.first()
        end = self.filter(session_id=session_id).first()
        if own is None or end is None or own.pk == end.pk:
            return 0  # another was faster, or it was pruned
        # First the end: whoever follows at the same time leaves an ended row alone.
        taken = rows.filter(pk=own.pk).update(
            ended_at=end.ended_at, end_reason=end.end_reason
        )
        if taken:
            end.delete()
            self.filter(pk=own.pk).update(session_id=session_id)
        return taken

    def note_ends(self, ends: Iterable[tuple[Any, str]], reason: EndReason) -> None:
        """Write rows for sessions that ended and have none, as far as is known here.

        The row may be on its way: that of a session which a rotation has just moved.

        Args:
            ends: primary key of the user and session id of each.
        """
        now = timezone.now()
        rows = [
            self.model(
                user_id=pk,
                session_id=name,
                date_logged=now,
                ended_at=now,
                end_reason=reason,
            )
            for pk, name in ends
        ]
        self.bulk_create(rows, BATCH, ignore_conflicts=True)

    def close_gone(self, rows: Collection["LoggedSession"]) -> None:
        """End rows whose session was not found. One or two queries for 500 rows.

        A row of the last minute may be that of a login on its way to its place:
        it ends as lost, which is not pruned in that minute and can be reopened.
        """
        now = timezone.now()
        lost = [row.pk for row in rows if row.date_logged > now - IN_FLIGHT]
        expired = [row.pk for row in rows if row.date_logged <= now - IN_FLIGHT]
        for pks, reason in ((lost, EndReason.LOST), (expired, EndReason.EXPIRED)):
            for at in range(0, len(pks), BATCH):
                self.active().filter(pk__in=pks[at : at + BATCH]).update(
                    ended_at=now, end_reason=reason
                )

    def reopen(self, session_ids: Collection[str]) -> None:
        """Take back that these sessions were found gone. One query for 500 ids."""
        ids = list(session_ids)
        for at in range(0, len(ids), BATCH):
            self.filter(
                session_id__in=ids[at : at + BATCH], end_reason__in=FOUND_GONE
            ).update(ended_at=None, end_reason="")

    def prune(self, user: Any, keep: int) -> None:
        """Delete all but the newest ``keep`` ended rows of one user, and no other.

        One query, and two more for each 500 rows that are too many. Safe beside
        another prune: both delete the same rows.
        """
        since = timezone.now() - IN_FLIGHT
        ended = (
            self.for_user(user)
            .ended()
            .exclude(end_reason=EndReason.LOST, date_logged__gt=since)
            .order_by("-ended_at", "-pk")
        )
        while pks := list(ended.values_list("pk", flat=True)[keep : keep + BATCH]):
            # By number: MySQL has no LIMIT in a subquery. Ended still: a row may
            # have been reopened since.
            self.ended().filter(pk__in=pks).delete()
            if len(pks) < BATCH:
                break

    def drop_older_than(self, days: float | None) -> int:
        """Delete the ended rows of logins that are older; return how many there were.

        None deletes nothing. One query, and two more for each 500 rows. Safe beside
        another of its kind: both delete the same rows.
        """
        if days is None:
            return 0
        before = timezone.now() - max(datetime.timedelta(days=days), IN_FLIGHT)
        old = self.ended().filter(date_logged__lt=before).order_by("date_logged")
        dropped = 0
        while pks := list(old.values_list("pk", flat=True)[:BATCH]):
            # By number: MySQL has no LIMIT in a subquery. Ended still: a row may
            # have been reopened since.
            deleted, _ = self.ended().filter(pk__in=pks).delete()
            dropped += deleted
            # None deleted: another process was faster, and a transaction or a
            # replica may go on showing these rows. The next sweep takes the rest.
            if not deleted or len(pks) < BATCH:
                break
        return dropped
