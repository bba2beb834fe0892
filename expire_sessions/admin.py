"""The login history in the admin: to read, not to change."""

import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from expire_sessions.clients import device
from expire_sessions.models import LoggedSession

__all__ = ["ActiveFilter", "LoggedSessionAdmin"]

if TYPE_CHECKING:  # ModelAdmin takes a parameter in the stubs alone
    ModelAdmin = admin.ModelAdmin[LoggedSession]
else:
    ModelAdmin = admin.ModelAdmin


class ActiveFilter(admin.SimpleListFilter):
    """Rows whose session has not ended, or those that have."""

    title = _("active")
    parameter_name = "active"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer yes and no."""
        return [("yes", gettext("Yes")), ("no", gettext("No"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[LoggedSession]
    ) -> QuerySet[LoggedSession] | None:
        """Return the rows of the choice; None: all."""
        chosen = self.value()
        if chosen not in {"yes", "no"}:
            return None
        return queryset.filter(ended_at__isnull=chosen == "yes")


@admin.register(LoggedSession)
class LoggedSessionAdmin(ModelAdmin):
    """Who signed in when, from where, and how it ended."""

    # What may be long stands last: the rest has to fit a window of 1280 pixels.
    list_display = ("who", "date_logged", "ended", "end_reason", "device", "ip")
    list_filter = (ActiveFilter, "end_reason", "date_logged")
    ordering = ("-date_logged", "-pk")
    # A count of the whole history on each page is slow where it is never pruned.
    show_full_result_count = False

    # Not "user": for a relation in the list the admin joins its table, and a row whose
    # user is gone would be missing.
    @admin.display(description=_("user"), ordering="user")
    def who(self, row: LoggedSession) -> str:
        """Show the user's name, or the primary key of a user who is gone."""
        return row.user_name()

    @admin.display(description=_("ended"), ordering="ended_at")
    def ended(self, row: LoggedSession) -> datetime.datetime | str:
        """Show when the session ended, or that it has not."""
        return row.ended_at or gettext("active")

    @admin.display(description=_("device"), ordering="user_agent")
    def device(self, row: LoggedSession) -> str:
        """Show a short name for the user agent, which is on the page of the row."""
        return device(row.user_agent)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LoggedSession]:
        """Fetch the users of the rows, by a query of its own."""
        return super().get_queryset(request).prefetch_related("user")

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Search by the name that users sign in with, and by address."""
        users: Any = get_user_model()
        return (f"user__{users.USERNAME_FIELD}", "ip")

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        """Rows are written by logins alone."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What happened does not change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No on the pages of the history; on a user's, the rows go with the user."""
        match = request.resolver_match
        own = f"{self.opts.app_label}_{self.opts.model_name}_"
        if match is None or (match.url_name or "").startswith(own):
            return False
        return super().has_delete_permission(request, obj)
