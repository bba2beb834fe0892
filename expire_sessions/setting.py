"""A row of the table of settings, which reads its value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar, overload

from django.conf import settings

from expire_sessions.exceptions import InvalidSetup
from expire_sessions.presets import PRESETS
from expire_sessions.problems import Problem

__all__ = ["Setting"]

Value = TypeVar("Value")


@dataclass(frozen=True)
class Setting(Generic[Value]):
    """A row of the table; as an attribute of ``Conf`` it is the setting's value.

    The value is kept in the instance, where Python looks before it asks the class for
    a descriptor without ``__set__``: only the first read comes here, as with
    ``functools.cached_property``.
    """

    name: str
    """Its name in Django's settings."""

    default: Value

    problem: Problem
    """Says what is wrong with a value. The system check shows it; at run time it is
    raised, because a server may run without the checks."""

    check: str
    """The id of the system check that finds a wrong value."""

    key: str | None = None
    """Its key in the dictionary of ``expire_check``, where a handler may set it."""

    attribute: str = field(init=False, default="")
    """Its name in ``Conf``."""

    def __set_name__(self, owner: type, attribute: str) -> None:
        object.__setattr__(self, "attribute", attribute)  # past frozen

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object | None, owner: type) -> Self | Value:
        if instance is None:
            return self
        value = vars(instance)[self.attribute] = self.read()
        return value

    def read(self) -> Value:
        """Return what it is set to, or else what the preset says, or its default.

        Raises:
            InvalidSetup: the value is wrong.
        """
        default = _preset_settings().get(self.name, self.default)
        value: Value = getattr(settings, self.name, default)
        if problem := self.problem(value):
            raise InvalidSetup(f"{self.name} {problem}; it is {value!r}.")
        return value


def _preset_settings() -> Mapping[str, Any]:
    preset = PRESETS.get(str(getattr(settings, "EXPIRE_PRESET", None)))
    return {} if preset is None else preset.settings
