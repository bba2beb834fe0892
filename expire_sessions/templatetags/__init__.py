"""Django looks for ``{% load expire_sessions %}`` here."""
