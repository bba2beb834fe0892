"""The pages of this package: a login that was refused, and the choice at the limit.

``handler403 = "expire_sessions.views.permission_denied"`` in the URLs of a project.
"""

from typing import Any, Final

from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.template import TemplateDoesNotExist
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views import defaults
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from expire_sessions.answers import refusal
from expire_sessions.backend import SessionStore
from expire_sessions.choices import Choice
from expire_sessions.exceptions import SessionLimitReached
from expire_sessions.pending import PENDING, PendingLogin, pending_in

__all__ = ["choose", "permission_denied"]

PAGE: Final = "expire_sessions/choose_sessions.html"
OVER: Final = "expire_sessions/sign_in_over.html"

FASTER: Final = _(
    "Another device was faster and took the place. Please choose once more."
)


def permission_denied(
    request: HttpRequest,
    exception: Exception,
    template_name: str = defaults.ERROR_403_TEMPLATE_NAME,
) -> HttpResponse:
    """Answer a login that found no free place; all else as Django does."""
    if isinstance(exception, SessionLimitReached):
        try:
            return refusal(request, exception)
        except TemplateDoesNotExist:
            pass  # Django's own page needs no engine
    return defaults.permission_denied(request, exception, template_name)


@never_cache
@xframe_options_deny
@sensitive_post_parameters()
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def choose(request: HttpRequest) -> HttpResponse:
    """Let a person choose which sessions end, then complete the login that waits.

    A page: two round trips, beside the load, and two queries. The completion: those,
    one to claim it, three for each session that ends, and the login.
    """
    session = request.session
    pending = pending_in(session)
    user = None if pending is None else pending.user()
    if not isinstance(session, SessionStore) or pending is None or user is None:
        if request.method == "POST" and session.is_empty():
            # A second click, which still has the cookie from before the first: Django
            # would answer it by deleting the new one.
            request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
        return _over(request)
    if request.method != "POST":
        return _page(request, Choice.of(user))
    if "cancel" in request.POST:
        return _cancelled(session, pending)
    choice = Choice.of(user, request.POST)
    if choice.missing:
        return _page(request, choice, _more(choice.missing))
    if not session.claim():
        # Another request of this browser was faster: perhaps it has signed in.
        return redirect(request.path)
    del session[PENDING]
    return _completed(request, choice, pending)


def _completed(
    request: HttpRequest, choice: Choice, pending: PendingLogin
) -> HttpResponse:
    choice.end_chosen()
    try:
        login(request, choice.user, backend=pending.backend)
    except SessionLimitReached as error:
        if error.policy != "ask":
            raise
        pending.keep_in(request.session)  # no longer than before
        return _page(request, Choice.of(choice.user), str(FASTER))
    return HttpResponseRedirect(pending.to)


def _cancelled(session: SessionStore, pending: PendingLogin) -> HttpResponse:
    """Forget the login, also where another request saves what it has loaded of it."""
    if session.claim():
        del session[PENDING]
    return HttpResponseRedirect(pending.back)


def _page(request: HttpRequest, choice: Choice, problem: str = "") -> HttpResponse:
    return render(request, PAGE, {"choice": choice, "problem": problem})


def _over(request: HttpRequest) -> HttpResponse:
    """Say that there is nothing to choose; who is signed in goes on."""
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    request.session.pop(PENDING, None)
    context: dict[str, Any] = {"login_url": resolve_url(settings.LOGIN_URL)}
    return render(request, OVER, context, status=400)


def _more(missing: int) -> str:
    return ngettext(
        "Please choose one more device.",
        "Please choose %(count)d more devices.",
        missing,
    ) % {"count": missing}
