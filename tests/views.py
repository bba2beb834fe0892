"""The pages of the test project, each sync and async."""

from typing import cast

from django.contrib.auth import (
    aauthenticate,
    alogin,
    alogout,
    aupdate_session_auth_hash,
    authenticate,
    login,
    logout,
    update_session_auth_hash,
)
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse


def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in with the username and password of the query."""
    user = authenticate(request, **request.GET.dict())
    if user is None:
        return HttpResponse("no", status=403)
    login(request, user)
    return HttpResponse(request.session.session_key)


def sign_in_and_fail(request: HttpRequest) -> HttpResponse:
    """Sign in, and answer with a server error."""
    sign_in(request)
    return HttpResponse("broken", status=500)


def sign_in_and_raise(request: HttpRequest) -> HttpResponse:
    """Sign in, and be broken."""
    sign_in(request)
    raise RuntimeError("broken")


def sign_out(request: HttpRequest) -> HttpResponse:
    """Sign out."""
    logout(request)
    return HttpResponse()


def whoami(request: HttpRequest) -> HttpResponse:
    """Name the user."""
    return HttpResponse(request.user.get_username())


def set_value(request: HttpRequest, key: str, value: str) -> HttpResponse:
    """Put something into the session."""
    request.session[key] = value
    return HttpResponse()


def get_value(request: HttpRequest, key: str) -> HttpResponse:
    """Show something of the session."""
    return HttpResponse(request.session.get(key, ""))


def greet(request: HttpRequest) -> HttpResponse:
    """Load the user, and write to the session."""
    request.session["greeted"] = request.user.get_username()
    return HttpResponse()


def rename(request: HttpRequest) -> HttpResponse:
    """Change the user without saving it, as a form does that is not valid."""
    cast("User", request.user).username = "renamed"
    return greet(request)


def change_password(request: HttpRequest) -> HttpResponse:
    """Set a new password, and stay signed in."""
    user = cast("User", request.user)
    user.set_password(request.GET["password"])
    user.save()
    update_session_auth_hash(request, user)
    return HttpResponse(request.session.session_key)


async def asign_in(request: HttpRequest) -> HttpResponse:
    """See ``sign_in``."""
    user = await aauthenticate(request, **request.GET.dict())
    if user is None:
        return HttpResponse("no", status=403)
    await alogin(request, user)
    return HttpResponse(request.session.session_key)


async def asign_out(request: HttpRequest) -> HttpResponse:
    """See ``sign_out``."""
    await alogout(request)
    return HttpResponse()


async def awhoami(request: HttpRequest) -> HttpResponse:
    """See ``whoami``."""
    return HttpResponse((await request.auser()).get_username())


async def aset_value(request: HttpRequest, key: str, value: str) -> HttpResponse:
    """See ``set_value``."""
    await request.session.aset(key, value)
    return HttpResponse()


async def aget_value(request: HttpRequest, key: str) -> HttpResponse:
    """See ``get_value``."""
    return HttpResponse(await request.session.aget(key, ""))


async def achange_password(request: HttpRequest) -> HttpResponse:
    """See ``change_password``."""
    user = cast("User", await request.auser())
    user.set_password(request.GET["password"])
    await user.asave()
    request.user = user  # Django 5.2 looks at it there, which would be a query
    await aupdate_session_auth_hash(request, user)
    return HttpResponse(request.session.session_key)
