"""Spans of a handler as operations of its outcome."""

from __future__ import annotations

from typing import Any

from .._span import Span
from .text import log_text
from .values import BadArgument, plain


def span_operations(spans: list[Span]) -> list[list[Any]]:
    """Finishes the spans, and gives one operation for each in order of start; docs/wire.md section 6."""
    numbers = {id(span): number for number, span in enumerate(spans, start=1)}
    for span in spans:
        span.finish()
    return [[90, [_fields(span, numbers)]] for span in spans]


def _fields(span: Span, numbers: dict[int, int]) -> dict[str, Any]:
    return {
        "id": numbers[id(span)],
        "parent": 0 if span.parent is None else numbers[id(span.parent)],
        "name": _sendable(span.name),
        "start": span.start,
        "end": span.end,
        "attributes": _attributes(span.attributes),
        "events": [[_sendable(name), time, _attributes(attributes)] for name, time, attributes in span.events],
        "status": span.status,
        "message": _sendable(span.message),
    }


def _attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes in types of the wire; a value of another type as text."""
    return {_sendable(key): _value(value) for key, value in attributes.items()}


def _value(value: Any) -> Any:
    try:
        return plain(value)
    except BadArgument:
        return _sendable(log_text((value,)))


def _sendable(text: object) -> str:
    """A text that can travel; half a surrogate pair becomes U+FFFD."""
    whole = text if isinstance(text, str) else str(text)
    try:
        whole.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" and not "\udc80" <= c <= "\udcff" else c for c in whole)
    return whole
