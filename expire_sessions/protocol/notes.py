"""The notes that rotations leave for a minute: where a session went, whence it came.

``follow.lua`` reads them where a session is ended or rotated; this reads them for who
keeps records by session id.
"""

import json
from collections.abc import Collection, Iterator
from typing import Any

from expire_sessions.protocol.asking import Command, Steps, ask, together
from expire_sessions.protocol.keys import Keys
from expire_sessions.protocol.session_keys import session_id

__all__ = ["moved_note", "origins", "successors"]


def moved_note(keys: Keys, session_key: str, user_id: str) -> str:
    """Return what follow.lua needs to find a session that has this key now."""
    name = session_id(session_key)
    return json.dumps(
        {
            "key": session_key,
            "id": name,
            "payload": keys.payload(session_key),
            "moved": keys.moved(name),
            "life": keys.life(session_key),
            "index": keys.index(user_id),
        }
    )


def successors(keys: Keys, session_ids: Collection[str]) -> Steps[dict[str, list[str]]]:
    """Return the ids that rotations of this minute gave to sessions, latest last.

    One round trip, and one more for each time that one of them moved again.
    """
    moves: dict[str, str] = {}
    ids = list(session_ids)
    while ids:
        notes = (yield from _notes(keys, ids)).items()
        found = {old: note["id"] for old, note in notes if "id" in note}
        moves |= found
        ids = [name for name in found.values() if name not in moves]
    return {old: list(_way(moves, old)) for old in moves}


def origins(keys: Keys, session_ids: Collection[str]) -> Steps[dict[str, list[str]]]:
    """Return the ids that sessions had before rotations of this minute.

    The oldest first. One round trip.
    """
    notes = (yield from _notes(keys, session_ids)).items()
    return {name: note["from"] for name, note in notes if "from" in note}


def _notes(
    keys: Keys, session_ids: Collection[str]
) -> Steps[dict[str, dict[str, Any]]]:
    asked = together([Command[Any](("GET", keys.moved(name))) for name in session_ids])
    replies = zip(session_ids, (yield from ask(asked)), strict=True)
    return {name: json.loads(note) for name, note in replies if note}


def _way(moves: dict[str, str], name: str) -> Iterator[str]:
    while name in moves:
        name = moves[name]
        yield name
