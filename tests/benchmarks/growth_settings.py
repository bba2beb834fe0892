"""The project in which growth is measured: one cache, and one server, for each size."""

import json
import os

__all__ = ["VARIABLE"]

VARIABLE = "EXPIRE_SESSIONS_GROWTH"
"""Names the environment variable that holds the address for each cache alias."""

SECRET_KEY = "for benchmarks only, and long enough for every check"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "expire_sessions",
]
# For the history of the few sessions that are made by the engine itself.
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    alias: {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": url,
        "OPTIONS": {"SERIALIZER": "django_redis.serializers.json.JSONSerializer"},
    }
    for alias, url in json.loads(os.environ.get(VARIABLE, "{}")).items()
}
SESSION_ENGINE = "expire_sessions.backend"
# As many as each user has: the limit is looked at, and nobody is above it.
EXPIRE_MAX_USERS = 5
# A first look at a session in a minute is no ordinary load.
EXPIRE_TOUCH_INTERVAL = None
LOGGING_CONFIG = None
