"""What sessions take of Redis's memory, and what it costs to have many of them.

Memory: see ``memory``. Growth: a server for each size, all up at once, each with that
many sessions of a fifth as many users; loads and saves of sessions drawn by lot from
all of them, in turns, so that a size is compared with another in the same moment. The
smallest is there twice, which tells the noise. No user is above the limit
(EXPIRE_MAX_USERS is 5), and loads mark nothing seen (EXPIRE_TOUCH_INTERVAL is None).

On its own: ``python -m tests.benchmarks --only growth``.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from redis import Redis

from example_project.redis_server import RedisServer
from tests.benchmarks.growth_report import AGAIN, lines, targets
from tests.benchmarks.growth_settings import VARIABLE
from tests.benchmarks.machine import server_version

__all__ = ["lines", "measure", "targets"]

SIZES = [10_000, 1_000_000, 5_000_000]
ROUNDS = 12
LIMIT_SECONDS = 3600


def measure(program: str, sizes: Sequence[int], rounds: int) -> dict[str, Any]:
    """Measure with servers of this program; return what can be written as JSON."""
    aliases = {f"{size}": size for size in sorted(sizes)}
    aliases[AGAIN] = min(sizes)
    with ExitStack() as stack:
        urls = {
            alias: stack.enter_context(RedisServer(program)).url
            for alias in ("default", *aliases)
        }
        found = _ask(urls, str(rounds), json.dumps(aliases))
        found["memory"]["server"] = _server(urls["default"])
    return found


def _ask(urls: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """Let a process of its own, with Django set up, measure on these servers."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.growth_worker", *arguments],
        check=True,
        timeout=LIMIT_SECONDS,
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.growth_settings",
            VARIABLE: json.dumps(urls),
        },
        start_new_session=True,  # Ctrl-C is for this process, which ends that one
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _server(url: str) -> str:
    with Redis.from_url(url) as client:
        info: Any = client.info()
    return f"{server_version(info)}, {info['mem_allocator']}"
