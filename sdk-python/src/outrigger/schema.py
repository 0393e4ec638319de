"""Configuration of plugins: a dataclass, or a list in the style of Kong. Both travel to the gateway as JSON Schema 2020-12.

Fields of a class may be ``bool``, ``int``, ``float``, ``str``, ``Any``, ``Literal[...]``, an ``Enum``, ``list[T]``, ``set[T]``,
``dict[str, T]``, another dataclass, and ``T | None``. ``setting`` gives them rules, ``Annotated[T, rules(...)]`` gives rules to items. A
class may have a hook ``validate(self)`` that yields ``(field, message)`` for what rules cannot say.
"""

from __future__ import annotations

import copy
from typing import Any, cast

from ._config.check import check, with_defaults
from ._config.classes import build, class_schema, is_dataclass
from ._config.errors import ConfigError, Faults
from ._config.kongfields import kong_schema
from ._config.rules import rules, setting
from ._errors import PluginError

__all__ = ["ConfigError", "decode_config", "rules", "schema_of", "setting"]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_NOTHING: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


def _schema(kind: Any) -> dict[str, Any]:
    if kind is None:
        return _NOTHING
    if isinstance(kind, (list, tuple)):
        return kong_schema(cast("list[Any]", kind))
    if is_dataclass(kind):
        return class_schema(kind)
    raise PluginError(f"{kind!r} is no dataclass; expected a class decorated with @dataclass, or a list of fields in Kong's style")


def schema_of(kind: Any) -> dict[str, Any]:
    """JSON Schema of a configuration class or of a list in Kong's style; None stands for a plugin without configuration.

    Raises:
        PluginError: a field has a type or a rule that cannot be expressed.
    """
    return {"$schema": _DRAFT, **copy.deepcopy(_schema(kind))}


def decode_config(kind: Any, config: object) -> Any:
    """A configuration with its defaults: an object of its class; a dict for a list in Kong's style, and for a plugin without configuration.

    Raises:
        ConfigError: it does not fit; every fault is named.
    """
    faults: Faults = []
    schema = _schema(kind)
    decoded: Any = with_defaults(schema, config)
    check(schema, decoded, "", faults)
    if not faults and is_dataclass(kind):
        decoded = build(kind, decoded, "", faults)
    if faults:
        raise ConfigError(faults)
    return decoded
