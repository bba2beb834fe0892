"""Keep a test run out of the Redis that a site uses.

A test signs user 1 in. In the Redis of the development site, or of a colleague, that
ends the sessions of its user 1, for both have the same names there. So the engine does
not connect in a test run, unless the keys of its sessions say that they are of tests.
"""

import re
import sys
from typing import Final

from expire_sessions.exceptions import InvalidSetup

__all__ = ["is_test_run", "refuse_shared_redis"]

FOR_TESTS: Final = re.compile(r"(?:^|[^a-z])tests?(?![a-z])", re.IGNORECASE)
"""The word test in a KEY_PREFIX. "latest" and "attestation" do not hold it."""

is_armed: bool = True
"""The tests of this package have a Redis of their own and try every KEY_PREFIX."""


def refuse_shared_redis(alias: str, key_prefix: str) -> None:
    """Let a test run keep sessions only under names that are of tests.

    Asked once for each connection of a process, not for each session. No round trip.

    Raises:
        InvalidSetup: this is a test run, and ``KEY_PREFIX`` is without the word test.
    """
    if is_armed and is_test_run() and not FOR_TESTS.search(key_prefix):
        raise InvalidSetup(
            "This is a test run, and its sessions would go into the Redis of the cache"
            f" {alias!r}, where they end those of whoever else uses it. Give the tests"
            ' a Redis of their own: TEST_RUNNER = "expire_sessions.testing.runner.'
            'OwnRedisRunner" in the settings, or for pytest pytest_plugins ='
            ' ["expire_sessions.testing.plugin"] in the conftest.py at the top. If this'
            " Redis is for nothing but tests, give the cache a KEY_PREFIX with the word"
            ' test in it. README: "Testing your project".'
        )


def is_test_run() -> bool:
    """Tell whether Django's ``setup_test_environment`` is in force.

    Every test runner for Django calls it. Of what it leaves behind this mark alone is
    only there in a test run: ``mail.outbox`` is also made by a site that sends its mail
    into memory. Nothing is imported for it: outside of a test run nothing of
    ``django.test`` need be there.
    """
    state = getattr(sys.modules.get("django.test.utils"), "_TestState", None)
    return hasattr(state, "saved_data")
