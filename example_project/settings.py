"""The settings of the example site. The environment gives what differs by place.

====================== =============================== ==========================
variable               default                         meaning
====================== =============================== ==========================
``EXAMPLE_REDIS_URL``  ``redis://127.0.0.1:6379/0``    where the sessions are
``EXAMPLE_KEY_PREFIX`` ``example``                     before each key in Redis: two
                                                       sites with the same one sign
                                                       out each other's users
``EXAMPLE_DATABASE``   ``example_project/db.sqlite3``  the SQLite file
``EXAMPLE_SECRET_KEY`` known to everybody              Django's ``SECRET_KEY``
``EXAMPLE_MAX_USERS``  1                               ``EXPIRE_MAX_USERS``
``EXAMPLE_LOG_LIMIT``  3                               ``EXPIRE_LOG_LIMIT``
``EXAMPLE_DEBUG``      not set                         ``DEBUG``, where it is set
====================== =============================== ==========================
"""

import os
from pathlib import Path
from typing import Any

SECRET_KEY = os.environ.get("EXAMPLE_SECRET_KEY", "of an example, which has no secrets")
DEBUG = "EXAMPLE_DEBUG" in os.environ
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]

INSTALLED_APPS = [
    "example_project.members",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "expire_sessions",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "expire_sessions.middleware.AskMiddleware",
]
ROOT_URLCONF = "example_project.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "expire_sessions.context_processors.session_notice",
            ]
        },
    }
]
STATIC_URL = "static/"
USE_TZ = True
TIME_ZONE = "UTC"

DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get(
            "EXAMPLE_DATABASE", Path(__file__).with_name("db.sqlite3")
        ),
        # A transaction that begins with a read waits for its turn, too.
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"

# Sessions have a cache of their own; what else is cached stays as it is.
CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "sessions": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": os.environ.get("EXAMPLE_REDIS_URL", "redis://127.0.0.1:6379/0"),
        "KEY_PREFIX": os.environ.get("EXAMPLE_KEY_PREFIX", "example"),
        "OPTIONS": {"SERIALIZER": "django_redis.serializers.json.JSONSerializer"},
    },
}
SESSION_ENGINE = "expire_sessions.backend"
SESSION_CACHE_ALIAS = "sessions"
EXPIRE_MAX_USERS = int(os.environ.get("EXAMPLE_MAX_USERS", "1"))
EXPIRE_LOG_LIMIT = int(os.environ.get("EXAMPLE_LOG_LIMIT", "3"))
