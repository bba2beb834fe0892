"""What a browser, or another client, is answered to a login without a free place."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.utils.cache import add_never_cache_headers, patch_vary_headers

from expire_sessions.exceptions import SessionLimitReached

__all__ = ["prefers_json", "redirection", "refusal"]

TEMPLATE = "expire_sessions/session_limit_reached.html"


def prefers_json(request: HttpRequest) -> bool:
    """Tell whether a client would rather have JSON than a page."""
    types = ["text/html", "application/json"]
    return request.get_preferred_type(types) == "application/json"


def refusal(request: HttpRequest, error: SessionLimitReached) -> HttpResponse:
    """Say why, and what to do: status 403, as a page or as JSON.

    Raises:
        TemplateDoesNotExist: no engine of ``TEMPLATES`` looks into apps.
    """
    if prefers_json(request):
        return _told(_json(error))
    context = {"detail": str(error), "login_path": request.get_full_path()}
    page = render_to_string(TEMPLATE, context, request)
    return _told(HttpResponse(page, status=403))


def redirection(
    request: HttpRequest, error: SessionLimitReached, choose: str
) -> HttpResponse:
    """Send a person to where they choose. Who asks for JSON is told where that is."""
    if prefers_json(request):
        return _told(_json(error, choose=choose))
    return _told(HttpResponseRedirect(choose))


def _json(error: SessionLimitReached, **more: Any) -> JsonResponse:
    content = {"code": error.code, "detail": str(error), **more}
    return JsonResponse(content, status=403)


def _told(response: HttpResponse) -> HttpResponse:
    """Let no cache keep it."""
    add_never_cache_headers(response)
    patch_vary_headers(response, ["Accept"])
    return response
