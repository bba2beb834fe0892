"""What is done once in a while, and not at every request."""

import time

__all__ = ["Occasion", "Pause"]


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


class Pause:
    """Lasts so many seconds from when it began last, in each process."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0

    def begin(self) -> None:
        """Begin now."""
        self._until = time.monotonic() + self._seconds

    def end(self) -> None:
        """Let it be over: for tests."""
        self._until = 0.0

    def lasts(self) -> bool:
        """Tell whether it is not over."""
        return self._until > 0 and time.monotonic() < self._until
