"""Configuration classes: the JSON Schema of a dataclass, and objects of it."""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from .._errors import PluginError
from .check import check, fits
from .errors import ConfigError, Faults, below
from .formats import FORMATS
from .rules import RULES, Rules, check_rules

_SCALARS: dict[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


def is_dataclass(hint: Any) -> bool:
    """Whether a type is a configuration class."""
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


@functools.cache
def class_schema(kind: type[Any]) -> dict[str, Any]:
    """JSON Schema of a dataclass. It is kept: who wants to change it makes a copy.

    Raises:
        PluginError: a field has a type or a rule that cannot be expressed.
    """
    return _object_schema(kind, ())


@functools.cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except NameError as err:
        raise PluginError(f"{kind.__qualname__}: {err}; types of a configuration must be known at module level") from None


def _object_schema(kind: type[Any], outer: tuple[type[Any], ...]) -> dict[str, Any]:
    if kind in outer:
        raise PluginError(f"{kind.__qualname__} holds itself; expected classes that do not nest in a circle")
    hints = _hints(kind)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        try:
            schema = _type_schema(hints[field.name], (*outer, kind))
            _add_rules(schema, field.metadata.get(RULES, {}))
            if field.default is not MISSING:
                schema["default"] = _plain(field.default)
            elif field.default_factory is not MISSING:
                schema["default"] = _plain(field.default_factory())
            else:
                required.append(field.name)
            _check_default(schema)
        except PluginError as err:
            raise PluginError(f"field {field.name}: {err}") from None
        properties[field.name] = schema
    whole: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        whole["required"] = required
    return whole


def _add_rules(schema: dict[str, Any], keywords: Mapping[str, Any]) -> None:
    check_rules(keywords, schema)
    schema.update(keywords)
    if "format" in keywords:
        _add_format(schema, keywords["format"])
    if "enum" in keywords and "null" in schema.get("type", ()) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]


def _add_format(schema: dict[str, Any], name: str) -> None:
    """Puts the pattern of a format beside its name, since not everybody who reads a schema knows the formats."""
    if name == "port":
        del schema["format"]
        schema.setdefault("minimum", 0)
        schema.setdefault("maximum", 65535)
        return
    known = FORMATS[name]
    schema["format"] = known.name or name
    if known.pattern and "pattern" in schema:
        schema["allOf"] = [{"pattern": known.pattern}]
    elif known.pattern:
        schema["pattern"] = known.pattern


def _check_default(schema: dict[str, Any]) -> None:
    if schema.get("default") is None:
        return
    faults: Faults = []
    check(schema, schema["default"], "", faults)
    if faults:
        path, message = faults[0]
        raise PluginError(f"its default breaks its own rules: {f'{path}: ' if path else ''}{message}")


def _plain(value: Any) -> Any:
    """A default as JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init}
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item) for item in cast("set[Any]", value)), key=repr)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


def _type_schema(hint: Any, outer: tuple[type[Any], ...]) -> dict[str, Any]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        schema = _type_schema(args[0], outer)
        for extra in args[1:]:
            if isinstance(extra, Rules):
                _add_rules(schema, extra.keywords)
        return schema
    if hint is Any:
        return {}
    if hint in _SCALARS:
        return {"type": _SCALARS[hint]}
    if is_dataclass(hint):
        return _object_schema(hint, outer)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [_plain(member) for member in hint]}
    if origin in (list, set) or hint in (list, set):
        schema: dict[str, Any] = {"type": "array"}
        if args:
            schema["items"] = _type_schema(args[0], outer)
        return {**schema, "uniqueItems": True} if set in (origin, hint) else schema
    if origin is dict or hint is dict:
        return _dict_schema(hint, args, outer)
    if origin is Literal:
        return {"enum": list(args)}
    if origin in (Union, types.UnionType):
        return _union_schema(args, outer)
    raise PluginError(
        f"type {hint!r} cannot be a setting; expected bool, int, float, str, Any, Literal, an Enum, list, set, dict, a dataclass, "
        "or one of these | None"
    )


def _dict_schema(hint: Any, args: tuple[Any, ...], outer: tuple[type[Any], ...]) -> dict[str, Any]:
    if not args:
        return {"type": "object"}
    keys = _type_schema(args[0], outer)
    if keys.get("type") != "string":
        raise PluginError(f"{hint} has keys of another type; expected dict[str, ...]")
    schema: dict[str, Any] = {"type": "object", "additionalProperties": _type_schema(args[1], outer)}
    return {**schema, "propertyNames": keys} if len(keys) > 1 else schema


def _union_schema(args: tuple[Any, ...], outer: tuple[type[Any], ...]) -> dict[str, Any]:
    schemas = [{"type": "null"} if arg is type(None) else _type_schema(arg, outer) for arg in args]
    real = [schema for schema in schemas if schema != {"type": "null"}]
    if len(real) == 1 and len(schemas) == 2:
        (schema,) = real
        if set(schema) == {"enum"}:
            return {"enum": [*schema["enum"], None]}
        return {**schema, "type": [schema["type"], "null"]} if isinstance(schema.get("type"), str) else schema
    return {"anyOf": schemas}


def build(hint: Any, value: Any, path: str, faults: Faults) -> Any:
    """The object of a value that its schema has accepted. What the classes themselves refuse is added to the faults."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return build(args[0], value, path, faults)
    if value is None or hint is Any or origin is Literal:
        return value
    if hint is float:
        return float(value)
    if hint is int:
        return int(value)
    if is_dataclass(hint):
        return _build_object(hint, value, path, faults)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return next(member for member in hint if _plain(member) == value)
    if origin in (list, set) or hint in (list, set):
        items = [build(args[0] if args else Any, item, below(path, i), faults) for i, item in enumerate(value)]
        return set(items) if set in (origin, hint) else items
    if origin is dict:
        return {key: build(args[1], item, below(path, key), faults) for key, item in value.items()}
    if origin in (Union, types.UnionType):
        choice = next(arg for arg in args if arg is not type(None) and fits(_type_schema(arg, ()), value))
        return build(choice, value, path, faults)
    return value


def _build_object(kind: type[Any], value: dict[str, Any], path: str, faults: Faults) -> Any:
    hints = _hints(kind)
    before = len(faults)
    given = {name: build(hints[name], item, below(path, name), faults) for name, item in value.items()}
    if len(faults) > before:
        return None
    try:
        made = kind(**given)
        faults += _refused(made, path)
    except ConfigError as err:
        faults += [(below(path, where) if where else path, message) for where, message in err.errors]
        return None
    except (ValueError, TypeError) as err:
        faults.append((path, str(err)))
        return None
    return made


def _refused(made: Any, path: str) -> Faults:
    """What the ``validate`` hook of a configuration object says: ``(field, message)`` of each fault, or it raises."""
    hook = getattr(made, "validate", None)
    if not callable(hook):
        return []
    said = cast("Iterable[tuple[str, str]] | None", hook())
    return [(below(path, where) if where else path, message) for where, message in said or ()]
