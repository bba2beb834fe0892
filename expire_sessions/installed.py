"""Whether the app is installed, where its engine is used.

An app that is not installed has no ``ready`` that could register its checks. So the
check for it is registered when anything of this package is imported. ``manage.py
check`` imports nothing that ``SESSION_ENGINE`` names: where nothing else imports this
package, the server tells, which does not start (``refuse_without_app``).
"""

from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from expire_sessions.exceptions import InvalidSetup

__all__ = [
    "APP",
    "ENGINE",
    "check_installed",
    "is_installed",
    "is_ours",
    "refuse_without_app",
    "session_store",
]

APP: Final = "expire_sessions"
ENGINE: Final = f"{APP}.backend"


def is_installed() -> bool:
    """Tell whether the app is in ``INSTALLED_APPS``."""
    return apps.is_installed(APP)


def refuse_without_app() -> None:
    """Let the engine be imported only where the app is installed.

    The session middleware imports it when a server builds its handler: the server does
    not start, instead of failing at its first request. Before the app registry knows,
    as in a tool that reads the code, nothing is refused.

    Raises:
        InvalidSetup: the app is missing.
    """
    if apps.apps_ready and not is_installed():
        raise InvalidSetup(f"Add {APP!r} to INSTALLED_APPS: it keeps the history.")


def session_store(engine: object) -> Any:
    """Import and return the class of a ``SESSION_ENGINE``. It raises what it likes."""
    return import_string(f"{engine}.SessionStore")


def is_ours(engine: object) -> bool:
    """Tell whether a ``SESSION_ENGINE`` is this one, or builds on its class."""
    if engine == ENGINE:
        return True
    try:
        store = session_store(engine)
    except InvalidSetup:
        return True  # it imports this engine, which refuses to be used without the app
    except Exception:  # noqa: BLE001 - whatever the module of the project raises
        return False
    return any(base.__module__ == ENGINE for base in getattr(store, "__mro__", ()))


@checks.register
def check_installed(**kwargs: Any) -> list[checks.CheckMessage]:
    """E001: the engine is used without the app."""
    if is_installed() or not is_ours(settings.SESSION_ENGINE):
        return []
    return [
        checks.Error(
            f"SESSION_ENGINE is {settings.SESSION_ENGINE}, but {APP!r} is not in"
            " INSTALLED_APPS.",
            hint=f"Add {APP!r} to INSTALLED_APPS and run migrate."
            ' README: "Put it into your project".',
            id=f"{APP}.E001",
        )
    ]
