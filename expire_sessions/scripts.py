"""The Lua scripts, and the cheapest safe way to run one."""

import hashlib
from importlib import resources
from typing import Any, Final

from redis.exceptions import NoScriptError

__all__ = ["REMOVE", "ROTATE", "SAVE", "Script"]


class Script:
    """One file of ``lua/``, run by its digest.

    Redis keeps scripts in memory only: after a restart, a failover or SCRIPT FLUSH
    it has forgotten them. EVALSHA with a fallback to EVAL heals that by itself, and
    costs one round trip whenever the script is known.
    """

    def __init__(self, name: str) -> None:
        path = resources.files(__package__) / "lua" / f"{name}.lua"
        self.name: Final = name
        self.source: Final = path.read_text(encoding="utf-8")
        # SHA-1 is how Redis names scripts; nothing secret hangs on it.
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


SAVE: Final = Script("save")
REMOVE: Final = Script("remove")
ROTATE: Final = Script("rotate")
