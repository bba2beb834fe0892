"""The protocol: what each operation on one session asks, and what its reply says.

Every function here returns one command, which is one round trip. What asks for more is
in ``listing`` and ``bulk``.
"""

from collections.abc import Collection
from functools import partial
from typing import Any, Final

from expire_sessions.protocol.asking import Batch, Command, scripted, together
from expire_sessions.protocol.keys import PAYLOAD, Keys
from expire_sessions.protocol.notes import moved_note
from expire_sessions.protocol.replies import (
    Loaded,
    Mode,
    Removed,
    Saved,
    read_loaded,
    read_removed,
    read_rotated,
    read_saved,
    read_unmarked,
)
from expire_sessions.protocol.scripts import LOAD, REMOVE, ROTATE, SAVE
from expire_sessions.protocol.session_keys import session_id

__all__ = [
    "exists",
    "load",
    "place",
    "read",
    "remove",
    "remove_many",
    "rotate",
    "save",
]

A_MARK_SERVES: Final = 0.1
"""The part of the touch interval for which a mark by another process will do. The page
that sends ten requests to as many processes has its session marked once."""

NEVER: Final = 10**16 - 1
"""Microseconds: any mark is younger."""


def read(keys: Keys, session_key: str) -> Command[Loaded]:
    """Read a session."""
    return Command(("GET", keys.payload(session_key)), Loaded)


def load(keys: Keys, session_key: str, interval: float | None) -> Command[Loaded]:
    """Read a session and mark it seen, where the index of its user knows it.

    A server that lets writes wait (``CLIENT PAUSE``, a failover) lets every script
    wait. So where nobody answers, the session is read without a mark.

    Args:
        interval: seconds between two marks; None: it is not marked, only looked for.
    """
    name = keys.payload(session_key)
    serves = NEVER if interval is None else int(interval * 1_000_000 * A_MARK_SERVES)
    affixes = keys.packed_affixes(serves)
    words = ("EVALSHA", LOAD.digest, 1, name, session_key, *affixes)
    return Command(words, read_loaded, LOAD, partial(_read_unmarked, name))


def _read_unmarked(name: str) -> Command[Loaded]:
    return Command(("GET", name), read_unmarked)


def exists(keys: Keys, session_key: str) -> Command[bool]:
    """Tell whether the session is live."""
    return Command(("EXISTS", keys.payload(session_key)), bool)


def save(  # noqa: PLR0913 - what one round trip is to do
    keys: Keys,
    mode: Mode,
    session_key: str,
    *,
    user_id: str | None,
    payload: bytes = b"",
    age: int = 0,
) -> Command[int]:
    """Save a session that exists. It becomes the most recently seen of its user.

    No other session ends.

    Args:
        mode: UPDATE, or KEEP or JOIN, which write no payload.
        user_id: None for an anonymous session, which has no index.
        age: milliseconds the session lives from now on; 0, with KEEP and JOIN, leaves
            its age as it is.

    The reply: how many members the index has, to be compared with the limit (1 for an
    anonymous session, and for a JOIN that was none). 0 where the session is not live:
    nothing was changed.
    """
    names = [keys.payload(session_key)]
    if user_id is not None:
        names.append(keys.index(user_id))
    return scripted(SAVE, names, (mode, payload, age, session_key), int)


def place(  # noqa: PLR0913 - all that one round trip is to do
    keys: Keys,
    mode: Mode,
    session_key: str,
    *,
    call: str,
    user_id: str | None,
    payload: bytes = b"",
    age: int = 0,
    limit: int = 0,
    entering: bool = False,
) -> Command[Saved]:
    """Save a session and keep its user's sessions at the limit, atomically.

    Of the other sessions the least recently seen end that are too many, about a
    thousand at most: see ``Saved.more``.

    Args:
        mode, user_id, payload, age: as for ``save``; or NEW.
        call: a name for this call: repeated under the same name, because the reply was
            lost, it changes nothing more and tells what its first run did.
        limit: how many sessions may be live; 0: no limit.
        entering: a login takes its place: ``Saved.live`` is wanted.
    """
    names = [keys.payload(session_key), keys.made(session_key)]
    if user_id is not None:
        names.append(keys.index(user_id))
    head, tail = keys.affixes(PAYLOAD)
    arguments = (mode, payload, age, session_key, call, limit, head, tail)
    return scripted(SAVE, names, (*arguments, int(entering)), read_saved)


def remove(
    keys: Keys, session_key: str, user_id: str | None, call: str
) -> Command[Removed]:
    """End a session, wherever rotations have moved it.

    Args:
        user_id: None where it is anonymous, or its user is not known.
        call: as for ``place``.
    """
    name = session_id(session_key)
    names = [keys.payload(session_key), keys.moved(name), keys.ended(name)]
    if user_id is not None:
        names.append(keys.index(user_id))
    return scripted(REMOVE, names, (session_key, call), partial(read_removed, keys))


def remove_many(
    keys: Keys, user_id: str, calls: Collection[tuple[str, str]]
) -> Batch[list[Removed]]:
    """End several sessions of a user: the key and the name of the call of each."""
    return together([remove(keys, key, user_id, call) for key, call in calls])


def rotate(  # noqa: PLR0913 - where from, where to, and what
    keys: Keys, old: str, new: str, *, user_id: str | None, payload: bytes, age: int
) -> Command[tuple[str, bytes] | None]:
    """Move a session from its ``old`` key to a ``new`` one.

    The reply: the session key and the payload that it has now, ``new`` and ``payload``
    or those that a faster rotation gave it; None where it has ended. An anonymous
    session always gets ``new``.
    """
    names = [keys.payload(old), keys.payload(new), keys.moved(session_id(old))]
    arguments: list[Any] = [old, new, payload, age]
    if user_id is not None:
        names += [keys.moved(session_id(new)), keys.index(user_id)]
        arguments += [moved_note(keys, new, user_id), session_id(old)]
    return scripted(ROTATE, names, arguments, partial(read_rotated, payload))
