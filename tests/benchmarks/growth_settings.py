"""The project in which memory and growth are measured."""

import os

__all__ = ["VARIABLE"]

VARIABLE = "EXPIRE_SESSIONS_GROWTH"
"""Names the environment variable that holds the address of the process's Redis."""

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
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": os.environ.get(VARIABLE, ""),
        "OPTIONS": {"SERIALIZER": "django_redis.serializers.json.JSONSerializer"},
    }
}
SESSION_ENGINE = "expire_sessions.backend"
# As many as each user has: the limit is looked at, and nobody is above it.
EXPIRE_MAX_USERS = 5
# Longer than any run: a session that the process has seen stays so.
EXPIRE_TOUCH_INTERVAL = 86400
LOGGING_CONFIG = None
