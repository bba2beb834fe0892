"""What the signals say about where something came from."""

from dataclasses import dataclass
from typing import Final

from expire_sessions.limits import Limits

__all__ = ["NO_CONTEXT", "Context"]


@dataclass(frozen=True, slots=True)
class Context:
    """The login behind what a signal tells, as far as it is known."""

    ip: str | None = None
    user_agent: str | None = None

    limits: Limits | None = None
    """What holds for the user, where ``expire_check`` was asked."""


NO_CONTEXT: Final = Context()
