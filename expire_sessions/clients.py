"""What the login history knows of a client: its IP address and its user agent.

``behind_proxies`` is for ``EXPIRE_CLIENT_IP``, ``device`` for pages that show a list.
"""

import ipaddress
import logging
import math
import re
from collections.abc import Callable
from typing import Final

from django.http import HttpRequest

from expire_sessions.conf import conf
from expire_sessions.context import Context
from expire_sessions.occasions import Occasion

__all__ = [
    "USER_AGENT_LENGTH",
    "behind_proxies",
    "describe",
    "device",
    "remote_addr",
]

logger: Final = logging.getLogger("expire_sessions")

USER_AGENT_LENGTH: Final = 512
"""Characters kept of a user agent: real ones have 50 to 300, and the header is
the client's to write."""

DEVICE_LENGTH: Final = 40
"""Characters of a device's name: it has to fit a cell of a table."""

# In this order: nearly all of them name those further down as well.
BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)

WITH_PORT: Final = re.compile(r"\[([^]]+)\](?::\d+)?|([^:]+):\d+", re.ASCII)
"""``[::1]:80``, ``[::1]`` and ``192.0.2.1:80``; a bare IPv6 address has more colons."""


no_address: Final = Occasion(seconds=math.inf)
"""When it is said that ``EXPIRE_CLIENT_IP`` finds no address: once in a process, for
what causes it is the same at every login."""


def remote_addr(request: HttpRequest) -> str | None:
    """Return the address of the peer, never a header that a client can write.

    Behind a proxy this is the proxy's: see ``behind_proxies``.
    """
    return request.META.get("REMOTE_ADDR")


def behind_proxies(count: int) -> Callable[[HttpRequest], str | None]:
    """Return a function for ``EXPIRE_CLIENT_IP`` of a site behind ``count`` proxies.

    Each proxy adds the address it was asked from to the right end of
    ``X-Forwarded-For``; what stands further left is the client's to write. So the
    address is the one that the outermost proxy of yours has added: number ``count``
    from the right. It is None where the header is shorter, which is a request that
    came past a proxy, and where there is no address at that place.

    Args:
        count: how many proxies of yours a request passes, load balancers and
            content delivery networks included; each must add to the header.

    Raises:
        ValueError: ``count`` is not an integer from 1.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"behind_proxies() takes an integer from 1, not {count!r}.")

    def client_ip(request: HttpRequest) -> str | None:
        # Several lines of the header have been joined to one by the server.
        header = request.META.get("HTTP_X_FORWARDED_FOR", "")
        entries = header.rsplit(",", count)[-count:]
        return _address(entries[0]) if len(entries) == count else None

    return client_ip


def describe(request: HttpRequest, by: str | None = None) -> Context:
    """Return address and user agent of a request's client, each None if unknown.

    Raises nothing: a wrong ``EXPIRE_CLIENT_IP`` is logged and breaks no login.

    Args:
        by: the id of the user whose request it is.
    """
    return Context(ip=_ip(request), user_agent=_user_agent(request), by=by)


def device(user_agent: str) -> str:
    """Return a short name for a user agent: "Firefox on Linux", "curl/8.15.0".

    It is what the client claims, no more. Escape it in HTML.
    """
    product = user_agent.partition(" ")[0]
    if not product or product.startswith("Mozilla/"):  # as all browsers begin
        product = "unknown"
    name = _first(BROWSERS, user_agent) or product
    system = _first(SYSTEMS, user_agent)
    name = f"{name} on {system}" if system else name
    # A product is the client's to name: no line breaks, no terminal codes.
    return "".join(filter(str.isprintable, name))[:DEVICE_LENGTH]


def _first(names: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for mark, name in names if mark in user_agent), "")


def _ip(request: HttpRequest) -> str | None:
    try:
        found = conf.client_ip(request)
    except Exception:
        # A function of the project: whatever it raises, a login or logout goes on.
        logger.exception("EXPIRE_CLIENT_IP failed; no IP address is known then.")
        return None
    address = _address(str(found))
    if address is None and no_address.has_come():
        logger.warning(
            "EXPIRE_CLIENT_IP returned %s; logins are kept without an IP address."
            " Behind a proxy or on a Unix socket, name a function that knows how"
            ' requests arrive: README, "The address of a client". This is logged once'
            " in a process.",
            "text that is no IP address" if found else "nothing",
        )
    return address


def _address(text: str) -> str | None:
    """Return the IP address in ``text``, without a port, or None."""
    text = text.strip()
    if match := WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        # A zone id ("%eth0") is of this machine only, and no database takes it.
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def _user_agent(request: HttpRequest) -> str | None:
    header = getattr(request, "META", {}).get("HTTP_USER_AGENT")
    if not header:
        return None
    # PostgreSQL takes no NUL, and no database takes half a surrogate pair.
    text = str(header).replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return text[:USER_AGENT_LENGTH]
