"""What listens: the requests of logins and logouts, the settings, and the histories.

Connected in ``apps.ready``.
"""

from typing import Final

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import (
    user_logged_in,
    user_logged_out,
    user_login_failed,
)
from django.core.signals import setting_changed
from django.db.models.signals import post_init

from expire_sessions import signals
from expire_sessions.loaded import note_user
from expire_sessions.receivers import access, logins, records, settings

__all__ = ["connect"]

PAIRS: Final = (
    # In this order: what is put into the session has to be there when it is saved.
    (user_logged_in, access.look_back),
    (user_logged_in, logins.remember_login),
    (user_logged_out, logins.remember_logout),
    (user_login_failed, access.count_failure),
    (setting_changed, settings.read_settings_again),
    (signals.session_entering, records.write_row),
    (signals.session_started, records.settle_rows),
    (signals.session_started, access.note_told),
    (signals.session_started, access.log_concurrent),
    (signals.session_rotated, records.follow_row),
    (signals.sessions_ended, records.close_rows),
    (signals.sessions_swept, records.sweep_rows),
)


def connect() -> None:
    """Connect every receiver, once."""
    for signal, receiver in PAIRS:
        uid = f"{receiver.__module__}.{receiver.__name__}"
        signal.connect(receiver, dispatch_uid=uid)
    uid = "expire_sessions.loaded.note_user"
    post_init.connect(note_user, sender=get_user_model(), dispatch_uid=uid)
