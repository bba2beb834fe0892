"""What listens: to logins and logouts, accounts, settings, and for the histories.

Connected in ``apps.ready``.
"""

from typing import Any, Final

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.signals import (
    user_logged_in,
    user_logged_out,
    user_login_failed,
)
from django.core.signals import (
    got_request_exception,
    request_finished,
    request_started,
    setting_changed,
)
from django.db.models.signals import post_delete, post_init, post_save, pre_save

from expire_sessions import signals
from expire_sessions.in_use import forget_stores
from expire_sessions.loaded import note_user
from expire_sessions.receivers import access, account, audit, logins, records, settings

__all__ = ["connect"]

PAIRS: Final = (
    # In this order: what is put into the session has to be there when it is saved.
    (user_logged_in, access.look_back),
    (user_logged_in, logins.remember_login),
    (user_logged_out, logins.remember_logout),
    (got_request_exception, logins.give_place_back),
    (user_login_failed, access.count_failure),
    (setting_changed, settings.read_settings_again),
    (signals.session_entering, records.write_row),
    (signals.session_started, records.settle_rows),
    (signals.session_started, access.note_told),
    (signals.session_started, audit.log_started),
    (signals.session_refused, audit.log_refused),
    (signals.session_rotated, records.follow_row),
    (signals.sessions_ended, records.close_rows),
    (signals.sessions_ended, audit.log_ended),
    (signals.sessions_swept, records.sweep_rows),
    (signals.sessions_swept, account.sweep_disallowed),
    (request_started, forget_stores),
    (request_finished, forget_stores),
)

OF_USERS: Final = (
    (post_init, account.remember_password),
    (pre_save, account.look_before_save),
    (post_save, account.end_after_save),
    (post_delete, account.end_after_delete),
)


def connect() -> None:
    """Connect every receiver, once."""
    for signal, receiver in PAIRS:
        _connect(signal, receiver)
    _connect(post_init, note_user, get_user_model())
    # For each model by name: a receiver of every model's post_delete would take the
    # fast way of deleting from all of them.
    for model in apps.get_models(include_auto_created=True, include_swapped=True):
        if _is_user(model):
            # The row of a child may go alone, and its user stay.
            concrete: Any = model._meta.concrete_model
            is_child = any(map(_is_user, concrete._meta.parents))
            for of_model, receives in OF_USERS:
                if not (is_child and of_model is post_delete):
                    _connect(of_model, receives, model)


def _is_user(model: Any) -> bool:
    return issubclass(model, AbstractBaseUser | get_user_model())


def _connect(signal: Any, receiver: Any, sender: Any = None) -> None:
    uid = f"{receiver.__module__}.{receiver.__name__}"
    signal.connect(receiver, sender=sender, dispatch_uid=uid)
