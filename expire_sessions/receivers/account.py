"""What happens to a user's account ends sessions: deactivated, deleted, a new password.

They end after the commit, so that what is rolled back ends nothing. Nothing here breaks
a save of a user: what fails is logged.
"""

import logging
from collections.abc import Callable, Collection
from functools import partial, wraps
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.base import SessionBase
from django.db import router, transaction

from expire_sessions.accounts import may_have_sessions, tells_activity
from expire_sessions.acting import acting_user_id
from expire_sessions.endings import Live
from expire_sessions.exceptions import ExpireSessionsError
from expire_sessions.in_use import stores_in_use
from expire_sessions.installed import is_ours
from expire_sessions.mending import pks_of
from expire_sessions.passwords import changes_password, note_password, password_of
from expire_sessions.reasons import EndReason
from expire_sessions.receivers.beside import beside_the_loop
from expire_sessions.sessions import UserSessions

__all__ = [
    "end_after_delete",
    "end_after_save",
    "look_before_save",
    "remember_password",
    "sweep_disallowed",
]

logger: Final = logging.getLogger("expire_sessions")

CHANGES: Final = "expire_sessions_changes_password"
"""Where the state of an instance says, during its save, that the password changes."""

LATER: Final = {
    EndReason.DEACTIVATED: "Run clearsessions: it ends them.",
    EndReason.USER_DELETED: "Run clearsessions: it ends them.",
    EndReason.PASSWORD_CHANGED: (
        "Django drops each at its next request. To end them at once:"
        " UserSessions(user).end_all()."
    ),
}
"""What to do where Redis did not answer."""

Fields = Collection[str] | None


def _is_elsewhere(using: str) -> bool:
    """Tell whether a database is not that of the users who sign in: an archive."""
    return using != router.db_for_write(get_user_model())


def _harmless(receiver: Callable[..., None]) -> Callable[..., None]:
    """Let a receiver see users alone, and log what it raises."""

    @wraps(receiver)
    def harmless(*, instance: Any, raw: bool = False, **kwargs: Any) -> None:
        if raw or not isinstance(instance, get_user_model()):
            return  # a fixture, or a user model that is not in use
        try:
            receiver(instance=instance, **kwargs)
        except Exception:
            # A hash, a backend or a property of the project.
            logger.exception(
                "Whether sessions of a user have to end was not found out (%s).",
                receiver.__name__,
            )

    return harmless


def remember_password(*, instance: Any, **kwargs: object) -> None:
    """Receive ``post_init``: an ordinary save can then do without a query."""
    note_password(instance, password_of(instance))


@_harmless
def look_before_save(
    *, instance: Any, using: str, update_fields: Fields, **kwargs: object
) -> None:
    """Receive ``pre_save``: afterwards the database has the new password alone."""
    state = vars(instance._state)  # noqa: SLF001 - the way to keep it off the model
    state.pop(CHANGES, None)
    state[CHANGES] = changes_password(instance, using, update_fields)


@_harmless
def end_after_save(
    *,
    instance: Any,
    created: bool,
    using: str,
    update_fields: Fields,
    **kwargs: object,
) -> None:
    """Receive ``post_save``. No round trip where nothing of this has changed."""
    changes = vars(instance._state).pop(CHANGES, False)  # noqa: SLF001
    if created:
        note_password(instance, password_of(instance))
    elif tells_activity(instance, update_fields) and not may_have_sessions(instance):
        _end_after_commit(instance, using, EndReason.DEACTIVATED)
    elif changes:
        _end_after_commit(
            instance, using, EndReason.PASSWORD_CHANGED, spared=stores_in_use()
        )
        noting = partial(note_password, instance, password_of(instance))
        transaction.on_commit(noting, using=using)


@_harmless
def end_after_delete(*, instance: Any, using: str, **kwargs: object) -> None:
    """Receive ``post_delete``."""
    _end_after_commit(instance, using, EndReason.USER_DELETED)


@beside_the_loop
def sweep_disallowed(*, live: tuple[Live, ...] | None, **kwargs: object) -> None:
    """Receive ``sessions_swept``: find what no signal has told. One query for a page.

    What it raises is for ``clearsessions`` to tell.
    """
    if live:
        UserSessions.end_disallowed(pks_of({one.user_id for one in live}).values())


def _end_after_commit(
    user: Any, using: str, reason: EndReason, spared: Collection[SessionBase] = ()
) -> None:
    if _is_elsewhere(using):
        return
    # By the field of the user model: a child of it has a primary key of another kind.
    pk = getattr(user, get_user_model()._meta.pk.attname)
    end = partial(_end, pk, reason, spared, acting_user_id())
    transaction.on_commit(end, using=using, robust=True)


def _end(
    pk: Any, reason: EndReason, spared: Collection[SessionBase], by: str | None
) -> None:
    """End the sessions of a user, but those of the request that is being handled.

    To spare one is safe. It goes on if it is given the new hash, by
    ``update_session_auth_hash``, and else Django drops it at its next request.
    """
    if not is_ours(settings.SESSION_ENGINE):
        return
    # Their keys of now: the session may have been given a new one before the commit.
    keys = [store.session_key for store in spared if store.session_key is not None]
    try:
        sessions = UserSessions.of_pk(pk, keys, by=by)
        end = sessions.end_others if keys else sessions.end_all
        end(reason)
    except ExpireSessionsError as error:  # an outage, or a test run without a Redis
        logger.error(  # noqa: TRY400 - its frames say nothing more
            "The sessions of user %s were not ended (%s): %s %s",
            pk,
            reason,
            error,
            LATER[reason],
        )
