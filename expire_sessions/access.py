"""What a login is told of the sign-ins before it, and what it tells of itself.

Pure: who has asked the history hands it in.
"""

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from expire_sessions.clients import device
from expire_sessions.context import Context

__all__ = ["LAST_ACCESS", "Before", "LastAccess", "News", "SignIn", "news_of"]

LAST_ACCESS: Final = "_expire_last_access"
"""Its key in the session's data."""


@dataclass(frozen=True, slots=True)
class LastAccess:
    """When and from where an account was last signed in to before this login."""

    when: datetime.datetime
    ip: str | None
    """None where the history has no address."""

    user_agent: str
    """As the client gave it, or empty. Escape it in HTML, as templates do."""

    failures: int
    """Sign-ins with this account's name that have failed since."""

    seen: bool = False
    """The person has seen it: ``{% last_access %}`` shows it no more."""

    @property
    def device(self) -> str:
        """A short name for the user agent: "Firefox on Linux"."""
        return device(self.user_agent)

    def as_data(self) -> dict[str, Any]:
        """Return it as any serializer of sessions can write it."""
        return {
            "when": self.when.isoformat(),
            "ip": self.ip,
            "user_agent": self.user_agent,
            "failures": self.failures,
            "seen": self.seen,
        }

    @classmethod
    def from_data(cls, data: Any) -> Self | None:
        """Read what ``as_data`` wrote; None where it is nothing of the kind."""
        try:
            when = datetime.datetime.fromisoformat(data["when"])
            rest = {name: data[name] for name in ("ip", "user_agent", "failures")}
            return cls(when=when, seen=data["seen"], **rest)
        except (KeyError, TypeError, ValueError):
            return None


class SignIn(NamedTuple):
    """An earlier login, as the history has it."""

    session_id: str
    when: datetime.datetime
    ip: str | None
    user_agent: str
    is_active: bool

    def is_elsewhere(self, context: Context) -> bool:
        """Tell whether it is known to have come from another address or device."""
        theirs = (self.ip, _device_or_none(self.user_agent))
        ours = (context.ip, _device_or_none(context.user_agent))
        pairs = zip(theirs, ours, strict=True)
        return any(a is not None and b is not None and a != b for a, b in pairs)


@dataclass(frozen=True, slots=True)
class Before:
    """What the history knows of an account when somebody signs in to it."""

    sign_ins: tuple[SignIn, ...] = ()
    """The newest ones that took place, the newest first."""

    failures: int = 0
    """Sign-ins that failed, and of which no login was told yet."""

    @property
    def last_access(self) -> LastAccess | None:
        """The newest of them; None where there is none."""
        if not self.sign_ins:
            return None
        last = self.sign_ins[0]
        return LastAccess(last.when, last.ip, last.user_agent, self.failures)


class News(NamedTuple):
    """What ``session_started`` tells beside who and where."""

    concurrent: bool | None = None
    new_device: bool | None = None
    failures: int | None = None


def news_of(
    before: Before | None,
    context: Context,
    session_id: str,
    live: Collection[str] | None,
) -> News:
    """Compare a login with those before it.

    Args:
        before: None where the history was not asked, or did not answer: nothing is
            known then.
        session_id: that of the login, which may be in the history: somebody can sign in
            again in the same browser.
        live: the ids of the user's sessions that were live just before it; None where
            there are too many to list. What the history takes for active counts then.
    """
    if before is None:
        return News()
    concurrent = any(
        one.is_elsewhere(context)
        for one in before.sign_ins
        if one.session_id != session_id
        and (one.is_active if live is None else one.session_id in live)
    )
    return News(concurrent, _is_new_device(before, context), before.failures)


def _is_new_device(before: Before, context: Context) -> bool | None:
    ours = _device_or_none(context.user_agent)
    known = {_device_or_none(one.user_agent) for one in before.sign_ins} - {None}
    return None if ours is None or not known else ours not in known


def _device_or_none(user_agent: str | None) -> str | None:
    return device(user_agent) if user_agent else None
