"""A Redis of its own for each process of a project's test run.

Without it the tests of a project sign people out of whichever site uses the same
Redis, and the processes of one run sign out each other's users. README: "Testing your
project".

=================== ==================================================================
for                 what
=================== ==================================================================
pytest              ``pytest_plugins = ["expire_sessions.testing.plugin"]``
``manage.py test``  ``TEST_RUNNER = "expire_sessions.testing.runner.OwnRedisRunner"``
one test class      ``expire_sessions.testing.OwnRedisMixin``
anything else       ``with expire_sessions.testing.own_redis(): ...``
=================== ==================================================================

All of them do the same: while they are in force, the session cache (the alias
``SESSION_CACHE_ALIAS``) is kept by a server that the process has started, which ends
with it. Every other cache stays as it is. After each test the server is empty again.
"""

from expire_sessions.testing.cases import OwnRedisMixin
from expire_sessions.testing.isolation import clear_sessions, own_redis

__all__ = ["OwnRedisMixin", "clear_sessions", "own_redis"]
