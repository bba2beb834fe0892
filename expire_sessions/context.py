"""What the signals say about where something came from."""

from dataclasses import dataclass
from typing import Final

from expire_sessions.limits import Limits

__all__ = ["NO_CONTEXT", "Context"]


@dataclass(frozen=True, slots=True)
class Context:
    """Who is behind what a signal tells, and where: as far as it is known."""

    ip: str | None = None
    user_agent: str | None = None

    by: str | None = None
    """The id of the user who did it: whose login it was, who signed out, who was signed
    in with the request that ended another session."""

    limits: Limits | None = None
    """What holds for the user, where ``expire_check`` was asked."""


NO_CONTEXT: Final = Context()
