"""grpc.health.v1.Health, by which hosts learn at once that a server goes away.

Its two messages are small enough to write by hand.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc

_SERVING = b"\x08\x01"
_NOT_SERVING = b"\x08\x02"
_UNKNOWN = b"\x08\x03"
_HEALTHY = ("", "plugin")
WATCH_SECONDS = 1.0
"""Between two looks at whether the server is exhausted, for who watches."""

# A stream holds a thread of the control plane: a host that gets none looks from time to time.
_MAX_WATCHERS = 16


class Health:
    """The health of the server: serving until ``leave``, but not while it has no thread left for handlers, which it asks for."""

    def __init__(self, exhausted: Callable[[], bool] = lambda: False) -> None:
        self._changed = threading.Condition()
        self._leaving = False
        self._exhausted = exhausted  # takes its time, and is called without the lock
        self._watching = 0

    @property
    def watched(self) -> bool:
        """Whether somebody watches, who hears of the end at once."""
        with self._changed:
            return self._watching > 0

    def leave(self) -> None:
        """Says from now on that the server does not serve."""
        with self._changed:
            self._leaving = True
            self._changed.notify_all()

    def _status(self) -> bytes:
        return _NOT_SERVING if self._leaving or self._exhausted() else _SERVING

    def handler(self) -> grpc.GenericRpcHandler:
        """The service for the empty name and ``plugin``."""
        return grpc.method_handlers_generic_handler(
            "grpc.health.v1.Health",
            {"Check": grpc.unary_unary_rpc_method_handler(self._check), "Watch": grpc.unary_stream_rpc_method_handler(self._watch)},
        )

    def _check(self, request: bytes, context: Any) -> bytes:
        if _service_of(request) not in _HEALTHY:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service; known are the empty name and plugin")
        return self._status()

    def _watch(self, request: bytes, context: Any) -> Iterator[bytes]:
        ended = threading.Event()

        def end() -> None:
            with self._changed:
                ended.set()
                self._changed.notify_all()

        with self._changed:
            full = self._watching >= _MAX_WATCHERS
            self._watching += not full
        if full:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{_MAX_WATCHERS} clients watch already; use Check")
        try:
            if not context.add_callback(end):
                return
            if _service_of(request) not in _HEALTHY:
                yield _UNKNOWN
                with self._changed:
                    self._changed.wait_for(ended.is_set)
            said = b""
            while (said := self._after(said, ended)) and not ended.is_set():
                yield said
        finally:
            with self._changed:
                self._watching -= 1

    def _after(self, said: bytes, ended: threading.Event) -> bytes:
        """Waits until the status is another one than was said last, or nobody watches any more; the status."""
        while True:
            leaving = self._leaving
            status = self._status()
            with self._changed:
                if ended.is_set() or status != said:
                    return status
                if leaving == self._leaving:
                    self._changed.wait(WATCH_SECONDS)


def _service_of(request: bytes) -> str:
    """Field 1 of a HealthCheckRequest, a text of fewer than 128 bytes."""
    if len(request) >= 2 and request[0] == 0x0A and request[1] == len(request) - 2:
        return request[2:].decode("utf-8", "replace")
    return "" if not request else "?"
