"""The Lua scripts, and the cheapest safe way to run one."""

import hashlib
from collections.abc import Iterable
from importlib import resources
from typing import Any, Final

from redis.exceptions import NoScriptError

__all__ = ["REMOVE", "ROTATE", "SAVE", "Script"]


Keys = list[str]
Arguments = list[Any]


class Script:
    """One file of ``lua/``, run by its digest.

    Redis keeps scripts in memory only: after a restart, a failover or SCRIPT FLUSH
    it has forgotten them. EVALSHA with a fallback to EVAL heals that by itself, and
    costs one round trip whenever the script is known.
    """

    def __init__(self, name: str, *parts: str) -> None:
        """Read the script, with the ``parts`` that it shares with others before it."""
        lua = resources.files("expire_sessions") / "lua"
        files = [lua / f"{part}.lua" for part in (*parts, name)]
        self.name: Final = name
        self.source: Final = "".join(file.read_text(encoding="utf-8") for file in files)
        # Redis names scripts by SHA-1. It protects nothing.
        self.digest: Final = hashlib.sha1(
            self.source.encode(), usedforsecurity=False
        ).hexdigest()

    def run(self, client: Any, keys: list[str], arguments: list[Any]) -> Any:
        """Run the script and return its reply. One round trip, two if forgotten.

        Raises:
            redis.exceptions.RedisError: as redis-py raises it.
        """
        try:
            return client.execute_command(
                "EVALSHA", self.digest, len(keys), *keys, *arguments
            )
        except NoScriptError:
            return client.execute_command(
                "EVAL", self.source, len(keys), *keys, *arguments
            )

    def run_many(
        self, client: Any, calls: Iterable[tuple[Keys, Arguments]]
    ) -> list[Any]:
        """Run the script once for each of the calls. One round trip, two if forgotten.

        An error among the replies stands in its place.

        Raises:
            redis.exceptions.RedisError: the connection failed.
        """
        pending = list(calls)
        replies = self._send_many(client, "EVALSHA", self.digest, pending)
        forgotten = [n for n, r in enumerate(replies) if isinstance(r, NoScriptError)]
        again = [pending[n] for n in forgotten]
        fresh = self._send_many(client, "EVAL", self.source, again) if again else []
        for n, reply in zip(forgotten, fresh, strict=True):
            replies[n] = reply
        return replies

    @staticmethod
    def _send_many(
        client: Any, command: str, script: str, calls: list[tuple[Keys, Arguments]]
    ) -> list[Any]:
        pipeline = client.pipeline(transaction=False)
        for keys, arguments in calls:
            pipeline.execute_command(command, script, len(keys), *keys, *arguments)
        replies: list[Any] = pipeline.execute(raise_on_error=False)
        return replies


SAVE: Final = Script("save")
REMOVE: Final = Script("remove", "follow")
ROTATE: Final = Script("rotate", "follow")
