"""What templates may show on every page."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from expire_sessions.noticing import notice_of

__all__ = ["session_notice"]


def session_notice(request: HttpRequest) -> dict[str, Any]:
    """Offer ``session_notice``: why the session of this browser has ended, or None.

    It is taken, and gone, only where a template looks at it. Then the session is
    loaded, which is one round trip unless the page has done so already.
    """
    return {"session_notice": SimpleLazyObject(lambda: notice_of(request))}
