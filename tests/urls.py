"""The pages of the test project."""

from django.contrib import admin
from django.urls import path

from tests import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("login/", views.sign_in),
    path("logout/", views.sign_out),
    path("whoami/", views.whoami),
    path("set/<str:key>/<str:value>/", views.set_value),
    path("get/<str:key>/", views.get_value),
    path("greet/", views.greet),
    path("rename/", views.rename),
    path("password/", views.change_password),
    path("login-and-fail/", views.sign_in_and_fail),
    path("login-and-raise/", views.sign_in_and_raise),
    path("a/login/", views.asign_in),
    path("a/logout/", views.asign_out),
    path("a/whoami/", views.awhoami),
    path("a/set/<str:key>/<str:value>/", views.aset_value),
    path("a/get/<str:key>/", views.aget_value),
    path("a/password/", views.achange_password),
]
