"""The system checks. None of them raises, and only ``--deploy`` asks the server.

==== =======================================================================
E001 the app is not in ``INSTALLED_APPS`` (in ``installed``)
E002 a setting of this app is set, and ``SESSION_ENGINE`` is another engine
E003 ``SESSION_ENGINE`` cannot be imported
E01x a setting has a wrong value (which: in the table of ``conf``)
W016 a setting has nearly the name of one of this app
E021 the session cache cannot hold sessions
E022 the session cache's ``KEY_FUNCTION`` cannot be used
W023 the session cache uses pickle
W024 the session cache has no ``KEY_PREFIX`` (``--deploy``)
W025 the session cache is the general cache (``--deploy``)
W026 another cache is in the same Redis database (``--deploy``)
W031 the server may evict sessions (``--deploy``)
W032 the server keeps nothing on disk (``--deploy``)
E033 the server is too old (``--deploy``)
W034 ``IGNORE_EXCEPTIONS`` is set (``--deploy``)
W035 the server could not be asked (``--deploy``)
E036 the server refuses something that sessions need (``--deploy``)
W037 the session cache has no time-out of its own (``--deploy``)
W038 its sentinels have none of their own (``--deploy``)
W039 an operation may wait for longer than a web server does (``--deploy``)
W040 the server has replicas and does not wait for them (``--deploy``)
E046 the policy is "ask", and the middleware that asks is missing
E047 the policy is "ask", and the page on which people choose has no address
W048 the policy is "refuse", and who is refused sees no page that says why
W041 the table of the login history is missing or old (``--database``)
W049 the idle age is shorter than the touch interval
W050 a setting allows more than the preset
W051 the idle age is longer than another age, which ends sessions before
==== =======================================================================
"""

from django.core import checks

from expire_sessions.checks.ages import check_ages
from expire_sessions.checks.cache import check_cache, check_deployed_cache
from expire_sessions.checks.database import check_table
from expire_sessions.checks.engine import check_engine
from expire_sessions.checks.names import check_settings
from expire_sessions.checks.policy import check_policy
from expire_sessions.checks.server import check_server

__all__ = [
    "check_ages",
    "check_cache",
    "check_deployed_cache",
    "check_engine",
    "check_policy",
    "check_server",
    "check_settings",
    "check_table",
    "register",
]


def register() -> None:
    """Register the checks of this package with Django."""
    checks.register(check_engine)
    checks.register(check_settings)
    checks.register(check_ages)
    checks.register(check_policy)
    checks.register(check_cache, checks.Tags.caches)
    checks.register(check_deployed_cache, checks.Tags.caches, deploy=True)
    checks.register(check_server, checks.Tags.caches, deploy=True)
    checks.register(check_table, checks.Tags.database)
