"""TLS on a blocking socket that one thread reads while others write.

OpenSSL's connection may be used by one thread at a time, and ``ssl.SSLSocket`` would hold it while it waits. Here the waiting is done on
the socket below, without the lock.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time

_READ = 65536


def wait_readable(sock: socket.socket, deadline: float) -> None:
    """Waits for bytes until a moment of the monotonic clock.

    Raises:
        TimeoutError: none came, or the moment is over.
    """
    left = deadline - time.monotonic()
    if left > 0:
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        if poll.poll(left * 1000):
            return
    raise TimeoutError("nothing came in time")


class TlsSocket:
    """The server's side of a TLS connection, with the methods of a socket that lanes use.

    One thread at a time receives; any thread sends.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._lock = threading.Lock()  # guards the three above; never held while something waits
        self._sending = threading.Lock()  # who holds it empties _out: records leave in the order in which they were made

    def handshake(self, deadline: float) -> None:
        """Lets the other side show who it is.

        Raises:
            OSError: it could not, or not in time.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._send_pending()
                wait_readable(self._sock, deadline)
                self._fill()
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    self._send_pending()  # the alert says why
                raise
            else:
                self._send_pending()
                return

    def recv(self, size: int, deadline: float | None = None) -> bytes:
        """Waits for bytes; none at the end of the connection."""
        while True:
            with self._lock:
                try:
                    data = self._tls.read(size)
                except ssl.SSLWantReadError:
                    data = None
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    return b""
                answers = self._out.pending
            if answers:
                self._send_pending()
            if data is not None:
                return data
            if deadline is not None:
                wait_readable(self._sock, deadline)
            self._fill()

    def _fill(self) -> None:
        raw = self._sock.recv(_READ)
        with self._lock:
            if raw:
                self._in.write(raw)
            else:
                self._in.write_eof()

    def sendall(self, data: bytes) -> None:
        """Sends bytes."""
        with self._sending:
            with self._lock:
                self._tls.write(data)
                raw = self._out.read()
            self._sock.sendall(raw)

    def _send_pending(self) -> None:
        with self._sending:
            with self._lock:
                raw = self._out.read()
            if raw:
                self._sock.sendall(raw)

    def shutdown(self, how: int) -> None:
        """Ends the connection below; whoever receives sees its end."""
        self._sock.shutdown(how)

    def settimeout(self, seconds: float | None) -> None:
        """Bounds each wait of the socket below."""
        self._sock.settimeout(seconds)

    def close(self) -> None:
        """Closes the socket below."""
        self._sock.close()
