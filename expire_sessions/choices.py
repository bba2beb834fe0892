"""Which sessions of a user are to end for a login: what is offered, what is chosen."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Self

from django.http import QueryDict

from expire_sessions.clients import device
from expire_sessions.limits import limits_for
from expire_sessions.session_info import SessionInfo
from expire_sessions.sessions import PAGE, UserSessions
from expire_sessions.users import user_id_of

__all__ = ["Choice", "Offer"]


@dataclass(frozen=True, slots=True)
class Offer:
    """A live session, as the page shows it."""

    session: SessionInfo
    is_chosen: bool = False

    @property
    def device(self) -> str:
        """A short name: "Firefox on Linux". It is what the client claims."""
        return device(self.session.user_agent)


@dataclass(frozen=True, slots=True)
class Choice:
    """The live sessions of a user, last seen first, and those of them to end."""

    user: Any
    offers: list[Offer]
    needed: int
    """How many have to end, so that there is a free place; 0: there is one."""

    ends_all: bool = False

    @classmethod
    def of(cls, user: Any, posted: QueryDict | None = None) -> Self:
        """Look at what is live now, and at what a form has chosen of it.

        What is not this user's, or not live any more, is not chosen. Two round trips
        and one query.
        """
        chosen: Collection[str] = posted.getlist("session") if posted else ()
        limit = limits_for(user_id_of(user), user).max_users
        # As many more as a page shows: a limit may just have been lowered.
        live = UserSessions(user).list(limit + PAGE)
        offers = [Offer(info, info.session_id in chosen) for info in live]
        needed = max(len(live) - limit + 1, 0) if limit else 0
        return cls(user, offers, needed, posted is not None and "all" in posted)

    @property
    def missing(self) -> int:
        """How many more have to be chosen."""
        if self.ends_all:
            return 0
        return max(self.needed - sum(offer.is_chosen for offer in self.offers), 0)

    def end_chosen(self) -> None:
        """End them: three round trips for each, or for all."""
        sessions = UserSessions(self.user, by=self.user)
        if self.ends_all:
            sessions.end_all()
            return
        for offer in self.offers:
            if offer.is_chosen:
                sessions.end(offer.session.session_id)
