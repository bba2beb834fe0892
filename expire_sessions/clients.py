"""What the login history knows of a client: its IP address and its user agent."""

import ipaddress
import logging
from typing import Final

from django.http import HttpRequest

from expire_sessions.conf import conf

__all__ = ["USER_AGENT_LENGTH", "describe", "remote_addr"]

logger: Final = logging.getLogger("expire_sessions")

USER_AGENT_LENGTH: Final = 512
"""Characters kept of a user agent: real ones have 50 to 300, and the header is
the client's to write."""


def remote_addr(request: HttpRequest) -> str | None:
    """Return the address of the peer, never a header that a client can write.

    Behind a proxy this is the proxy's: name a function in ``EXPIRE_CLIENT_IP``
    that knows which header your proxy sets.
    """
    return request.META.get("REMOTE_ADDR")


def describe(request: HttpRequest) -> dict[str, str | None]:
    """Return ``ip`` and ``user_agent`` of a request's client, each None if unknown.

    Raises nothing: a wrong ``EXPIRE_CLIENT_IP`` is logged and breaks no login.
    """
    return {"ip": _ip(request), "user_agent": _user_agent(request)}


def _ip(request: HttpRequest) -> str | None:
    try:
        found = conf.client_ip(request)
    except Exception:
        # A function of the project: whatever it raises, the login goes on.
        logger.exception("EXPIRE_CLIENT_IP failed; the login is kept without an IP")
        return None
    try:
        # A zone id ("%eth0") is of this machine only, and no database takes it.
        return str(ipaddress.ip_address(str(found).strip().partition("%")[0]))
    except ValueError:
        return None


def _user_agent(request: HttpRequest) -> str | None:
    header = getattr(request, "META", {}).get("HTTP_USER_AGENT")
    if not header:
        return None
    # PostgreSQL takes no NUL, and no database takes half a surrogate pair.
    text = str(header).replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return text[:USER_AGENT_LENGTH]
