"""Pages that do nothing but what is measured."""

from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.utils.module_loading import import_string

from tests.benchmarks.contenders import named
from tests.benchmarks.place import Place

USER = "benchmark.user"
"""Where a request carries who signs in: whom it took to find is no subject here."""

NUMBER = "number"
"""The key of the session that is changed."""

_login = import_string(named(Place.from_environment().contender).login)


def none(request: HttpRequest) -> HttpResponse:
    """Look at no session."""
    return _page("nobody")


def read(request: Any) -> HttpResponse:
    """Read the session and the user."""
    return _page(f"{request.user.username} {request.session.get(NUMBER)}")


async def awaited(request: Any) -> HttpResponse:
    """Read the session alone."""
    return _page(f"user {await request.session.aget(NUMBER)}")


def change(request: Any) -> HttpResponse:
    """Change the session, and read the user."""
    request.session[NUMBER] += 1
    return _page(f"{request.user.username} {request.session[NUMBER]}")


def sign_in(request: Any) -> HttpResponse:
    """Sign a user in, without a password."""
    user = request.META[USER]
    _login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
    return _page(user.username)


def sign_out(request: HttpRequest) -> HttpResponse:
    """Sign the user out."""
    logout(request)
    return _page("nobody")


def save_every_request(request: HttpRequest) -> HttpResponse:
    """Turn SESSION_SAVE_EVERY_REQUEST on for this process, for good."""
    override_settings(SESSION_SAVE_EVERY_REQUEST=True).enable()
    return _page("from now on")


def _page(text: str) -> HttpResponse:
    # With the length, as CommonMiddleware has it: else gunicorn sends it in chunks.
    return HttpResponse(text, headers={"Content-Length": str(len(text))})
