"""A witness of the race tests: atomic snapshots of Redis, compared with the rules."""

import threading
from types import TracebackType
from typing import Any, Self

from expire_sessions.protocol.keys import PAYLOAD
from expire_sessions.transport.connections import connection_for
from tests.asking import index_name, redis_client
from tests.workers import TRIED

SNAPSHOT = """
local found = {}
for _, key in ipairs(redis.call("SMEMBERS", KEYS[2])) do
  local payload = redis.call("EXISTS", ARGV[1] .. key .. ARGV[2])
  local member = redis.call("ZSCORE", KEYS[1], key) and 1 or 0
  if payload + member > 0 then table.insert(found, {key, payload, member}) end
end
return {found, redis.call("ZRANGE", KEYS[1], 0, -1)}
"""


class Checker:
    """Watch one user's sessions until the block ends; ``complaints`` says what broke.

    In every snapshot a session has both, payload and member, or neither; no more are
    live than the limit; none that was seen to end is there again.
    """

    def __init__(self, user_id: str, limit: int | None) -> None:
        connection = connection_for("default")
        self._client = redis_client()
        self._names = [index_name(user_id), TRIED]
        self._frame = connection.keys.affixes(PAYLOAD)
        self._limit = limit
        self._live: set[bytes] = set()
        self._ended: set[bytes] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.complaints: list[str] = []
        self.snapshots = 0

    def look(self) -> set[bytes]:
        """Take one snapshot, judge it, and return the live session keys."""
        arguments: list[Any] = [*self._names, *self._frame]
        found, members = self._client.eval(SNAPSHOT, 2, *arguments)
        live = {key for key, payload, _ in found if payload}
        self._expect(live == set(members), "payloads and members are not the same")
        self._expect(not live & self._ended, "an ended session came back")
        if self._limit:
            self._expect(len(live) <= self._limit, f"{len(live)} sessions are live")
        self._ended |= self._live - live
        self._live = live
        self.snapshots += 1
        return live

    def _expect(self, holds: bool, complaint: str) -> None:
        if not holds:
            self.complaints.append(complaint)

    def _watch(self) -> None:
        while not self._done.is_set():
            self.look()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        self.look()
