"""The pages of the example site."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession
from expire_sessions.sessions import UserSessions

NEWEST = 20


class SignIn(LoginView):
    """Django's own login, and a greeting. The limit is no matter of views."""

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Sign in and say so."""
        response = super().form_valid(form)
        messages.success(self.request, "You have signed in.")
        return response


class SignOut(LogoutView):
    """Django's own logout, and a word that it was this one."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Sign out and say so, in a cookie: there is no session any more."""
        signed_in = request.user.is_authenticated
        response = super().post(request, *args, **kwargs)
        if signed_in:
            messages.success(request, "You have signed out.")
        return response


@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """Show who you are, where you are signed in and when you were."""
    if not request.user.is_authenticated:
        return render(request, "members/home.html")
    sessions = UserSessions(request.user, request.session.session_key)
    history = LoggedSession.objects.for_user(request.user).order_by("-date_logged")
    context = {"sessions": sessions.list(), "history": history[:NEWEST]}
    return render(request, "members/home.html", context)


@require_POST
def seen(request: HttpRequest) -> HttpResponse:
    """Show the last access no more: the person has seen it."""
    if isinstance(request.session, SessionStore):  # for the type: it is SESSION_ENGINE
        request.session.hide_last_access()
    return redirect("home")
