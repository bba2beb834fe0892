"""Do the same thing in several threads at once, each on a connection of its own."""

import threading
from collections.abc import Callable

from django.db import connection


def all_at_once(call: Callable[[], object], count: int) -> list[Exception]:
    """Call it in so many threads, none before all are there; return what they raise."""
    barrier = threading.Barrier(count)
    errors: list[Exception] = []

    def run() -> None:
        try:
            barrier.wait()
            call()
        except Exception as error:  # noqa: BLE001 - told by the main thread
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors
