"""The settings of the example site, as the demo runs it."""

from example_project.settings import *  # noqa: F403 - that is what it is
from example_project.settings import DATABASES

# The passwords are printed, so a slow hash would only make the demo slow.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Nor need the database outlive a power cut.
DATABASES["default"]["OPTIONS"]["init_command"] = "PRAGMA synchronous=OFF"

# Only a login counts as seen: which browser is the least recently seen must not hang
# on the second at which the demo is run.
EXPIRE_TOUCH_INTERVAL = None
