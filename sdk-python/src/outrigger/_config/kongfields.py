"""Kong's way to declare a configuration, as JSON Schema.

A ``Schema`` of Kong's Python plugins is a list of fields, each a dict of its name and its attributes::

    Schema = ({"message": {"type": "string", "default": "hello"}}, {"limit": {"type": "integer", "between": [1, 100]}})
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from .._errors import PluginError
from .check import check
from .errors import Faults, below
from .luapattern import BadPattern, regex_of

_TYPES = {
    "string": "string", "number": "number", "integer": "integer", "boolean": "boolean", "array": "array", "set": "array", "map": "object",
    "record": "object",
}  # fmt: skip

_IGNORED = frozenset(
    [
        "abstract", "auto", "cache_key", "deprecation", "err", "immutable", "indexed", "legacy", "nilable", "primary_key",
        "translate_backwards", "unique", "unique_across_ws",
    ]
)  # fmt: skip
"""Attributes that say how Kong stores a field, and nothing about its values."""

_MAY_BE_EMPTY = frozenset(["len_min", "len_eq"])
"""Attributes of a text beside which it may be empty; without them Kong refuses that."""

_UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"

_IMPOSSIBLE = frozenset(["custom_validator", "entity_checks", "fn", "shorthand_fields", "transformations"])

Writer = Callable[[dict[str, Any], Any, str], None]


def kong_schema(fields: Sequence[Any]) -> dict[str, Any]:
    """JSON Schema of a list of fields.

    Raises:
        PluginError: a field is none, or has an attribute that JSON Schema cannot say; the message names its path.
    """
    return _record(fields, "")


def _refuse(path: str, message: str) -> PluginError:
    return PluginError(f"Schema: field {path}: {message}" if path else f"Schema: {message}")


def _record(fields: Any, path: str) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, attributes in _named(fields, path):
        at = below(path, name)
        if name in properties:
            raise _refuse(at, "it is declared twice")
        properties[name] = _field(attributes, at)
        if attributes.get("required") is True and "default" not in properties[name]:
            required.append(name)
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def _named(fields: Any, path: str) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(fields, (list, tuple)):
        raise _refuse(path, f"fields are a {type(fields).__name__}; expected a list of {{name: attributes}}")
    named: list[tuple[str, Mapping[str, Any]]] = []
    for field in cast("Sequence[Any]", fields):
        if not isinstance(field, Mapping) or len(cast("Mapping[Any, Any]", field)) != 1:
            raise _refuse(path, f"found the entry {field!r}; expected {{name: attributes}}")
        ((name, attributes),) = cast("Mapping[Any, Any]", field).items()
        if not isinstance(name, str) or not isinstance(attributes, Mapping):
            raise _refuse(path, f"found the entry {field!r}; expected {{name: attributes}}")
        named.append((name, cast("Mapping[str, Any]", attributes)))
    return named


def _field(attributes: Mapping[str, Any], path: str) -> dict[str, Any]:
    """JSON Schema of one field. A null counts as absent: the gateway takes it out where the schema has another type."""
    kind = attributes.get("type")
    if kind not in _TYPES:
        raise _refuse(path, f"type is {kind!r}; expected one of {', '.join(_TYPES)}")
    schema: dict[str, Any] = {"type": _TYPES[kind]}
    if kind == "record":
        schema = _record(attributes.get("fields", ()), path)
    elif kind == "set":
        schema["uniqueItems"] = True
    elif kind == "string" and not _MAY_BE_EMPTY & attributes.keys() and attributes.get("default") != "":
        schema["minLength"] = 1
    for name, value in attributes.items():
        if name in ("type", "required", "fields", "default") or name in _IGNORED:
            continue
        writer = _WRITERS.get(name)
        if writer is None:
            why = "JSON Schema cannot say that; check it in the plugin's __init__" if name in _IMPOSSIBLE else "there is no such attribute"
            raise _refuse(path, f"attribute {name}: {why}")
        try:
            writer(schema, value, path)
        except BadPattern as err:
            raise _refuse(path, f"attribute {name}: {err}") from None
        except (TypeError, ValueError, LookupError) as err:
            raise _refuse(path, f"attribute {name}: found {value!r}: {err}") from None
    _add_default(schema, attributes, path)
    return schema


def _add_default(schema: dict[str, Any], attributes: Mapping[str, Any], path: str) -> None:
    """The default; a required record without one has that of its fields, when none of them is required."""
    if attributes.get("default") is not None:
        schema["default"] = _plain(attributes["default"])
        faults: Faults = []
        check(schema, schema["default"], "", faults)
        if faults:
            where, message = faults[0]
            raise _refuse(below(path, where) if where else path, f"its default breaks its own rules: {message}")
    elif attributes["type"] == "record" and attributes.get("required") is True and not schema.get("required"):
        schema["default"] = {}


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    return value


# Attributes. Each adds to the schema what it means.


def _add(schema: dict[str, Any], rule: dict[str, Any]) -> None:
    """Adds a rule that may stand beside others of its keyword."""
    schema.setdefault("allOf", []).append(rule)


def _one_of(schema: dict[str, Any], value: Any, path: str) -> None:
    schema["enum"] = list(value)


def _not_one_of(schema: dict[str, Any], value: Any, path: str) -> None:
    _add(schema, {"not": {"enum": list(value)}})


def _between(schema: dict[str, Any], value: Any, path: str) -> None:
    schema["minimum"], schema["maximum"] = value


def _length(keyword: str) -> Writer:
    def write(schema: dict[str, Any], value: Any, path: str) -> None:
        noun = {"string": "Length", "array": "Items", "object": "Properties"}[schema["type"]]
        for bound in ("min", "max") if keyword == "len_eq" else (keyword.removeprefix("len_"),):
            schema[f"{bound}{noun}"] = int(value)

    return write


def _keyword(keyword: str) -> Writer:
    def write(schema: dict[str, Any], value: Any, path: str) -> None:
        schema[keyword] = value

    return write


def _flag(rule: dict[str, Any]) -> Writer:
    def write(schema: dict[str, Any], value: Any, path: str) -> None:
        if value:
            schema.update(rule)

    return write


def _not_equal(schema: dict[str, Any], value: Any, path: str) -> None:
    _add(schema, {"not": {"const": value}})


def _match(schema: dict[str, Any], value: Any, path: str) -> None:
    _add(schema, {"pattern": regex_of(value)})


def _not_match(schema: dict[str, Any], value: Any, path: str) -> None:
    _add(schema, {"not": {"pattern": regex_of(value)}})


def _match_all(schema: dict[str, Any], value: Any, path: str) -> None:
    for rule in value:
        _match(schema, rule["pattern"], path)


def _match_none(schema: dict[str, Any], value: Any, path: str) -> None:
    for rule in value:
        _not_match(schema, rule["pattern"], path)


def _match_any(schema: dict[str, Any], value: Any, path: str) -> None:
    _add(schema, {"anyOf": [{"pattern": regex_of(pattern)} for pattern in value["patterns"]]})


def _starts_with(schema: dict[str, Any], value: Any, path: str) -> None:
    _add(schema, {"pattern": "^" + _quoted(value)})


def _ends_with(schema: dict[str, Any], value: Any, path: str) -> None:
    _add(schema, {"pattern": _quoted(value) + "$"})


def _quoted(text: str) -> str:
    return re.sub(r"[\\^$.|?*+()\[\]{}]", lambda found: "\\" + found[0], text)


def _uuid(schema: dict[str, Any], value: Any, path: str) -> None:
    if value:
        _add(schema, {"pattern": _UUID})


def _contains(schema: dict[str, Any], value: Any, path: str) -> None:
    schema["contains"] = {"const": value}


def _elements(schema: dict[str, Any], value: Any, path: str) -> None:
    schema["items"] = _field(value, below(path, "elements"))


def _keys(schema: dict[str, Any], value: Any, path: str) -> None:
    keys = _field(value, below(path, "keys"))
    if keys["type"] != "string":
        raise ValueError("keys of a map are texts")
    if len(keys) > 1:
        schema["propertyNames"] = keys


def _values(schema: dict[str, Any], value: Any, path: str) -> None:
    schema["additionalProperties"] = _field(value, below(path, "values"))


_WRITERS: dict[str, Writer] = {
    "between": _between,
    "contains": _contains,
    "description": _keyword("description"),
    "elements": _elements,
    "encrypted": _flag({"x-secret": True}),
    "ends_with": _ends_with,
    "eq": _keyword("const"),
    "gt": _keyword("exclusiveMinimum"),
    "is_regex": _flag({"format": "regex"}),
    "keys": _keys,
    "len_eq": _length("len_eq"),
    "len_max": _length("len_max"),
    "len_min": _length("len_min"),
    "lt": _keyword("exclusiveMaximum"),
    "match": _match,
    "match_all": _match_all,
    "match_any": _match_any,
    "match_none": _match_none,
    "ne": _not_equal,
    "not_match": _not_match,
    "not_one_of": _not_one_of,
    "one_of": _one_of,
    "referenceable": _flag({"x-referenceable": True}),
    "starts_with": _starts_with,
    "uuid": _uuid,
    "values": _values,
}
