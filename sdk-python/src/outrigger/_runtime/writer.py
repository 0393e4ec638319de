"""Writes to a socket from many threads: whoever comes first writes, and takes along what others add meanwhile."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence

from .tls import TlsSocket

_BULK_GROUP = 4
"""Chunk frames (32 KiB each) that one send takes, so that frames of other calls pass between them."""

_BULK_PENDING = 128 << 10
"""A sender of large bytes waits while more than this is pending."""


class Writer:
    """Combines the frames of many threads into few sends. It may be used by any thread."""

    def __init__(self, sock: socket.socket | TlsSocket, on_error: Callable[[], None]) -> None:
        self._sock = sock
        self._on_error = on_error
        self._lock = threading.Lock()
        self._drained = threading.Condition(self._lock)
        self._pending: list[bytes] = []
        self._size = 0
        self._writing = False
        self._waiting = 0
        self._broken = False

    def write(self, frames: Sequence[bytes]) -> None:
        """Sends frames in order. Returns when they are sent, or another thread is about to send them.

        What cannot be sent for lack of memory breaks the connection: the other side must not wait for frames that are lost.
        """
        try:
            if len(frames) > _BULK_GROUP and sum(map(len, frames)) > _BULK_PENDING:
                for at in range(0, len(frames), _BULK_GROUP):
                    self._write(frames[at : at + _BULK_GROUP], True)
            else:
                self._write(frames, False)
        except BaseException:
            self._break()
            raise

    def _write(self, frames: Sequence[bytes], wait: bool) -> None:
        data = b"".join(frames)
        with self._lock:
            while wait and self._size > _BULK_PENDING and not self._broken:
                self._waiting += 1
                self._drained.wait()
                self._waiting -= 1
            if self._broken:
                return
            if self._writing:
                self._pending.append(data)
                self._size += len(data)
                return
            self._writing = True
        while True:
            try:
                self._sock.sendall(data)
            except OSError:
                self._break()
            with self._lock:
                if not self._pending or self._broken:
                    self._writing = False
                    return
                data = b"".join(self._pending)
                self._pending = []
                self._size = 0
                if self._waiting:
                    self._drained.notify_all()

    def _break(self) -> None:
        self.close()
        self._on_error()

    def close(self) -> None:
        """Drops what is pending and everything that comes later."""
        with self._lock:
            self._broken = True
            self._pending = []
            self._drained.notify_all()
