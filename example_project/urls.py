"""The addresses of the example site."""

from django.contrib import admin
from django.urls import include, path

from example_project.members import views

urlpatterns = [
    path("", views.home, name="home"),
    path("login/", views.SignIn.as_view(), name="login"),
    path("logout/", views.SignOut.as_view(), name="logout"),
    path("seen/", views.seen, name="seen"),
    path("sessions/", include("expire_sessions.urls")),
    path("admin/", admin.site.urls),
]
handler403 = "expire_sessions.views.permission_denied"
