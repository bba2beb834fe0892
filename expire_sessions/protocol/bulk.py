"""Many sessions at once, for the commands that move sessions in."""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from expire_sessions.protocol.asking import Batch, Command, Steps, ask, together
from expire_sessions.protocol.commands import save
from expire_sessions.protocol.keys import Keys
from expire_sessions.protocol.listing import BATCH
from expire_sessions.protocol.lives import NO_AGES, Ages
from expire_sessions.protocol.members import read_score
from expire_sessions.protocol.modes import Mode

__all__ = ["Stored", "join", "payload_page", "read_many", "seen", "size", "store_many"]


class Stored(NamedTuple):
    """A session to be written as it is."""

    session_key: str
    payload: bytes
    age: int
    """Milliseconds."""


def join(
    keys: Keys, sessions: Collection[tuple[str, str]], ages: Ages = NO_AGES
) -> Steps[list[tuple[str, str]]]:
    """Let sessions join the index of their user. One round trip for all.

    Args:
        sessions: user id and session key of each. One that has ended, or is a member,
            is left as it is.
        ages: what they take on, where they have none.

    Returns:
        Those that are live.
    """
    joins = [
        save(keys, Mode.JOIN, key, user_id=user_id, ages=ages)
        for user_id, key in sessions
    ]
    replies = zip(sessions, (yield from ask(together(joins))), strict=True)
    return [session for session, kept in replies if kept.members]


def seen(keys: Keys, sessions: Iterable[tuple[str, str]]) -> Batch[list[int]]:
    """Return when sessions were last seen, each a user id and a session key.

    0 where it is in no index. One round trip.
    """
    return together(
        [
            Command(("ZSCORE", keys.index(user_id), key), read_score)
            for user_id, key in sessions
        ]
    )


def payload_page(keys: Keys, cursor: int) -> Command[tuple[int, list[str]]]:
    """Return where to go on (0: the end), and some session keys with a payload."""

    def found(reply: Any) -> tuple[int, list[str]]:
        following, names = reply
        return int(following), [keys.session_key(name.decode()) for name in names]

    return Command(("SCAN", cursor, "MATCH", keys.every_payload, "COUNT", BATCH), found)


def read_many(keys: Keys, session_keys: Iterable[str]) -> Batch[list[bytes | None]]:
    """Return their payloads; None where there is none."""

    def payloads(replies: list[Any]) -> list[bytes | None]:
        # A key of another type is no payload.
        return [None if isinstance(reply, Exception) else reply for reply in replies]

    commands: list[Command[bytes]] = [
        Command(("GET", keys.payload(key))) for key in session_keys
    ]
    return Batch(commands, payloads)


def store_many(keys: Keys, sessions: Iterable[Stored]) -> Batch[list[Any]]:
    """Write payloads; one that exists stays as it is."""
    return together(
        [
            Command[Any](("SET", keys.payload(key), payload, "PX", age, "NX"))
            for key, payload, age in sessions
        ]
    )


def size() -> Command[int]:
    """Return how many keys the database of this cache has."""
    return Command(("DBSIZE",), int)
