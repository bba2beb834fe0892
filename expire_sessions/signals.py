"""The signals of this package. ``receivers`` holds what listens to them here.

==================== ===========================================================
``expire_check``     how many sessions may this user have?
``session_entering`` a login is about to take its place
``session_started``  a login has its place
``session_refused``  a login found no free place
``session_rotated``  a session goes on under a new key
``session_ended``    a session is no longer usable
``sessions_ended``   the same, once for all that ended together
``sessions_swept``   ``clearsessions`` has been through some hundred sessions
==================== ===========================================================

An editor shows the arguments of each: they stand under it.
None of them carries a session key. ``session_id`` is its hash, ``user_id`` the
user's primary key as a string, as the session holds it.

``expire_check`` is sent with ``send``: an error in a handler is seen. All others
are sent with ``send_robust``: a listener that fails breaks no login.
"""

from collections.abc import MutableMapping
from typing import Any, Final

from django.dispatch import Signal

__all__ = [
    "expire_check",
    "session_ended",
    "session_entering",
    "session_refused",
    "session_rotated",
    "session_started",
    "sessions_ended",
    "sessions_swept",
    "superuser_handler",
]

expire_check: Final = Signal()
"""Asks how many sessions a user may have, before that limit is tested.

Arguments:
    sender: the user; a lazy object where only the id is known, so a handler
        that does not look at it costs no query.
    settings (dict): ``{"max_users": EXPIRE_MAX_USERS}``. A handler changes it
        for this user: ``max_users`` is an int from 1, or 0 or None for no limit.
        It may add ``log_limit``, ``policy``, ``idle_age`` and ``absolute_age``: each
        as the setting of that name. Ages hold for the session that signs in.
"""

session_entering: Final = Signal()
"""A login is about to take its place. History writes its row here, before the
session can be ended by another login.

Arguments:
    sender: the session store's class.
    user_id (str), session_id (str).
    context (expire_sessions.context.Context): ``ip`` and ``user_agent`` of the login
        and ``by``, the user's id: who did it. All None for a login without a request.
"""

session_started: Final = Signal()
"""A login has its place.

Arguments:
    sender, user_id, session_id, context: as for ``session_entering``; ``limits`` of the
        context are what ``expire_check`` answered.
    live (frozenset[str] or None): the ids of all live sessions of the user in
        that instant, this one among them; None where there are too many to list.
    concurrent (bool or None): the account was live at another IP address or on another
        device when this login came. None where that is not known: a login without a
        request, or a history that does not answer.
    new_device (bool or None): none of the account's last 50 logins came from such a
        device ("Firefox on Linux"). None where that is not known, or it has no other.
    failures (int or None): sign-ins of this account that failed since the last one.
"""

session_refused: Final = Signal()
"""A login found no free place, under the policies ``refuse`` and ``ask``. Nobody was
signed in.

Arguments:
    sender, user_id, session_id, context: as for ``session_started``. The id is that of
        the row in the history, which has ended.
    concurrent, new_device, failures: as for ``session_started``. The failures wait for
        the login that finds a place: they are told to it, too.
"""

session_rotated: Final = Signal()
"""A session goes on under a new key (password change, a new SECRET_KEY).

Arguments:
    sender: the session store's class.
    user_id (str), session_id (str): the new id.
    previous_id (str): the id until now.
"""

session_ended: Final = Signal()
"""A session is no longer usable.

Arguments:
    sender: the session store's class, ``UserSessions``, or ``LoggedSession`` where the
        history ended again a session that a failover had brought back.
    user_id (str or None): None where a key was deleted whose owner is not known.
    session_id (str).
    reason (expire_sessions.reasons.EndReason).
    context (expire_sessions.context.Context): ``ip`` and ``user_agent`` of the login
        that caused it, or of the logout; ``by``, the id of the user who did it: the one
        whose login or logout it was, or who was signed in with the request that ended
        it, as an administrator is. Each None where it is not known, or where nobody
        did: an age has passed. ``limits`` where ``expire_check`` was asked.

A login that was refused ends, too, with that reason: its row was written before. An end
may be told twice, where two requests found it.
"""

sessions_ended: Final = Signal()
"""The same, told once for all sessions that ended together: what writes records listens
to this one, for a lowered limit can end thousands. Sent before ``session_ended``.

Arguments:
    sender, reason, context: as for ``session_ended``.
    ended (tuple[expire_sessions.endings.Ended, ...]): the sessions.
"""

sessions_swept: Final = Signal()
"""``clearsessions`` has dropped the dead members of some indexes. Sent for every few
hundred sessions, and once at the end with ``live`` as None: what keeps records can then
look at those that were in no index.

Arguments:
    sender: the session store's class.
    live (tuple[expire_sessions.endings.Live, ...] or None): those that are live.
"""


def superuser_handler(
    sender: Any, settings: MutableMapping[str, Any], **kwargs: object
) -> None:
    """Give superusers no limit. Not connected: ``expire_check.connect(...)`` does it.

    It looks at the user, which costs one query where the user is not known yet.
    """
    if sender.is_superuser:
        settings["max_users"] = 0
