"""What is worth a line in the log once in a while, and not at every request."""

import time

__all__ = ["Occasion"]


class Occasion:
    """Comes at most once in so many seconds, in each process."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def has_come(self) -> bool:
        """Tell whether it is time again; if so, the next time is ``seconds`` away."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True

    def reset(self) -> None:
        """Let it come at once: for tests."""
        self._next = 0.0
