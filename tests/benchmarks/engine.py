"""What the benchmark knows of the engine beside its public surface: its keys in Redis.

Sessions are written past the engine by the million, and so by these names. ``memory``
proves that the engine writes the same. Payloads are Django's own: what is here of them
holds for its cache engine too.
"""

from dataclasses import dataclass
from typing import Any, Self

from django.contrib.sessions.backends.cache import KEY_PREFIX
from django.core.cache import caches

from expire_sessions.protocol.session_keys import session_id

__all__ = ["Keyspace", "session_id"]


@dataclass(frozen=True, slots=True)
class Keyspace:
    """One cache alias: a client of its Redis, and the names of the keys there."""

    client: Any
    """redis-py's, as django-redis has set it up."""

    start: str
    """What the cache puts before each name."""

    cache_client: Any

    @classmethod
    def of(cls, alias: str) -> Self:
        """Return the one of a cache alias. Opens no connection yet."""
        cache: Any = caches.create_connection(alias)
        client = cache.client
        return cls(client.get_client(write=True), str(client.make_key("")), client)

    def payload(self, session_key: str) -> str:
        """Return the key of a session's data."""
        return f"{self.start}{KEY_PREFIX}{session_key}"

    def index(self, user_id: str) -> str:
        """Return the key of a user's index. The id needs no quoting."""
        return f"{self.start}expire_sessions:index:{user_id}"

    def made(self, session_key: str) -> str:
        """Return the key that names for a minute the call which made a session."""
        return f"{self.start}expire_sessions:made:{session_key}"

    def encode(self, data: dict[str, Any]) -> bytes:
        """Return a payload, as the cache has it."""
        found: bytes = self.cache_client.encode(data)
        return found

    def last_seen(self, user_id: str, session_key: str) -> float | None:
        """Return when a session was last seen, in microseconds of Redis's clock.

        None: it is not in the index of this user.
        """
        found: float | None = self.client.zscore(self.index(user_id), session_key)
        return found
