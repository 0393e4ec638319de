"""Shapes of the small arrays in a call. They are decoded and checked when a handler first asks for them.

A shape is one function for each position: it takes what stands there, nil for a position that is missing, and gives what readers expect, or
raises Malformed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import Any, cast

from .headers import lines
from .text import bytes_of
from .values import Malformed

Position = Callable[[Any], Any]


def text(value: Any) -> str | bytes:
    """A text as it travels; nil is empty."""
    if value is None:
        return ""
    if not isinstance(value, (str, bytes)):
        raise Malformed(f"{type(value).__name__}; expected text")
    return value


def text_or_none(value: Any) -> str | bytes | None:
    """A text as it travels, or nil."""
    return None if value is None else text(value)


def number(value: Any) -> int:
    """A number from 0; nil is 0. A float without a fraction counts: some languages have no other numbers."""
    if value is None:
        return 0
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Malformed(f"{value!r:.40}; expected a number from 0")
    return value


def flag(value: Any) -> bool:
    """True or false; nil is false."""
    if value is None or isinstance(value, bool):
        return bool(value)
    raise Malformed(f"{type(value).__name__}; expected true or false")


def texts(value: Any) -> list[str | bytes]:
    """A list of texts; nil is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(f"{type(value).__name__}; expected a list of texts")
    return [text(item) for item in cast("list[Any]", value)]


def named_texts(value: Any) -> dict[str | bytes, str | bytes]:
    """A map of texts; nil is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"{type(value).__name__}; expected a map of texts")
    return {text(name): text(item) for name, item in cast("dict[Any, Any]", value).items()}


def lines_or_none(value: Any) -> list[Any] | None:
    """Header lines, or nil."""
    return None if value is None else lines(value)


FORWARDED: Sequence[Position] = (text, text, number, text, text_or_none)
CAPTURES: Sequence[Position] = (texts, named_texts)
RESPONSE: Sequence[Position] = (number, lines, number)
SERVICE_RESPONSE: Sequence[Position] = (number, lines_or_none)
TLS: Sequence[Position] = (text, text, text, flag)
TRACE: Sequence[Position] = (text, text)


def fitted(fields: list[Any], shape: Sequence[Position]) -> list[Any]:
    """The positions of a shape.

    Raises:
        Malformed: one holds something else.
    """
    return [position(value) for position, value in zip(shape, chain(fields, repeat(None)), strict=False)]


def body(value: Any) -> bytes | None:
    """Bytes of a body, which may travel as text."""
    if value is None or isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise Malformed(f"body is a {type(value).__name__}; expected bytes")
    return bytes_of(value)
