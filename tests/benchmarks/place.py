"""Where a process of the benchmark finds its contender, Redis and database."""

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

__all__ = ["AGENT", "Place"]

VARIABLE = "EXPIRE_SESSIONS_BENCHMARK"

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
"""The browser that makes every request."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a process is told through its environment."""

    contender: str
    prefix: str
    """Of its keys in Redis; as long for each contender."""

    redis: str
    database: dict[str, Any]
    sessions: int
    """With so many, of as many users, it makes its requests."""

    @classmethod
    def from_environment(cls) -> Self:
        """Return what the parent has written."""
        return cls(**json.loads(os.environ[VARIABLE]))

    def environment(self) -> dict[str, str]:
        """Return the environment for a process."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
            VARIABLE: json.dumps(asdict(self)),
        }

    def with_redis(self, url: str) -> Self:
        """Return the same with another way to Redis."""
        return replace(self, redis=url)

    def with_database(self, **changes: str) -> Self:
        """Return the same with another way to the database."""
        return replace(self, database={**self.database, **changes})
