"""What is raised about a configuration."""

from __future__ import annotations

from collections.abc import Sequence


class ConfigError(Exception):
    """A configuration does not fit its class. A plugin's ``configure`` may raise it to refuse one field.

    Attributes:
        errors: ``(path, message)`` of each fault, at least one; the path is dotted, empty for the whole configuration.
    """

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        self.errors = list(errors) or [("", "the configuration is refused")]  # no fault would be an accepted one
        super().__init__("; ".join(f"{path}: {message}" if path else message for path, message in self.errors))


Faults = list[tuple[str, str]]
"""``(path, message)`` of each fault."""


def below(path: str, name: object) -> str:
    """The path of a part of the value at a path."""
    return f"{path}.{name}" if path else str(name)
