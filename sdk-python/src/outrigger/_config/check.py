"""Checks values against the part of JSON Schema 2020-12 that configurations of plugins use, with every fault named."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from .errors import Faults, below
from .formats import BY_SCHEMA_NAME

Schema = Mapping[str, Any]

_NAMES = {
    "boolean": "a boolean", "integer": "an integer", "number": "a number", "string": "a text", "array": "a list", "object": "an object",
    "null": "null",
}  # fmt: skip


def kind_of(value: object) -> str:
    """The JSON type of a value; its Python type when it has none."""
    if value is None:
        return "null"
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object")):
        if isinstance(value, kind):
            return name
    return type(value).__name__


def kind_name(value: object) -> str:
    """The type of a value in words."""
    kind = kind_of(value)
    return _NAMES.get(kind, kind)


def _is(value: object, wanted: str) -> bool:
    kind = kind_of(value)
    if wanted == "number":
        return kind in ("integer", "number")
    if wanted == "integer" and kind == "number":
        number = cast("float", value)
        return math.isfinite(number) and number.is_integer()
    return kind == wanted


def equal(one: object, other: object) -> bool:
    """Equality of JSON: numbers by value, booleans are no numbers."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        pairs = cast("list[Any]", one), cast("list[Any]", other)
        return len(pairs[0]) == len(pairs[1]) and all(map(equal, *pairs))
    if isinstance(one, dict) and isinstance(other, dict):
        first, second = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return first.keys() == second.keys() and all(equal(value, second[key]) for key, value in first.items())
    return one == other


def check(schema: Schema, value: Any, path: str, faults: Faults, hidden: bool = False) -> None:
    """Adds the faults of a value. What is secret is not shown."""
    hidden = hidden or schema.get("x-secret") is True

    def shown() -> str:
        return "a secret value" if hidden else repr(value)

    wanted = schema.get("type")
    kinds = [wanted] if isinstance(wanted, str) else cast("list[str]", wanted or [])
    if kinds and not any(_is(value, kind) for kind in kinds):
        names = [_NAMES[kind] for kind in kinds if kind != "null"]
        faults.append((path, f"found {kind_name(value)}; expected {' or '.join(names)}"))
        return
    if "enum" in schema and not any(equal(value, choice) for choice in schema["enum"]):
        choices = ", ".join(repr(choice) for choice in schema["enum"] if choice is not None)
        faults.append((path, f"found {shown()}; expected one of {choices}"))
        return
    if "const" in schema and not equal(value, schema["const"]):
        faults.append((path, f"found {shown()}; expected {schema['const']!r}"))
    for rules in schema.get("allOf", ()):
        check(rules, value, path, faults, hidden)
    _check_any(schema, value, path, faults, hidden)
    _check_not(schema, value, path, faults, shown)
    if isinstance(value, str):
        _check_text(schema, value, path, faults, shown)
    elif isinstance(value, list):
        _check_list(schema, cast("list[Any]", value), path, faults, hidden)
    elif isinstance(value, dict):
        _check_object(schema, cast("dict[str, Any]", value), path, faults, hidden)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_number(schema, value, path, faults, shown)


def fits(schema: Schema, value: Any) -> bool:
    """Whether a value has no faults."""
    faults: Faults = []
    check(schema, value, "", faults)
    return not faults


def _check_any(schema: Schema, value: Any, path: str, faults: Faults, hidden: bool) -> None:
    """Of several choices the faults of the first one that has the value's type are told, else those of the first."""
    tried: list[Faults] = []
    for choice in schema.get("anyOf", ()):
        found: Faults = []
        check(choice, value, path, found, hidden)
        if not found:
            return
        tried.append(found)
    if tried:
        faults += next((found for found in tried if not found[0][1].startswith("found a") or found[0][0] != path), tried[0])


def _check_not(schema: Schema, value: Any, path: str, faults: Faults, shown: Callable[[], str]) -> None:
    forbidden = schema.get("not")
    if forbidden is None or value is None or not fits(forbidden, value):
        return
    if "enum" in forbidden:
        faults.append((path, f"found {shown()}; expected none of {', '.join(map(repr, forbidden['enum']))}"))
    elif "const" in forbidden:
        faults.append((path, f"found {shown()}; expected another value"))
    else:
        faults.append((path, f"found {shown()}; expected a text that does not match {forbidden.get('pattern')}"))


def _check_text(schema: Schema, value: str, path: str, faults: Faults, shown: Callable[[], str]) -> None:
    if len(value) < schema.get("minLength", 0):
        faults.append((path, f"found {len(value)} characters; expected at least {schema['minLength']}"))
    elif "maxLength" in schema and len(value) > schema["maxLength"]:
        faults.append((path, f"found {len(value)} characters; expected at most {schema['maxLength']}"))
    elif "format" in schema and not BY_SCHEMA_NAME[schema["format"]].fits(value):
        faults.append((path, f"found {shown()}; expected {BY_SCHEMA_NAME[schema['format']].expected}"))
    elif "pattern" in schema and not re.search(schema["pattern"], value):
        faults.append((path, f"found {shown()}; expected a text that matches {schema['pattern']}"))


def _check_number(schema: Schema, value: float, path: str, faults: Faults, shown: Callable[[], str]) -> None:
    bounds: tuple[tuple[str, Callable[[float], bool], str], ...] = (
        ("minimum", lambda bound: value >= bound, "at least"),
        ("maximum", lambda bound: value <= bound, "at most"),
        ("exclusiveMinimum", lambda bound: value > bound, "more than"),
        ("exclusiveMaximum", lambda bound: value < bound, "less than"),
        ("multipleOf", lambda step: math.isclose(value / step, round(value / step), rel_tol=0, abs_tol=1e-9), "a multiple of"),
    )
    for keyword, holds, words in bounds:
        if keyword in schema and not holds(schema[keyword]):
            faults.append((path, f"found {shown()}; expected {words} {schema[keyword]}"))
            return


def _check_list(schema: Schema, value: list[Any], path: str, faults: Faults, hidden: bool) -> None:
    if len(value) < schema.get("minItems", 0):
        faults.append((path, f"found {len(value)} items; expected at least {schema['minItems']}"))
    elif "maxItems" in schema and len(value) > schema["maxItems"]:
        faults.append((path, f"found {len(value)} items; expected at most {schema['maxItems']}"))
    for i, item in enumerate(value):
        if schema.get("uniqueItems") and any(equal(item, other) for other in value[:i]):
            faults.append((below(path, i), "found an item that is there already; expected different ones"))
        if "items" in schema:
            check(schema["items"], item, below(path, i), faults, hidden)
    if "contains" in schema and not any(fits(schema["contains"], item) for item in value):
        faults.append((path, f"found no {schema['contains'].get('const')!r} in the list; expected one"))


def _check_object(schema: Schema, value: dict[str, Any], path: str, faults: Faults, hidden: bool) -> None:
    if len(value) < schema.get("minProperties", 0):
        faults.append((path, f"found {len(value)} entries; expected at least {schema['minProperties']}"))
    elif "maxProperties" in schema and len(value) > schema["maxProperties"]:
        faults.append((path, f"found {len(value)} entries; expected at most {schema['maxProperties']}"))
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for name, item in value.items():
        at = below(path, name)
        if name in properties:
            check(properties[name], item, at, faults, hidden)
        elif others is False:
            known = f"expected one of {', '.join(properties)}" if properties else "the plugin takes no configuration"
            faults.append((at, f"there is no such setting; {known}"))
        else:
            if "propertyNames" in schema:
                names: Faults = []
                check(schema["propertyNames"], name, at, names)
                faults += [(where, f"name: {message}") for where, message in names]
            if isinstance(others, Mapping):
                check(cast("Schema", others), item, at, faults, hidden)
    faults += [(below(path, name), "is required") for name in schema.get("required", ()) if name not in value]


def with_defaults(schema: Schema, value: Any) -> Any:
    """A copy of a value with the defaults of what is missing in its objects, as the gateway fills them in.

    A null that the schema does not allow counts as absent.
    """
    if isinstance(value, dict):
        properties: Mapping[str, Schema] = schema.get("properties", {})
        others = schema.get("additionalProperties")
        filled: dict[str, Any] = {}
        for name, item in cast("dict[str, Any]", value).items():
            if item is None and name in properties and not _may_be_null(properties[name]):
                continue
            inner = properties.get(name, others)
            filled[name] = with_defaults(cast("Schema", inner), item) if isinstance(inner, Mapping) else copy.deepcopy(item)
        for name, inner in properties.items():
            if name not in filled and "default" in inner:
                filled[name] = with_defaults(inner, inner["default"])
        return filled
    if isinstance(value, list):
        inner = schema.get("items", {})
        return [with_defaults(inner, item) for item in cast("list[Any]", value)]
    return value


def _may_be_null(schema: Schema) -> bool:
    kinds = schema.get("type")
    if kinds is not None and "null" not in ([kinds] if isinstance(kinds, str) else kinds):
        return False
    if "enum" in schema and None not in schema["enum"]:
        return False
    return all(map(_may_be_null, schema.get("allOf", ()))) and ("anyOf" not in schema or any(map(_may_be_null, schema["anyOf"])))
