"""What the tests of the checks share: a set-up in order, and what was found in one."""

import re
from typing import Any

from django.core.checks import CheckMessage

from expire_sessions.checks.messages import Section
from tests.caches import entry

NOWHERE = "redis://127.0.0.1:1/0"
"""Nothing listens there."""


def ids(messages: list[CheckMessage]) -> set[str]:
    """Return the short ids of our messages; each sends to a section of the README."""
    ours = [m for m in messages if str(m.id).startswith("expire_sessions.")]
    for message in ours:
        assert re.findall('README: "(.+)"', str(message.hint))[0] in set(Section)
    return {str(message.id).removeprefix("expire_sessions.") for message in ours}


def caches(location: str = NOWHERE, **changes: Any) -> dict[str, Any]:
    """Return CACHES with another server, or other keys for the cache."""
    options = changes.pop("OPTIONS", {})
    return {"default": {**entry(location, **options), **changes}}


def deployed(location: str = NOWHERE, **changes: Any) -> dict[str, Any]:
    """Return settings that no check of ``--deploy`` finds anything in.

    Args:
        location: where the sessions are.
        changes: other keys for the session cache; OPTIONS are added to its own.
    """
    options = {"SOCKET_TIMEOUT": 5, **changes.pop("OPTIONS", {})}
    changes = {"KEY_PREFIX": "site", "OPTIONS": options, **changes}
    return {
        "SESSION_CACHE_ALIAS": "sessions",
        "CACHES": {
            "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
            "sessions": caches(location, **changes)["default"],
        },
    }
