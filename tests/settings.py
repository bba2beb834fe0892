"""The project that the tests run in."""

import os

from example_project.redis_server import VARIABLE
from tests.databases import from_environment

SECRET_KEY = "tests only, and long enough for every check"
USE_TZ = True
INSTALLED_APPS = [
    "expire_sessions",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "tests.accounts",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
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
ROOT_URLCONF = "tests.urls"
DATABASES = {"default": from_environment()}
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": os.environ.get(VARIABLE, "redis://127.0.0.1:6379/0"),
        "OPTIONS": {"SERIALIZER": "django_redis.serializers.json.JSONSerializer"},
    }
}
# Django 6.1 warns without it; 5.2 does not know it.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
SESSION_ENGINE = "expire_sessions.backend"
# Passwords are no subject here, and a slow hash only makes the tests slow.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
AUTH_USER_MODEL = os.environ.get("EXPIRE_SESSIONS_USER_MODEL", "auth.User")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
