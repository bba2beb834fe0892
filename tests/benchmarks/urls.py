"""The pages that are asked for."""

from django.urls import path

from tests.benchmarks import views

urlpatterns = [
    path("none/", views.none),
    path("read/", views.read),
    path("awaited/", views.awaited),
    path("change/", views.change),
    path("login/", views.sign_in),
    path("every/", views.save_every_request),
]
