"""The one piece of middleware, for the policy ``ask`` alone."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from expire_sessions.answers import redirection
from expire_sessions.exceptions import SessionLimitReached
from expire_sessions.pending import pending_of

__all__ = ["AskMiddleware"]

Response = HttpResponse | Awaitable[HttpResponse]


class AskMiddleware:
    """Where a view's ``login()`` finds no free place, let the person choose.

    It does nothing else: no round trip, no query. Its place in ``MIDDLEWARE`` does not
    matter, for what it answers comes out of the view's place: the response passes
    through all of them. It works in sync and async chains; Django runs
    ``process_exception`` in a thread there.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Response:
        """Answer as the view does."""
        response: Response = self.get_response(request)
        return response

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> HttpResponse | None:
        """Keep the login until the person has chosen, and lead them there."""
        if not isinstance(exception, SessionLimitReached) or exception.policy != "ask":
            return None
        if exception.user is None:
            return None  # no login() of Django's: nobody knows who was authenticated
        pending_of(request, exception).keep_in(request.session)
        choose = reverse("expire_sessions:choose")
        return redirection(request, exception, choose)
