"""Keeping a user's sessions at the limit: who is too many ends, and is told why."""

import logging
from dataclasses import replace
from functools import partial
from typing import Final, cast

from expire_sessions.conf import conf
from expire_sessions.endings import Ended, tell_ended
from expire_sessions.exceptions import InvalidSetup
from expire_sessions.flows.held import HeldSession
from expire_sessions.flows.unfinished import TRIM
from expire_sessions.limits import (
    Limits,
    known_limits,
    limits_for,
    settings_limits,
)
from expire_sessions.protocol import commands
from expire_sessions.protocol.asking import ask
from expire_sessions.protocol.lives import Ages, Notice, notice_of
from expire_sessions.protocol.modes import Mode
from expire_sessions.protocol.replies import Saved
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.reasons import EndReason
from expire_sessions.transport.running import Flow, call

__all__ = [
    "ages_of",
    "finish_trim",
    "keep_within",
    "limits_of",
    "notice_for",
    "tell_others_ended",
    "trim",
]

logger: Final = logging.getLogger("expire_sessions")


def keep_within(session: HeldSession, members: int) -> Flow[None] | None:
    """Return the flow that ends what is over the limit; None where nothing can be.

    Args:
        members: how many sessions the index has. One cannot be too many.
    """
    user_id = session.known.user_id
    if user_id is None or members <= 1:
        return None
    try:
        limits = known_limits(user_id, session.connection.answers)
    except InvalidSetup:
        limits = None  # it is logged where it is asked for
    if limits is not None and not 0 < limits.max_users < members:
        return None
    return _keep_within(session, members, limits)


def finish_trim(session: HeldSession) -> Flow[None]:
    """Repeat a trim without a reply: it may have ended others, and told nobody."""
    if session.known.user_id is None:  # it has left that user since
        session.unfinished.done(TRIM)
        return
    limits = yield from _limits_or_none(session)
    yield from trim(session, limits, 1)


def ages_of(session: HeldSession) -> Flow[Ages]:
    """Return the ages that a session takes on: where a handler fails, the settings'."""
    limits = yield from _limits_or_none(session)
    if limits is not None:
        return limits.ages
    # The strictest: that of staff, where they have one.
    idle_age = conf.staff_idle_age or conf.idle_age
    return replace(settings_limits(), idle_age=idle_age).ages


def limits_of(session: HeldSession, user_id: str) -> Flow[Limits]:
    """Ask ``expire_check`` anew. It raises what a handler raises."""
    asked = partial(limits_for, user_id, session.user(user_id))
    limits = yield from call(asked)
    session.connection.answers.add(user_id, limits)
    return limits


def trim(session: HeldSession, limits: Limits | None, steps: int) -> Flow[None]:
    """End what is over the limit, about a thousand in a step. A round trip each."""
    user_id, unfinished = session.known.user_id, session.unfinished
    for _ in range(steps):
        saved = yield from ask(
            commands.place(
                session.connection.keys,
                Mode.KEEP,
                str(session.key),
                call=unfinished.name(TRIM),
                user_id=user_id,
                limit=limits.max_users if limits else 0,
                notice=notice_for(EndReason.EVICTED),
            )
        )
        unfinished.done(TRIM)
        yield from tell_others_ended(session, saved, limits)
        if not saved.more:
            return


def notice_for(reason: EndReason, by: str = "") -> Notice:
    """Return what is left for the browsers of sessions that end for this reason.

    Args:
        by: the device of the login that takes their place.
    """
    return notice_of(int(conf.notice_age * 1000), reason, by)


def tell_others_ended(
    session: HeldSession, saved: Saved, limits: Limits | None
) -> Flow[None]:
    """Tell of the sessions that a save has ended, or found gone."""
    user_id = cast("str", session.known.user_id)
    context = session.context_of(user_id, limits)
    replaced = () if saved.replaced is None else (saved.replaced,)
    for keys, reason in (
        (saved.gone, EndReason.EXPIRED),
        (saved.evicted, EndReason.EVICTED),
        (replaced, EndReason.REPLACED),
    ):
        if keys:
            ended = [Ended(user_id, session_id(key)) for key in keys]
            yield from call(partial(tell_ended, session.sender, ended, reason, context))


def _keep_within(
    session: HeldSession, members: int, limits: Limits | None
) -> Flow[None]:
    limits = limits or (yield from _limits_or_none(session))
    if limits is not None and 0 < limits.max_users < members:
        yield from trim(session, limits, 1)


def _limits_or_none(session: HeldSession) -> Flow[Limits | None]:
    """Return the limits for an existing session; None if they fail.

    The limit is not tested then: an error in a handler must not sign people out, and a
    session that is there already makes no new one.
    """
    try:
        return (yield from limits_of(session, cast("str", session.known.user_id)))
    except Exception:
        # Handlers are the project's code: whatever they raise.
        logger.exception(
            "expire_check failed; the limit was not tested. Logins of this user fail"
            " until its handler is mended."
        )
        return None
