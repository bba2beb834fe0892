"""``{{ session.user_agent|device }}``."""

from django import template

from example_project.members.devices import device

register = template.Library()
register.filter("device", device)
