"""Shows a handler its own ``log.set_serialize_value`` calls in the log entry that the host answered."""

from __future__ import annotations

import json
import math
from typing import Any, cast

from .text import log_text

_SET_SERIALIZE_VALUE = 60


def serialize_over(entry: str, operations: list[list[Any]]) -> str:
    """The entry with the operations of code 60 applied in order.

    Raises:
        ValueError: the entry is no JSON object.
    """
    changes = [operation for operation in operations if operation[0] == _SET_SERIALIZE_VALUE]
    if not changes:
        return entry
    document = json.loads(entry)
    if not isinstance(document, dict):
        raise ValueError(f"it is a {type(document).__name__}")
    for _, key, value, mode in changes:
        _set(cast("dict[str, Any]", document), key, textual(value), mode)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _set(entry: dict[str, Any], key: str, value: Any, mode: str) -> None:
    *parents, last = _split(key)
    for part in parents:
        below = entry.get(part)
        if not isinstance(below, dict):
            if below is not None or mode == "replace" or value is None:
                return
            below = entry[part] = {}
        entry = cast("dict[str, Any]", below)
    if (mode == "add" and last in entry) or (mode == "replace" and last not in entry):
        return
    if value is None:
        entry.pop(last, None)
    else:
        entry[last] = value


def textual(value: Any) -> Any:
    """Bytes, and floats that are no numbers, as text, since the entry is JSON."""
    if isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value)):
        return log_text((value,))
    if isinstance(value, list):
        return [textual(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: textual(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


def _split(key: str) -> list[str]:
    r"""Parts of a key: dots descend, ``\.`` is a dot."""
    return [part.replace("\0", ".") for part in key.replace("\\.", "\0").split(".")]
