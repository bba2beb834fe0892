"""What the tests ask Redis themselves: here alone they know how the package does it."""

from collections.abc import Callable, Collection
from typing import Any

from expire_sessions.protocol import commands, listing, reads
from expire_sessions.protocol.bulk import join
from expire_sessions.protocol.listing import Page
from expire_sessions.protocol.members import Member
from expire_sessions.protocol.modes import Mode
from expire_sessions.protocol.replies import Removed, Saved
from expire_sessions.transport.connections import Connection, connection_for
from expire_sessions.transport.running import Call, Flow, ask, run


class Index:
    """The operations of the protocol, each asked at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def read(self, session_key: str) -> bytes | None:
        """Return a payload."""
        return ask(self._connection, reads.read(self._keys, session_key)).payload

    def save(self, mode: Mode, session_key: str, **options: Any) -> int:
        """Return how many members the index has then."""
        command = commands.save(self._keys, mode, session_key, **options)
        return ask(self._connection, command).members

    def place(self, mode: Mode, session_key: str, **options: Any) -> Saved:
        """Save, and keep to the limit."""
        return ask(
            self._connection, commands.place(self._keys, mode, session_key, **options)
        )

    def join(self, sessions: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
        """Let sessions join their index."""
        return run(self._connection, join(self._keys, sessions))

    def remove(self, session_key: str, user_id: str | None, call: str) -> Removed:
        """End a session."""
        removal = commands.remove(self._keys, session_key, user_id, call)
        return ask(self._connection, removal)

    def rotate(self, old: str, new: str, **options: Any) -> tuple[str, bytes] | None:
        """Give a session another key."""
        return ask(self._connection, commands.rotate(self._keys, old, new, **options))

    def known(self, user_id: str) -> list[str]:
        """Return all members."""
        return run(self._connection, listing.known(self._keys, user_id))

    def newest(self, user_id: str, most: int) -> list[Member]:
        """Return the live sessions that were last seen."""
        return run(self._connection, listing.newest(self._keys, user_id, most))

    def members(self, user_ids: list[str]) -> list[list[Member]]:
        """Return the live sessions of users."""
        return run(self._connection, listing.members(self._keys, user_ids))

    def sweep(self) -> list[Page]:
        """Sweep every index."""
        pages: list[Page] = []

        def tell(page: Page) -> Flow[None]:
            note: Callable[[], None] = lambda: pages.append(page)  # noqa: E731
            yield Call(note)

        run(self._connection, listing.sweep(self._keys, tell))
        return pages


def redis_client(alias: str = "default") -> Any:
    """Return the client that sessions go through."""
    return connection_for(alias).client


def hang_up() -> None:
    """Close the connections to a server that is used no more."""
    redis_client().connection_pool.disconnect()


def index(alias: str = "default") -> Index:
    """Return the index of all users."""
    return Index(connection_for(alias))


def id_of(user: Any) -> str:
    """Return the id of a user, or of a user's id, as the session holds it."""
    return user if isinstance(user, str) else str(user._meta.pk.value_to_string(user))


def index_name(user: Any, alias: str = "default") -> str:
    """Name the Redis key of the index of a user, or of a user's id."""
    return connection_for(alias).keys.index(id_of(user))


def payload_name(session_key: str | None) -> str:
    """Name the Redis key of a session's payload."""
    return connection_for("default").keys.payload(str(session_key))


def payload_of(session_key: str | None) -> Any:
    """Return a session's payload as bytes; None where there is none."""
    return redis_client().get(payload_name(session_key))


def put_payload(session_key: str | None, payload: bytes) -> None:
    """Put something in the place of a session's payload."""
    redis_client().set(payload_name(session_key), payload, ex=60)


def lose_payload(*session_keys: str | None) -> None:
    """Let the payloads of sessions expire."""
    redis_client().delete(*map(payload_name, session_keys))


def lose_index(user: Any) -> None:
    """Let a user's index expire."""
    redis_client().delete(index_name(user))


def add_members(user: Any, stamps: dict[str, float]) -> None:
    """Write session keys into a user's index, each with when it was last seen."""
    redis_client().zadd(index_name(user), stamps)


def members(user: Any) -> list[str]:
    """Return the session keys in a user's index, live or not, last seen last."""
    return [key.decode() for key in redis_client().zrange(index_name(user), 0, -1)]


def live_keys(user: Any, alias: str = "default") -> list[str]:
    """Return the session keys of a user that are live, last seen last."""
    (found,) = index(alias).members([id_of(user)])
    return [member.session_key for member in found]
