"""Check that what a policy at the limit needs is there."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.urls import NoReverseMatch, get_resolver, reverse
from django.utils.module_loading import import_string
from django.views import defaults

from expire_sessions.checks.engine import is_used
from expire_sessions.checks.messages import Section, error, warning
from expire_sessions.conf import conf
from expire_sessions.exceptions import InvalidSetup
from expire_sessions.middleware import AskMiddleware

__all__ = ["check_policy"]

INCLUDE = 'path("sessions/", include("expire_sessions.urls"))'


def check_policy(**kwargs: Any) -> list[CheckMessage]:
    """E046 to W048: the pieces of the policies ``ask`` and ``refuse``.

    What an ``expire_check`` handler chooses for a user cannot be known here.
    """
    try:
        policy = conf.policy
    except InvalidSetup:
        return []  # E013 says so
    if not is_used():
        return []
    if policy == "ask":
        return [*_check_middleware(), *_check_urls()]
    return [*_check_handler()] if policy == "refuse" else []


def _check_middleware() -> Iterator[CheckMessage]:
    if not any(map(_asks, settings.MIDDLEWARE or ())):
        text = (
            'EXPIRE_POLICY is "ask", but nothing in MIDDLEWARE asks: a login that finds'
            " no free place is answered with an error page."
        )
        hint = 'Add "expire_sessions.middleware.AskMiddleware" to MIDDLEWARE.'
        yield error("E046", text, Section.LIMIT, hint)


def _check_urls() -> Iterator[CheckMessage]:
    try:
        reverse("expire_sessions:choose")
    except NoReverseMatch:
        text = (
            'EXPIRE_POLICY is "ask", but the page on which people choose has no'
            " address: a login that finds no free place fails."
        )
        hint = f"Add {INCLUDE} to the URLs of the project."
        yield error("E047", text, Section.LIMIT, hint)
    except Exception:  # noqa: BLE001 - the URLs are broken, and Django's check says so
        return


def _check_handler() -> Iterator[CheckMessage]:
    try:
        handler: Any = get_resolver().resolve_error_handler(403)
    except Exception:  # noqa: BLE001 - as above
        return
    if handler is defaults.permission_denied:
        text = (
            'EXPIRE_POLICY is "refuse", and who is refused sees what other forbidden'
            " pages show: Django's own page, which does not say why, or your 403.html."
        )
        hint = (
            'Set handler403 = "expire_sessions.views.permission_denied" in the URLs of'
            " the project. Where your 403.html shows {{ exception }}, silence this."
        )
        yield warning("W048", text, Section.LIMIT, hint)


def _asks(path: object) -> bool:
    try:
        found = import_string(str(path))
    except Exception:  # noqa: BLE001 - Django cannot start with it, and says why
        return False
    return isinstance(found, type) and issubclass(found, AskMiddleware)
