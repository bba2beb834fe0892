"""The project that each contender runs in: no more than it needs, the same for all."""

from tests.benchmarks.contenders import named
from tests.benchmarks.place import Place

_place = Place.from_environment()
_contender = named(_place.contender)

SECRET_KEY = "for benchmarks only, and long enough for every check"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    *_contender.apps,
]
MIDDLEWARE = [
    _contender.session_middleware,
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    *_contender.middleware,
]
# Tables straight from the models: the same ones, and much sooner.
MIGRATION_MODULES = {app.rpartition(".")[2]: None for app in INSTALLED_APPS}
ROOT_URLCONF = "tests.benchmarks.urls"
# Connections stay open, as a site that is measured would have it.
DATABASES = {"default": {**_place.database, "CONN_MAX_AGE": None}}
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": _place.redis,
        "KEY_PREFIX": _place.prefix,
        "OPTIONS": {
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            # 200 requests at once may have as many threads; redis-py stops at 100.
            "CONNECTION_POOL_KWARGS": {"max_connections": 500},
        },
    }
}
SESSION_ENGINE = _contender.engine
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING_CONFIG = None

globals().update(_contender.settings)
