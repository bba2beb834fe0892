"""For one class of tests: ``class LoginTests(OwnRedisMixin, TestCase)``."""

import unittest

from expire_sessions.testing.isolation import clear_sessions, own_redis

__all__ = ["OwnRedisMixin"]


class OwnRedisMixin(unittest.TestCase):
    """A ``TestCase`` whose sessions are on a Redis of its process, and gone after it.

    To be named before Django's ``TestCase``. Not needed under ``OwnRedisRunner``.
    """

    @classmethod
    def setUpClass(cls) -> None:
        """Change the cache before Django makes the data of the class."""
        cls.enterClassContext(own_redis())
        super().setUpClass()

    def run(
        self, result: unittest.TestResult | None = None
    ) -> unittest.TestResult | None:
        """Run the test, then forget its sessions."""
        self.addCleanup(clear_sessions)
        return super().run(result)
