"""The index of one user, for who ends what is in it from outside."""

from collections.abc import Collection
from typing import Final

from expire_sessions.endings import Cause
from expire_sessions.flows.ending import end_all_of
from expire_sessions.flows.unfinished import Unfinished
from expire_sessions.protocol import listing, notes
from expire_sessions.protocol.members import Member
from expire_sessions.protocol.session_keys import session_id as name_of
from expire_sessions.transport.connections import session_connection
from expire_sessions.transport.running import run

__all__ = ["UserIndex"]

ROUNDS: Final = 3
"""Looks at a user's sessions until there is none left to end."""


class UserIndex:
    """The sessions of a user, by their keys.

    Called again on the same object, an end finds out what became of the one that had
    no answer. Every method raises ``StoreUnavailable`` where Redis does not answer.
    """

    def __init__(self, user_id: str, sender: type) -> None:
        self.user_id = user_id
        self._sender = sender
        self._connection = session_connection()
        self._unfinished = Unfinished()

    def newest(self, most: int) -> list[Member]:
        """Return the live sessions that were last seen. Two round trips."""
        newest = listing.newest(self._connection.keys, self.user_id, most)
        return run(self._connection, newest)

    def end_one(self, session_id: str, cause: Cause) -> bool:
        """End a session by its id, or by that which rotations have given it since."""
        for _ in range(ROUNDS):
            keys = self._keys()
            ids = [session_id, *self._moves_of(session_id)]
            wanted = [key for key in keys if name_of(key) in ids]
            if self._end(wanted, cause):
                return True
            if len(ids) == 1:
                break  # it is not on its way from one key to another
        return False

    def end_all_but(self, spared: Collection[str], cause: Cause) -> int:
        """End all sessions but those with these keys, wherever rotations move them.

        Returns:
            How many were live.
        """
        ended = 0
        for _ in range(ROUNDS):  # once more, for one that signed in in between
            keys = self._keys()
            # Read after the keys, so that it covers a rotation that they show.
            ids = self._ids_of(spared)
            unwanted = [key for key in keys if name_of(key) not in ids]
            if not unwanted:
                break
            ended += self._end(unwanted, cause)
        return ended

    def _keys(self) -> set[str]:
        known = listing.known(self._connection.keys, self.user_id)
        return {*run(self._connection, known), *self._unfinished.pending()}

    def _ids_of(self, keys: Collection[str]) -> list[str]:
        """Return the ids of sessions, also those that rotations gave them."""
        names = [name_of(key) for key in keys]
        return [*names, *(new for name in names for new in self._moves_of(name))]

    def _moves_of(self, session_id: str) -> list[str]:
        successors = notes.successors(self._connection.keys, [session_id])
        return run(self._connection, successors).get(session_id, [])

    def _end(self, keys: Collection[str], cause: Cause) -> int:
        ending = end_all_of(
            self._connection,
            self.user_id,
            keys,
            self._unfinished,
            sender=self._sender,
            cause=cause,
        )
        return run(self._connection, ending)
