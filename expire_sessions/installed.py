"""The check for the app itself.

It is registered when anything of this package is imported: an app that is not
installed has no ``ready`` that could do it.
"""

from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core import checks

__all__ = ["APP", "check_installed", "is_installed"]

APP: Final = "expire_sessions"


def is_installed() -> bool:
    """Tell whether the app is in ``INSTALLED_APPS``."""
    return apps.is_installed(APP)


@checks.register
def check_installed(**kwargs: Any) -> list[checks.CheckMessage]:
    """E001: the engine is used without the app."""
    if is_installed() or settings.SESSION_ENGINE != f"{APP}.backend":
        return []
    return [
        checks.Error(
            f"SESSION_ENGINE is {APP}.backend, but {APP!r} is not in INSTALLED_APPS.",
            hint=f"Add {APP!r} to INSTALLED_APPS and run migrate."
            ' README: "Put it into your project".',
            id=f"{APP}.E001",
        )
    ]
