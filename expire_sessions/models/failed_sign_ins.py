"""The model that counts failed sign-ins."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

__all__ = ["FailedSignIns"]


class FailedSignIns(models.Model):
    """How many sign-ins of one account have failed. A row for each account at most.

    One row is without a user: it counts the attempts with names that nobody has. So
    these cost the same write, and take no longer or shorter than the others.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        db_constraint=False,  # as for LoggedSession
        null=True,
        related_name="+",
        verbose_name=_("user"),
    )
    count = models.BigIntegerField(_("failed sign-ins"), default=0)
    """All of them. It only grows, so that none can be lost between a login that reads
    it and the moment when that login has its place."""

    told = models.BigIntegerField(_("of which a login was told"), default=0)

    if TYPE_CHECKING:
        # Django makes it of "user", which only its plug-in for mypy knows.
        user_id: Any

    class Meta:
        verbose_name = _("failed sign-ins")
        verbose_name_plural = _("failed sign-ins")

    def __str__(self) -> str:
        return f"{self.user_id}: {self.count}"
