"""What the tests of a project change while it runs."""

from typing import Final

from expire_sessions.conf import KNOWN, conf
from expire_sessions.transport.connections import forget_connections, forget_sessions

__all__ = ["read_settings_again"]

CONNECTION_SETTINGS: Final = ("CACHES", "SESSION_CACHE_ALIAS")


def read_settings_again(*, setting: str, **kwargs: object) -> None:
    """Drop what was made of settings that a test has just changed."""
    if setting in CONNECTION_SETTINGS:
        forget_connections()
    if setting in KNOWN:
        conf.forget()
        forget_sessions()
