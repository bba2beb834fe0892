"""What the scripts reply, in words of the protocol."""

from dataclasses import dataclass
from struct import Struct
from typing import Any, Final, NamedTuple

from expire_sessions.protocol.keys import Keys
from expire_sessions.protocol.lives import TOLD, Left, read_left
from expire_sessions.protocol.modes import Outcome
from expire_sessions.protocol.session_keys import SessionKey

__all__ = [
    "Kept",
    "Loaded",
    "Removed",
    "Saved",
    "read_kept",
    "read_loaded",
    "read_removed",
    "read_rotated",
    "read_saved",
    "read_unmarked",
]


COUNT: Final = Struct(">d")

UNANSWERED: Final = "it does not answer scripts"


class Loaded(NamedTuple):
    """What a load found."""

    payload: bytes | None
    """None where the session is not live."""

    members: int | None = None
    """How many the index has, in which the session was marked seen; 0 where it was
    not found there; None where nobody looked."""

    refusal: str | None = None
    """What Redis said where it takes no writes: the session was not marked."""

    left: Left | None = None
    """How long it may live; None where it has no ages, or nobody looked."""


class Kept(NamedTuple):
    """What a save without a name found."""

    members: int
    """How many the index has; 0: the session is not live."""

    left: Left | None = None
    """How long it may live; told where its ages were set."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a save has done to the user's other sessions (session keys)."""

    outcome: Outcome

    evicted: tuple[str, ...] = ()
    """Live ones that were too many: ended."""

    gone: tuple[str, ...] = ()
    """Members whose payload had expired: dropped from the index."""

    live: tuple[str, ...] | None = None
    """All that are live now, told to a login only; None: too many to list."""

    more: bool = False
    """There are more to end than one step may: call again."""

    left: Left | None = None
    """How long this one may live; None where it has no ages."""

    replaced: str | None = None
    """The session that this browser had signed in to just before: ended."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal found."""

    payload: bool
    """The session was live."""

    member: bool
    """The index knew it."""

    ids: tuple[str, ...] = ()
    """The ids that rotations had given it since, the latest last."""

    user_id: str | None = None
    """Whose it was; None where that is not known."""


def read_loaded(reply: Any) -> Loaded:
    """Read the reply of load.lua."""
    refusal = None
    if isinstance(reply, list):
        reply, refusal = reply[0], reply[1].decode()
    if reply is None:
        return Loaded(None)
    members, _, payload = reply.partition(b" ")
    if b":" not in members:
        return Loaded(payload, int(members), refusal)
    return _loaded_with_ages(reply, refusal)


def _loaded_with_ages(reply: bytes, refusal: str | None) -> Loaded:
    members, _, rest = reply.partition(b":")
    left = read_left(rest[: TOLD.size])
    return Loaded(rest[TOLD.size :], int(members), refusal, left)


def read_kept(reply: Any) -> Kept:
    """Read the reply of save.lua to a call without a name."""
    if isinstance(reply, int):
        return Kept(reply)
    (members,) = COUNT.unpack_from(reply)
    return Kept(int(members), read_left(reply[COUNT.size :]))


def read_unmarked(reply: Any) -> Loaded:
    """Read what was asked for because load.lua was not answered."""
    return Loaded(reply, None, UNANSWERED)


def read_saved(reply: Any) -> Saved:
    """Read the reply of save.lua to a call with a name."""
    if isinstance(reply, int):
        return Saved(Outcome(reply))
    outcome, evicted, gone, live, more, told, replaced = reply
    return Saved(
        outcome=Outcome(outcome),
        evicted=_keys(evicted),
        gone=_keys(gone),
        live=None if live is None else _keys(live),
        more=bool(more),
        left=read_left(told),
        replaced=SessionKey(replaced.decode()) or None,
    )


def _keys(reply: list[bytes]) -> tuple[SessionKey, ...]:
    return tuple(SessionKey(key.decode()) for key in reply)


def read_removed(keys: Keys, reply: Any) -> Removed:
    """Read the reply of remove.lua."""
    deleted, member, ids, index = reply
    return Removed(
        payload=bool(deleted),
        member=bool(member),
        ids=tuple(name.decode() for name in ids),
        user_id=None if index is None else keys.user_id(index.decode()),
    )


def read_rotated(payload: bytes, reply: Any) -> tuple[str, bytes] | None:
    """Read the reply of rotate.lua; ``payload`` is what it was given."""
    if reply is None:
        return None
    key, *others = reply
    return SessionKey(key.decode()), others[0] if others else payload
