"""Many loads at once on one event loop."""

import asyncio
from itertools import cycle, islice

from tests.benchmarks.operations import Operation

__all__ = ["OPERATIONS"]

AT_ONCE = 200


class Loads(Operation):
    """Load 200 sessions, each with a store and a task of its own."""

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
        data: dict[str, object] = await self.site.store(key).aload()
        return data


OPERATIONS = {"async.load": Loads}
