"""The members of an index, as RESP2 and RESP3 tell them."""

from typing import Any, NamedTuple

from expire_sessions.protocol.session_keys import SessionKey

__all__ = ["Member", "read_members", "read_scan", "read_score"]


class Member(NamedTuple):
    """A session in an index."""

    session_key: str
    seen: int
    """Microseconds since 1970 by the server's clock."""


def read_score(reply: Any) -> int:
    """Read a time in an index; 0 where there is none."""
    # Text in RESP2, a number in RESP3. A float holds microseconds exactly.
    return int(float(reply or 0))


def read_members(reply: Any) -> list[Member]:
    """Read members with scores: in a row (RESP2), or in pairs (RESP3)."""
    if reply and not isinstance(reply[0], (list, tuple)):
        in_a_row = iter(reply)
        reply = zip(in_a_row, in_a_row, strict=True)
    return [Member(SessionKey(key.decode()), read_score(score)) for key, score in reply]


def read_scan(reply: Any) -> tuple[int, list[Member]]:
    """Read where to go on, and the members found."""
    cursor, listed = reply
    return int(cursor), read_members(listed)
