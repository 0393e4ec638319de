"""Configuration classes: JSON Schema 2020-12 of a dataclass, and decoding a configuration into one.

Fields may be ``bool``, ``int``, ``float``, ``str``, ``Any``, ``Literal[...]``, ``list[T]``, ``dict[str, T]``, another dataclass, and
``T | None``.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import MISSING
from typing import Any, Literal, Union, cast, get_args, get_origin

from ._errors import PluginError

_RULES = "outrigger.rules"

_LIMITS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "enum": "enum",
    "pattern": "pattern",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_items": "minItems",
    "max_items": "maxItems",
    "description": "description",
}


def setting(
    *,
    default: Any = MISSING,
    default_factory: Callable[[], Any] | None = None,
    description: str | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    enum: Sequence[Any] | None = None,
    pattern: str | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    min_items: int | None = None,
    max_items: int | None = None,
    secret: bool = False,
) -> Any:
    """A field of a configuration class with rules.

    Args:
        default: Value when left out; a list or dict is copied for each configuration. Without it the setting is required.
        default_factory: Makes the value when left out.
        description: What it is for.
        minimum: Smallest number.
        maximum: Largest number.
        enum: The values allowed.
        pattern: Regular expression that a text must match somewhere.
        min_length: Fewest characters of a text.
        max_length: Most characters of a text.
        min_items: Fewest items of a list.
        max_items: Most items of a list.
        secret: Never shown in logs or by the Admin API.
    """
    given = {
        "minimum": minimum, "maximum": maximum, "enum": None if enum is None else list(enum), "pattern": pattern, "min_length": min_length,
        "max_length": max_length, "min_items": min_items, "max_items": max_items, "description": description,
    }  # fmt: skip
    rules: dict[str, Any] = {_LIMITS[name]: value for name, value in given.items() if value is not None}
    if secret:
        rules["writeOnly"] = True
    metadata = {_RULES: rules}
    if default_factory is not None:
        return dataclasses.field(default_factory=default_factory, metadata=metadata)
    if isinstance(default, (list, dict)):
        copy = cast("Any", default).copy
        return dataclasses.field(default_factory=copy, metadata=metadata)
    if default is MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class ConfigError(Exception):
    """A configuration does not fit its class.

    Attributes:
        errors: ``(path, message)`` of each fault; the path is dotted, empty for the whole configuration.
    """

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        self.errors = list(errors)
        super().__init__("; ".join(f"{path}: {message}" if path else message for path, message in self.errors))


def schema_of(kind: type[Any] | None) -> dict[str, Any]:
    """JSON Schema 2020-12 of a configuration class; None stands for a plugin without configuration.

    Raises:
        PluginError: a field has a type or a rule that cannot be expressed.
    """
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    if kind is None:
        return {**schema, "type": "object", "properties": {}, "additionalProperties": False}
    if not dataclasses.is_dataclass(kind):
        raise PluginError(f"{kind!r} is no dataclass; expected a class decorated with @dataclass")
    return {**schema, **_object_schema(kind, ())}


def _hints(kind: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind)
    except NameError as err:
        raise PluginError(f"{kind.__qualname__}: {err}; types of a configuration must be known at module level") from None


def _object_schema(kind: type[Any], outer: tuple[type[Any], ...]) -> dict[str, Any]:
    if kind in outer:
        raise PluginError(f"{kind.__qualname__} holds itself; expected classes that do not nest in a circle")
    hints = _hints(kind)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for field in dataclasses.fields(kind):
        try:
            schema = _type_schema(hints[field.name], (*outer, kind))
        except PluginError as err:
            raise PluginError(f"field {field.name}: {err}") from None
        rules = cast("dict[str, Any]", field.metadata.get(_RULES, {}))
        if "pattern" in rules:
            try:
                re.compile(rules["pattern"])
            except re.error as err:
                raise PluginError(f"field {field.name}: pattern {rules['pattern']!r} is no regular expression: {err}") from None
        schema.update(rules)
        if field.default is not MISSING:
            schema["default"] = _plain(field.default)
        elif field.default_factory is not MISSING:
            schema["default"] = _plain(field.default_factory())
        else:
            required.append(field.name)
        if schema.get("default", MISSING) is not MISSING:
            faults: list[tuple[str, str]] = []
            _decode(hints[field.name], rules, schema["default"], field.name, faults)
            if faults:
                raise PluginError(f"field {field.name}: its default breaks its own rules: {faults[0][1]}")
        properties[field.name] = schema
    whole: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        whole["required"] = required
    return whole


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


_SCALARS: dict[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


def _is_dataclass(hint: Any) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def _type_schema(hint: Any, outer: tuple[type[Any], ...]) -> dict[str, Any]:
    if hint is Any:
        return {}
    if hint in _SCALARS:
        return {"type": _SCALARS[hint]}
    if _is_dataclass(hint):
        return _object_schema(hint, outer)
    origin, args = get_origin(hint), get_args(hint)
    if origin is list or hint is list:
        return {"type": "array", "items": _type_schema(args[0], outer)} if args else {"type": "array"}
    if origin is dict or hint is dict:
        if args and args[0] is not str:
            raise PluginError(f"{hint} has keys of another type; expected dict[str, ...]")
        return {"type": "object", "additionalProperties": _type_schema(args[1], outer)} if args else {"type": "object"}
    if origin is Literal:
        return {"enum": list(args)}
    if origin in (Union, types.UnionType):
        schemas = [{"type": "null"} if arg is type(None) else _type_schema(arg, outer) for arg in args]
        real = [schema for schema in schemas if schema != {"type": "null"}]
        if len(real) == 1 and len(schemas) == 2:
            return _nullable(real[0])
        return {"anyOf": schemas}
    raise PluginError(
        f"type {hint!r} cannot be a setting; expected bool, int, float, str, Any, Literal, list, dict, a dataclass, or one of these | None"
    )


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if set(schema) == {"enum"}:
        return {"enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return schema


def decode_config(kind: type[Any] | None, config: object) -> Any:
    """Decodes a configuration over the defaults of its class; an empty dict without one.

    Raises:
        ConfigError: it does not fit; every fault is named.
    """
    faults: list[tuple[str, str]] = []
    if kind is None:
        if not isinstance(config, dict):
            faults.append(("", f"configuration is {_kind_name(config)}; expected an object"))
        else:
            faults += [
                (str(name), "there is no such setting; the plugin takes no configuration") for name in cast("dict[Any, Any]", config)
            ]
        decoded: Any = {}
    else:
        decoded = _decode(kind, {}, config, "", faults)
    if faults:
        raise ConfigError(faults)
    return decoded


_KIND_NAMES = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _kind_name(value: object) -> str:
    return _KIND_NAMES.get(cast("Any", type(value)), type(value).__name__)


def _decode(hint: Any, rules: dict[str, Any], value: Any, path: str, faults: list[tuple[str, str]]) -> Any:
    """Decodes one value; faults are collected, and what comes back then is not used."""
    before = len(faults)
    decoded = _decode_type(hint, value, path, faults)
    if len(faults) == before and value is not None:
        fault = _broken_rule(rules, value)
        if fault:
            faults.append((path, fault))
    return decoded


def _decode_type(hint: Any, value: Any, path: str, faults: list[tuple[str, str]]) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if _is_dataclass(hint):
        return _decode_object(hint, value, path, faults)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if hint in _SCALARS:
        if not isinstance(value, hint) or (hint in (int, float) and isinstance(value, bool)):
            faults.append((path, f"found {_kind_name(value)}; expected {_KIND_NAMES[hint]}"))
        return value
    if origin is list or hint is list:
        if not isinstance(value, list):
            faults.append((path, f"found {_kind_name(value)}; expected a list"))
            return None
        inner = args[0] if args else Any
        return [_decode(inner, {}, item, f"{path}.{i}", faults) for i, item in enumerate(cast("list[Any]", value))]
    if origin is dict or hint is dict:
        if not isinstance(value, dict):
            faults.append((path, f"found {_kind_name(value)}; expected an object"))
            return None
        inner = args[1] if args else Any
        return {key: _decode(inner, {}, item, f"{path}.{key}", faults) for key, item in cast("dict[str, Any]", value).items()}
    if origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in args):
            faults.append((path, f"found {value!r}; expected one of {', '.join(map(repr, args))}"))
        return value
    return _decode_union(args, value, path, faults)


def _decode_union(args: tuple[Any, ...], value: Any, path: str, faults: list[tuple[str, str]]) -> Any:
    if value is None and type(None) in args:
        return None
    first: list[tuple[str, str]] = []
    for arg in args:
        if arg is type(None):
            continue
        tried: list[tuple[str, str]] = []
        decoded = _decode_type(arg, value, path, tried)
        if not tried:
            return decoded
        first = first or tried
    faults += first
    return value


def _decode_object(kind: type[Any], value: Any, path: str, faults: list[tuple[str, str]]) -> Any:
    if not isinstance(value, dict):
        faults.append((path, f"found {_kind_name(value)}; expected an object"))
        return None
    hints = _hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    given: dict[str, Any] = {}
    before = len(faults)
    for name, item in cast("dict[str, Any]", value).items():
        below = f"{path}.{name}" if path else name
        field = fields.get(name)
        if field is None:
            faults.append((below, f"there is no such setting; expected one of {', '.join(fields)}"))
            continue
        given[name] = _decode(hints[name], field.metadata.get(_RULES, {}), item, below, faults)
    for name, field in fields.items():
        if name not in given and field.default is MISSING and field.default_factory is MISSING:
            faults.append((f"{path}.{name}" if path else name, "is required"))
    if len(faults) > before:
        return None
    try:
        return kind(**given)
    except (ValueError, TypeError) as err:
        faults.append((path, str(err)))
        return None


def _broken_rule(rules: dict[str, Any], value: Any) -> str | None:
    if "enum" in rules and value not in rules["enum"]:
        return f"found {value!r}; expected one of {', '.join(map(repr, rules['enum']))}"
    if "minimum" in rules and value < rules["minimum"]:
        return f"found {value}; expected at least {rules['minimum']}"
    if "maximum" in rules and value > rules["maximum"]:
        return f"found {value}; expected at most {rules['maximum']}"
    if "minLength" in rules and len(value) < rules["minLength"]:
        return f"found {len(value)} characters; expected at least {rules['minLength']}"
    if "maxLength" in rules and len(value) > rules["maxLength"]:
        return f"found {len(value)} characters; expected at most {rules['maxLength']}"
    if "minItems" in rules and len(value) < rules["minItems"]:
        return f"found {len(value)} items; expected at least {rules['minItems']}"
    if "maxItems" in rules and len(value) > rules["maxItems"]:
        return f"found {len(value)} items; expected at most {rules['maxItems']}"
    if "pattern" in rules and not re.search(rules["pattern"], value):
        return f"found {value!r}; expected a text that matches {rules['pattern']}"
    return None
