"""Spans: what a handler reports about its work, for tracing."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self

SpanStatus = Literal["unset", "ok", "error"]


def _now() -> int:
    return time.time_ns() // 1000


class Span:
    """One piece of a handler's work. ``kong.tracing.start_span`` makes it; ``with`` finishes it.

    Several threads may use it at once. A finished span ignores what is done to it. Times are microseconds since the epoch.

    Attributes:
        name: What is done.
        start: When it began.
        end: When it was finished; 0 while it is not.
        attributes: Attributes by name.
        events: ``(name, time, attributes)`` in order.
        status: unset, ok or error.
        message: Of the status; may be empty.
        parent: The span that it is a child of; None for one of the handler itself.
    """

    __slots__ = ("_lock", "attributes", "end", "events", "message", "name", "parent", "start", "status")

    def __init__(self, name: str, attributes: Mapping[str, Any] | None = None, *, parent: Span | None = None) -> None:
        self._lock = threading.Lock()
        self.name = name
        self.start = _now()
        self.end = 0
        self.attributes: dict[str, Any] = dict(attributes or {})
        self.events: list[tuple[str, int, dict[str, Any]]] = []
        self.status: SpanStatus = "unset"
        self.message = ""
        self.parent = parent

    def set_attribute(self, key: str, value: Any) -> None:
        """Sets one attribute. Values are those of ``ctx.shared``; another one is kept as text."""
        with self._lock:
            if not self.end:
                self.attributes[key] = value

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None) -> None:
        """Records that something happened now."""
        with self._lock:
            if not self.end:
                self.events.append((name, _now(), dict(attributes or {})))

    def record_error(self, error: BaseException | str) -> None:
        """Adds the event exception with the attribute exception.message and sets the status to error."""
        message = str(error)
        with self._lock:
            if not self.end:
                self.events.append(("exception", _now(), {"exception.message": message}))
                self.status, self.message = "error", message

    def set_status(self, status: SpanStatus, message: str = "") -> None:
        """Sets the status; a text that is no status counts as unset."""
        with self._lock:
            if not self.end:
                self.status, self.message = (status if status in ("ok", "error") else "unset"), message

    def finish(self) -> None:
        """Ends the span now."""
        with self._lock:
            if not self.end:
                self.end = max(self.start, _now())

    @property
    def finished(self) -> bool:
        """Whether the span has ended."""
        return self.end != 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Exception):  # an exit is none
            self.record_error(error)
        self.finish()

    def __repr__(self) -> str:
        return f"Span({self.name!r}{'' if self.end else ', unfinished'})"
