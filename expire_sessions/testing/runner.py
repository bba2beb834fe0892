"""For ``manage.py test``, with and without ``--parallel``.

``TEST_RUNNER = "expire_sessions.testing.runner.OwnRedisRunner"``
"""

from contextlib import ExitStack
from typing import Any, Final

from django.test import runner, utils

from expire_sessions.testing.isolation import (
    clear_sessions,
    own_redis,
    start_over_in_worker,
)

__all__ = ["OwnRedisParallelSuite", "OwnRedisRunner"]

_while_the_worker_lives: Final = ExitStack()


def _init_worker(*args: Any, **kwargs: Any) -> None:
    """Begin a process of ``--parallel``."""
    runner._init_worker(*args, **kwargs)  # type: ignore[attr-defined] # noqa: SLF001 - no public name; its suite has it to be replaced
    start_over_in_worker()
    # A spawned worker has read the settings anew; a forked one is in it already.
    _while_the_worker_lives.enter_context(own_redis())


class OwnRedisParallelSuite(runner.ParallelTestSuite):
    """Gives each process of ``--parallel`` a server of its own."""

    init_worker = _init_worker


class OwnRedisRunner(runner.DiscoverRunner):
    """Django's own test runner, with a Redis for each process.

    With a runner of yours: ``class Runner(OwnRedisRunner, YourRunner)``. One with a
    ``parallel_test_suite`` of its own has to do there what ``init_worker`` does here.
    """

    parallel_test_suite = OwnRedisParallelSuite

    def setup_test_environment(self, **kwargs: Any) -> None:
        """Change the session cache before any test module is imported."""
        super().setup_test_environment(**kwargs)
        self._in_force = ExitStack()
        self._in_force.enter_context(own_redis())

    def teardown_test_environment(self, **kwargs: Any) -> None:
        """Change it back."""
        self._in_force.close()
        super().teardown_test_environment(**kwargs)

    def build_suite(self, *args: Any, **kwargs: Any) -> Any:
        """Let every test, wherever it will run, forget its sessions at its end."""
        suite = super().build_suite(*args, **kwargs)
        for test in utils.iter_test_cases(suite):  # type: ignore[attr-defined] # django-stubs leaves it out
            test.addCleanup(clear_sessions)
        return suite
