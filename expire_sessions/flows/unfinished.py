"""The calls whose reply has not come yet."""

import secrets
from typing import Final

__all__ = ["END", "SAVE", "TRIM", "Unfinished", "new_call"]

# What a call does, for the name that it keeps until its reply has come.
SAVE: Final = "save"
TRIM: Final = "trim"
END: Final = "end "


class Unfinished:
    """Kept from unfinished calls so that Redis recognises the retry.

    A script that makes or ends something notes the name of the call, with what it did,
    for a minute. Sent again under the same name it changes nothing more, and tells what
    its first run did.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self.next_key: str | None = None
        """Where a rotation is under way to."""

        self.entered: str | None = None
        """Whose login was told of, without a place yet."""

    def name(self, what: str) -> str:
        """Return the name of the call that does this: the same until it is done."""
        return self._names.setdefault(what, new_call())

    def has(self, what: str) -> bool:
        """Tell whether such a call was made and its reply never came."""
        return what in self._names

    def done(self, what: str) -> None:
        """Note that the reply has come: the next call is another one."""
        self._names.pop(what, None)

    def pending(self) -> list[str]:
        """Return what was asked for and not answered."""
        return list(self._names)


def new_call() -> str:
    """Draw a name for a call."""
    return secrets.token_hex(8)
