"""The Lua scripts. Redis runs one by its digest, once it has seen its text."""

import hashlib
from importlib import resources
from typing import Final

__all__ = ["LOAD", "REMOVE", "ROTATE", "SAVE", "Script"]


class Script:
    """One file of ``lua/``, with the parts that it shares with others before it."""

    def __init__(self, name: str, *parts: str) -> None:
        lua = resources.files("expire_sessions.protocol") / "lua"
        files = [lua / f"{part}.lua" for part in (*parts, name)]
        self.name: Final = name
        self.source: Final = "".join(file.read_text(encoding="utf-8") for file in files)
        # Redis names scripts by SHA-1. It protects nothing.
        self.digest: Final = hashlib.sha1(
            self.source.encode(), usedforsecurity=False
        ).hexdigest()


LOAD: Final = Script("load", "life")
SAVE: Final = Script("save", "life", "notice")
REMOVE: Final = Script("remove", "follow", "notice")
ROTATE: Final = Script("rotate", "follow", "life")
