"""More pages, for ``@pytest.mark.urls("tests.pages")``: each sync and async."""

from typing import cast

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

from expire_sessions.backend import SessionStore
from expire_sessions.sessions import UserSessions
from tests import urls

SHOWN = """{% load expire_sessions %}{% session_notice as notice %}
{% if notice %}{{ notice }} ({{ notice.reason }}){% endif %}"""
LOGIN = SHOWN + '<form method="post">{% csrf_token %}{{ form }}</form>'


class SignIn(LoginView):
    """A login page that shows why the session before has ended."""

    def render_to_response(
        self, context: dict[str, object], **kwargs: object
    ) -> HttpResponse:
        """Render it without a file."""
        page = engines["django"].from_string(LOGIN)
        return HttpResponse(page.render(context, self.request))


def show(request: HttpRequest) -> HttpResponse:
    """Show the notice where there is one."""
    return HttpResponse(engines["django"].from_string(SHOWN).render({}, request))


@login_required
def private(request: HttpRequest) -> HttpResponse:
    """Be there for who is signed in."""
    return HttpResponse("private")


def end_all(request: HttpRequest, name: str) -> HttpResponse:
    """End the sessions of a user, as an administrator does."""
    request.user.get_username()
    user = get_user_model().objects.get(username=name)
    return HttpResponse(UserSessions(user).end_all())


def end_all_beside(request: HttpRequest, name: str, key: str) -> HttpResponse:
    """Do the same, with another session loaded."""
    store = SessionStore(key)
    store.get("x")
    response = end_all(request, name)
    return response if store.session_key else HttpResponse("it had ended")


def end_all_after(request: HttpRequest, name: str, key: str) -> HttpResponse:
    """Do the same, with another session that was loaded, and dropped."""
    SessionStore(key).get("x")
    return end_all(request, name)


def set_password(request: HttpRequest, name: str) -> HttpResponse:
    """Give a user another password, as the admin does, or a page for a reset."""
    request.user.get_username()
    user = get_user_model().objects.get(username=name)
    user.set_password("another")
    user.save()
    return HttpResponse()


async def ashow(request: HttpRequest) -> HttpResponse:
    """See ``show``; as text."""
    session = cast("SessionStore", request.session)
    return HttpResponse(str(await session.anotice() or ""))


async def aend_all(request: HttpRequest, name: str) -> HttpResponse:
    """See ``end_all``."""
    await request.auser()
    user = await get_user_model().objects.aget(username=name)
    return HttpResponse(await sync_to_async(UserSessions(user).end_all)())


async def aset_password(request: HttpRequest, name: str) -> HttpResponse:
    """See ``set_password``."""
    await request.auser()
    user = await get_user_model().objects.aget(username=name)
    user.set_password("another")
    await user.asave()
    return HttpResponse()


urlpatterns = [
    *urls.urlpatterns,
    path("accounts/login/", SignIn.as_view()),
    path("private/", private),
    path("show/", show),
    path("end/<str:name>/", end_all),
    path("end/<str:name>/<str:key>/", end_all_beside),
    path("set-password/<str:name>/", set_password),
    path("end-after/<str:name>/<str:key>/", end_all_after),
    path("a/show/", ashow),
    path("a/end/<str:name>/", aend_all),
    path("a/set-password/<str:name>/", aset_password),
]
