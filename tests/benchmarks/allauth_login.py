"""What of allauth's login its list of sessions needs."""

from importlib import import_module
from typing import Any

from django.contrib import auth

__all__ = ["login"]

_signals = import_module("allauth.account.signals")


def login(request: Any, user: Any, backend: str) -> None:
    """Sign in with Django, and tell allauth's own signal of it, as its views do.

    Its messages, mails and stages of a login are left out: no other has them.
    """
    auth.login(request, user, backend=backend)
    _signals.user_logged_in.send(sender=type(user), request=request, user=user)
