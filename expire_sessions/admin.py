"""The login history in the admin: to read, not to change."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from expire_sessions.models import LoggedSession

__all__ = ["LoggedSessionAdmin"]


if TYPE_CHECKING:  # ModelAdmin takes a parameter in the stubs alone
    ModelAdmin = admin.ModelAdmin[LoggedSession]
else:
    ModelAdmin = admin.ModelAdmin


@admin.register(LoggedSession)
class LoggedSessionAdmin(ModelAdmin):
    """Who signed in when, from where, and how it ended."""

    list_display = (
        "user",
        "date_logged",
        "ip",
        "user_agent",
        "is_active",
        "ended_at",
        "end_reason",
    )
    list_filter = ("end_reason", "date_logged")
    list_select_related: ClassVar = ("user",)
    ordering = ("-date_logged", "-pk")
    # A count of the whole history on each page is slow where it is never pruned.
    show_full_result_count = False

    @admin.display(boolean=True, description=_("active"))
    def is_active(self, row: LoggedSession) -> bool:
        """Show whether the session has not ended."""
        return row.active

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
