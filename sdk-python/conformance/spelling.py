"""Values from and to the way in which vectors spell them; proto/vectors/pdk/README.md says how."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

from outrigger import Captures, Credential, MultiMap, Query

_MAX_EXACT = (1 << 53) - 1


def value_of(spelt: Any) -> Any:
    """What a vector spells, in Python's types."""
    if isinstance(spelt, list):
        return [value_of(item) for item in cast("list[Any]", spelt)]
    if not isinstance(spelt, dict):
        return spelt
    fields = cast("dict[str, Any]", spelt)
    match [*fields.items()]:
        case [("hex", str(digits))]:
            return bytes.fromhex(digits)
        case [("text", str(digits))]:
            return bytes.fromhex(digits).decode("utf-8", "surrogateescape")
        case [("int", str(digits))]:
            return int(digits)
        case _:
            return {key: value_of(item) for key, item in fields.items()}


def spell(value: Any) -> Any:
    """The reverse: a result in the spelling of vectors, ready for ``json.dumps``."""
    match value:
        case None | bool() | float():
            return value
        case int():
            return value if -_MAX_EXACT <= value <= _MAX_EXACT else {"int": str(value)}
        case str():
            return _spell_text(value)
        case bytes() | bytearray() | memoryview():
            return {"hex": bytes(value).hex()}
        case MultiMap() | Query():
            pairs = cast("Any", value)
            return {"pairs": [[spell(name), spell(item)] for name, item in pairs], "truncated": pairs.truncated}
        case Captures():
            return {
                "unnamed": [spell(group) for group in value.unnamed],
                "named": {name: spell(group) for name, group in value.named.items()},
            }
        case Credential():
            ids = {"id": value.id, "consumer_id": value.consumer_id}
            return {**{name: text for name, text in ids.items() if text}, **{name: spell(item) for name, item in value.fields.items()}}
        case Mapping():
            return {str(name): spell(item) for name, item in cast("Mapping[Any, Any]", value).items()}
        case Sequence():
            return [spell(item) for item in cast("Sequence[Any]", value)]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: spell(getattr(value, field.name)) for field in dataclasses.fields(value)}
        case _:
            raise TypeError(f"{value!r} has no spelling")


def _spell_text(text: str) -> Any:
    raw = text.encode("utf-8", "surrogateescape")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"text": raw.hex()}
    return text
