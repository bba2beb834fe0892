"""The pages of a project that signs people in with django-allauth."""

from django.urls import include, path

from tests import policy_urls

urlpatterns = [
    path("allauth/", include("allauth.account.urls")),
    *policy_urls.urlpatterns,
]
handler403 = policy_urls.handler403
