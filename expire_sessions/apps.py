"""The app: it wires the receivers and the checks."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

__all__ = ["ExpireSessionsConfig"]


class ExpireSessionsConfig(AppConfig):
    """``INSTALLED_APPS = [..., "expire_sessions"]``."""

    name = "expire_sessions"
    verbose_name = _("Sessions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect what listens, and register what checks."""
        # They import models, which have to wait for the app registry.
        from expire_sessions import checks, receivers  # noqa: PLC0415

        receivers.connect()
        checks.register()
