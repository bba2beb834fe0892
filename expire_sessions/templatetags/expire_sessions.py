"""What templates show of a session: ``{% load expire_sessions %}``.

The tags need Django's context processor ``request``.
"""

from typing import Any, Final

from django import template

from expire_sessions.access import LastAccess
from expire_sessions.notices import Notice
from expire_sessions.noticing import NoticingStore

__all__ = ["register"]

register: Final = template.Library()


@register.simple_tag(takes_context=True)
def last_access(context: template.Context) -> LastAccess | None:
    """``{% last_access as access %}``: the last access, until the person has seen it.

    See ``request.session.hide_last_access``.
    """
    session = _session_of(context)
    access = session.last_access if session else None
    return None if access is None or access.seen else access


@register.simple_tag(takes_context=True)
def session_notice(context: template.Context) -> Notice | None:
    """``{% session_notice as notice %}``: why the session of this browser has ended.

    None where it has not. It is taken by that: the next page has none.
    """
    session = _session_of(context)
    return session.notice if session else None


def _session_of(context: template.Context) -> NoticingStore | None:
    """Return the session of the request; None without one, or with another engine's."""
    request: Any = context.get("request")
    session = getattr(request, "session", None)
    return session if isinstance(session, NoticingStore) else None
