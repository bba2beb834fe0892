"""``path("sessions/", include("expire_sessions.urls"))``: the pages of this package."""

from django.urls import path

from expire_sessions.views import choose

__all__ = ["app_name", "urlpatterns"]

app_name = "expire_sessions"
urlpatterns = [path("choose/", choose, name="choose")]
