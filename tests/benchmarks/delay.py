"""How much longer a round trip takes through a proxy, and setting it right."""

import statistics
import time

from tests.benchmarks.floors import connect, packed
from tests.benchmarks.processes import ProxyProcess

__all__ = ["set_delay"]

PINGS = 300

TRIES = 5
NEAR_SECONDS = 10e-6


def set_delay(proxy: ProxyProcess, url: str, seconds: float) -> float:
    """Let the proxy add so much to a round trip; return what it adds, by PING.

    Passing on takes time of its own, and nobody sleeps for exactly as long as asked.
    """
    delay = added = seconds
    for _ in range(TRIES):
        proxy.traffic(delay=delay)
        added = _ping(proxy.url) - _ping(url)
        if abs(added - seconds) < NEAR_SECONDS:
            break
        delay = max(1e-6, delay + seconds - added)
    return added


def _ping(url: str) -> float:
    ping = packed("PING")
    with connect(url) as raw:
        times = []
        for _ in range(PINGS):
            begin = time.perf_counter()
            raw.sendall(ping)
            raw.recv(64)
            times.append(time.perf_counter() - begin)
    return statistics.median(times)
