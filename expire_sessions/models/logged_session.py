"""The model of the login history."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from expire_sessions.clients import USER_AGENT_LENGTH
from expire_sessions.models.rows import LoggedSessionQuerySet

__all__ = ["LoggedSession", "LoggedSessionManager"]

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
            # For the newest logins of a user, at each login and on pages.
            models.Index(
                fields=["user", "date_logged"], name="expire_sessions_user_logged"
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
