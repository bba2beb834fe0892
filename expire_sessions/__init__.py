"""A Django session engine over Redis that limits how many sessions a user can have.

Set ``SESSION_ENGINE = "expire_sessions.backend"``, add ``"expire_sessions"`` to
``INSTALLED_APPS`` and point the session cache at Redis through django-redis.
The README is the reference; ``signals``, ``models`` and ``sessions`` hold the
public names.
"""

from expire_sessions import installed as _installed  # noqa: F401 - registers its check
