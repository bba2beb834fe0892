"""The sentinels of a pool, and keeping all of them.

redis-py puts the sentinel that has answered first, by swapping two places of a list.
Where two connections are made at once both swap, and a sentinel can be lost: another
then stands there twice. It would be asked no more, and its connections never closed.
"""

import inspect
from copy import copy
from typing import Any

__all__ = ["keep_all", "sentinels_of"]


def sentinels_of(pool: Any) -> list[Any]:
    """Return the clients that ask the sentinels; none where there is one server."""
    manager = getattr(pool, "sentinel_manager", None)
    return list(getattr(manager, "sentinels", ()))


def keep_all(pool: Any) -> None:
    """Let whoever asks the sentinels of a pool swap in a list of its own."""
    manager = getattr(pool, "sentinel_manager", None)
    if manager is None:
        return
    discover = type(manager).discover_master

    def ask(name: str) -> Any:
        own = _own(manager)
        found = discover(own, name)
        manager.sentinels = own.sentinels
        return found

    async def aask(name: str) -> Any:
        own = _own(manager)
        found = await discover(own, name)
        manager.sentinels = own.sentinels
        return found

    manager.discover_master = aask if inspect.iscoroutinefunction(discover) else ask


def _own(manager: Any) -> Any:
    own = copy(manager)
    own.sentinels = list(manager.sentinels)
    return own
