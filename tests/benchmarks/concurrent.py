"""Many loads at once on one event loop."""

import asyncio
from itertools import cycle, islice

from asgiref.sync import ThreadSensitiveContext

from tests.benchmarks.operations import Operation

__all__ = ["AT_ONCE", "OPERATIONS"]

AT_ONCE = 200


class Loads(Operation):
    """Load 200 sessions, each in a task and a context as of a request of its own.

    Django's ASGIHandler opens such a context for each request: what is sync in it runs
    in a thread of the request, which is started for it.
    """

    def prepare(self) -> None:
        self.keys = list(islice(cycle(self.site.kept()), AT_ONCE))
        self.runner = asyncio.Runner()
        self.run(1)

    def run(self, times: int) -> None:
        for _ in range(times):
            self.loaded = self.runner.run(self._all())

    def check(self) -> None:
        assert all("_auth_user_id" in data for data in self.loaded)

    def close(self) -> None:
        self.runner.close()

    async def _all(self) -> list[dict[str, object]]:
        return await asyncio.gather(*map(self._one, self.keys))

    async def _one(self, key: str) -> dict[str, object]:
        async with ThreadSensitiveContext():
            data: dict[str, object] = await self.site.store(key).aload()
            return data


OPERATIONS = {"async.load": Loads}
