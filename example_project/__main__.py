"""Django's commands for the example site: ``python -m example_project runserver``."""

import os

from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "example_project.settings"
os.environ.setdefault("EXAMPLE_DEBUG", "1")  # by hand, it is for developing
execute_from_command_line()
