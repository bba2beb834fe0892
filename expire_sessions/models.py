"""The login history: one row for each login, kept small by ``EXPIRE_LOG_LIMIT``."""

import datetime
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from django.conf import settings
from django.db import IntegrityError, models, router, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from expire_sessions.clients import USER_AGENT_LENGTH
from expire_sessions.reasons import FOUND_GONE, EndReason

__all__ = ["LoggedSession", "LoggedSessionManager", "LoggedSessionQuerySet"]

BATCH: Final = 500
"""Rows that one statement closes or deletes: well below the 999 variables of an
old SQLite, and short enough to hold no lock for long."""

IN_FLIGHT: Final = datetime.timedelta(minutes=1)
"""A login that takes longer than this between its row and its place has died."""


@contextmanager
def own_savepoint() -> Iterator[None]:
    """Keep a failed write from breaking the transaction of the project around it.

    Outside of one there is none to break: each statement stands for itself.
    """
    using = router.db_for_write(LoggedSession)
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
            with own_savepoint():
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
            LoggedSession(
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


if TYPE_CHECKING:
    # What from_queryset() makes is known to mypy's plug-in for Django alone. The
    # queryset comes first: filter() and all the others lead to its methods.
    class _Manager(LoggedSessionQuerySet, models.Manager["LoggedSession"]):  # type: ignore[misc] # both have them
        pass

else:
    _Manager = models.Manager.from_queryset(LoggedSessionQuerySet)


class LoggedSessionManager(_Manager):
    """``LoggedSession.objects``: every method of the queryset, on all rows."""


class LoggedSession(models.Model):
    """One login, and how it ended."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        # A constraint is checked at the end of a transaction, where a row for a user
        # that is not in the table would break what the project has done in it.
        db_constraint=False,
        related_name="logged_sessions",
        verbose_name=_("user"),
    )
    session_id = models.CharField(
        _("session id"),
        max_length=64,
        unique=True,
        help_text=_("The hash of the session key; the key itself is a secret."),
    )
    ip = models.GenericIPAddressField(_("IP address"), null=True, blank=True)
    user_agent = models.CharField(
        _("user agent"), max_length=USER_AGENT_LENGTH, blank=True
    )
    date_logged = models.DateTimeField(_("signed in"), default=timezone.now)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    end_reason = models.CharField(_("reason"), max_length=32, blank=True)

    objects: ClassVar[LoggedSessionManager] = LoggedSessionManager()

    if TYPE_CHECKING:
        # Django makes it of "user", which only its plug-in for mypy knows.
        user_id: Any

    class Meta:
        verbose_name = _("logged session")
        verbose_name_plural = _("logged sessions")
        indexes: ClassVar = [
            models.Index(
                fields=["user", "ended_at"], name="expire_sessions_user_ended"
            ),
            # For the retention by age, and for the order of the admin.
            models.Index(fields=["date_logged"], name="expire_sessions_logged"),
        ]

    def __str__(self) -> str:
        return f"{self.user_name()}: {self.date_logged:%Y-%m-%d %H:%M}"

    def user_name(self) -> str:
        """Return the user's name if the user has been fetched, or else the primary key.

        Never a query, which would fail in async code and in an error report.
        """
        return str(self._state.fields_cache.get("user") or self.user_id)

    @property
    def active(self) -> bool:
        """Whether the session has not ended, as far as the history knows."""
        return self.ended_at is None
