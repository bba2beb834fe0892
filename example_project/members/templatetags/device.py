"""``{{ session.user_agent|device }}``."""

from django import template

from expire_sessions.clients import device

register = template.Library()
register.filter("device", device)
