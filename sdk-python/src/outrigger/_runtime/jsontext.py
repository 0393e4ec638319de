"""JSON of bodies and log lines, the same bytes in every language."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any, NoReturn, cast

from .text import bytes_of, log_text, number_text, text_of
from .values import BadArgument

MAX_DEPTH = 512
"""Most lists and objects inside one another."""

_escapes = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.",
    re.DOTALL,
)

_not_text = re.compile("[\ud800-\udfff]")


class BadJSON(Exception):
    """Text that is no JSON object or array; the message says why."""


def _constant(name: str) -> NoReturn:
    raise BadJSON(f"{name} is no JSON number")


def _integer(digits: str) -> int | float:
    if len(digits) <= 20:
        number = int(digits)
        if -(1 << 63) <= number < 1 << 64:
            return number
    return _number(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise BadJSON(f"number {digits[:40]} is out of range")
    return number


_decode = json.JSONDecoder(parse_int=_integer, parse_float=_number, parse_constant=_constant).decode


def _escape(found: re.Match[str]) -> str:
    text = found[0]
    return "\\ufffd" if len(text) == 6 and text[1] == "u" else text


def parse_json(raw: bytes) -> Any:
    """The object or array of a JSON text, RFC 8259.

    Integers of 64 bits stay integers, other numbers become floats. The last of several equal keys counts. Escapes of half a surrogate
    pair become U+FFFD, bytes that are not UTF-8 appear as in every text of the PDK.

    Raises:
        BadJSON: it is something else, or nested too deep.
    """
    text = text_of(raw)
    if "\\u" in text:
        text = _escapes.sub(_escape, text)
    try:
        value = _decode(text)
    except RecursionError:
        raise BadJSON(f"it is nested more than {MAX_DEPTH} deep") from None
    except ValueError as err:
        raise BadJSON(str(err)) from None
    if not isinstance(value, (dict, list)):
        raise BadJSON("it is no object and no array")
    if text.count("[") + text.count("{") > MAX_DEPTH and _too_deep(value):
        raise BadJSON(f"it is nested more than {MAX_DEPTH} deep")
    return cast("Any", value)


def _too_deep(value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            inner = cast("list[Any]", list(item.values()) if isinstance(item, dict) else item)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
            below += [one for one in inner if isinstance(one, (dict, list))]
        if not below:
            return False
        level = below
    return True


def sorted_json(value: Any) -> bytes:
    """A value as compact JSON with keys in the order of their bytes.

    Raises:
        BadArgument: it has no JSON form, or is nested too deep.
    """
    pieces: list[str] = []
    try:
        _write(pieces, value, 0)
    except RecursionError:
        raise BadArgument("value is nested too deep") from None
    return _not_text.sub("\ufffd", "".join(pieces)).encode()


def _write(out: list[str], value: Any, depth: int) -> None:
    if value is None:
        out.append("null")
    elif isinstance(value, bool):
        out.append("true" if value else "false")
    elif isinstance(value, str):
        out.append(encode_basestring(value))
    elif isinstance(value, (int, float)):
        out.append(number_text(value))
    elif not isinstance(value, (dict, list, tuple, Mapping)):
        raise BadArgument(f"value holds a {type(value).__name__}, which has no JSON form")
    elif depth == MAX_DEPTH:
        raise BadArgument(f"value is nested more than {MAX_DEPTH} deep")
    elif isinstance(value, (list, tuple)):
        opening = "["
        for item in cast("Sequence[Any]", value):
            out.append(opening)
            _write(out, item, depth + 1)
            opening = ","
        out.append("[]" if opening == "[" else "]")
    else:
        entries = cast("Mapping[Any, Any]", value)
        opening = "{"
        for key in _sorted_keys(entries):
            out.append(f"{opening}{encode_basestring(key)}:")
            _write(out, entries[key], depth + 1)
            opening = ","
        out.append("{}" if opening == "{" else "}")


def _sorted_keys(entries: Mapping[Any, Any]) -> list[str]:
    for key in entries:
        if not isinstance(key, str):
            raise BadArgument(f"map has a key of type {type(key).__name__}; expected str")
    return sorted(cast("Mapping[str, Any]", entries), key=bytes_of)


def inspected(value: object) -> str:
    """A value as ``log.inspect`` shows it: JSON with two blanks of indent and sorted keys; what has no JSON form as log functions do."""
    try:
        return _shown(value, "\n")
    except (BadArgument, RecursionError):
        return log_text((value,))


def _shown(value: object, line: str) -> str:
    if isinstance(value, Mapping) and value:
        entries = cast("Mapping[Any, Any]", value)
        inner = line + "  "
        lines = [f"{inner}{encode_basestring(key)}: {_shown(entries[key], inner)}" for key in _sorted_keys(entries)]
        return "{" + ",".join(lines) + line + "}"
    if isinstance(value, (list, tuple)) and value:
        inner = line + "  "
        return "[" + ",".join(inner + _shown(item, inner) for item in cast("Sequence[object]", value)) + line + "]"
    pieces: list[str] = []
    _write(pieces, value, 0)
    return "".join(pieces)
