"""The pages of a project that refuses logins, or asks."""

from django.contrib.auth.views import LoginView
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from tests import urls, views


def forbidden(request: HttpRequest) -> HttpResponse:
    """Refuse everybody, for another reason."""
    raise PermissionDenied("not for you")


def sign_in_by_hand(request: HttpRequest, user_id: str) -> HttpResponse:
    """Sign in without Django's ``login()``, and save at once."""
    request.session["_auth_user_id"] = user_id
    request.session.save()
    return HttpResponse()


urlpatterns = [
    *urls.urlpatterns,
    path("accounts/login/", LoginView.as_view(template_name="admin/login.html")),
    path("accounts/profile/", views.whoami),
    path("forbidden/", forbidden),
    path("by-hand/<str:user_id>/", sign_in_by_hand),
    path("sessions/", include("expire_sessions.urls")),
]
handler403 = "expire_sessions.views.permission_denied"
