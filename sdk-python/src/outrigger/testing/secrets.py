"""Secrets in configurations: the gateway puts them in the place of references before a plugin sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from .._config.errors import ConfigError, below
from .._runtime.references import is_reference


def with_secrets(schema: Mapping[str, Any], value: Any, secrets: Mapping[str, str], path: str = "", marked: bool = False) -> Any:
    """A copy of a configuration in which every reference that may stand there is the secret that it leads to.

    Raises:
        ConfigError: the test gave no secret for a reference.
    """
    marked = marked or schema.get("x-referenceable") is True
    if isinstance(value, str):
        if not marked or not is_reference(value):
            return value
        if value not in secrets:
            raise ConfigError([(path, "the test gave no secret for this reference")])
        return secrets[value]
    if isinstance(value, Mapping):
        properties = cast("Mapping[str, Any]", schema.get("properties", {}))
        others = schema.get("additionalProperties")
        inner = {name: properties.get(name, others) for name in cast("Mapping[str, Any]", value)}
        return {
            name: with_secrets(_schema(inner[name]), item, secrets, below(path, name), marked)
            for name, item in cast("Mapping[str, Any]", value).items()
        }
    if isinstance(value, list):
        items = _schema(schema.get("items"))
        return [with_secrets(items, item, secrets, below(path, i), marked) for i, item in enumerate(cast("list[Any]", value))]
    return value


def _schema(schema: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", schema) if isinstance(schema, Mapping) else {}
