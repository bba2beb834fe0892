"""A login that finds no free place, under the policies ``refuse`` and ``ask``."""

from functools import partial
from typing import Final, NoReturn

from django.utils.translation import gettext_lazy as _

from expire_sessions.access import News
from expire_sessions.exceptions import SessionLimitReached
from expire_sessions.flows.held import HeldSession
from expire_sessions.limits import Limits
from expire_sessions.signals import session_refused
from expire_sessions.transport.running import Flow, call

__all__ = ["EVICT", "refuse"]

EVICT: Final = "evict"
"""The one policy under which a login is never refused."""

REFUSAL: Final = _(
    "Your sign-in details are right, but this account is signed in on as many devices"
    " as it may be. Sign out on one of them, then sign in here again."
)
"""A person reads it: it must not sound like a wrong password."""


def refuse(
    session: HeldSession, user_id: str, limits: Limits, news: News
) -> Flow[NoReturn]:
    """Tell that there was no free place. Nothing was changed in Redis.

    Args:
        news: the login, compared with those before it.

    Raises:
        SessionLimitReached: always.
    """
    refused = partial(
        session_refused.send_robust,
        sender=session.sender,
        user_id=user_id,
        session_id=session.id,
        context=session.context_of(user_id, limits),
        **news._asdict(),
    )
    yield from call(refused)
    raise SessionLimitReached(REFUSAL, limits.policy)
