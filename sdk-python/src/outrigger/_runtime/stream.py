"""Carrier msgpack on a blocking socket, and the greeting of a lane."""

from __future__ import annotations

import contextlib
import hmac
import os
import socket
import struct
import time

from .. import _version
from .faults import say
from .lane import HostLeft, LaneState
from .tls import TlsSocket, wait_readable
from .wire import (
    BAD_FRAME,
    FRAME_SECONDS,
    LATE_FRAME,
    MAGIC,
    VERSION,
    BadFrame,
    Ended,
    Framer,
    encode_ask,
    encode_goaway,
    encode_hello,
    encode_log,
    encode_outcome,
    unsendable,
)
from .writer import Writer

READ_SIZE = 65536
"""Larger buffers cost more per call than they save."""

LARGE_READ = 1 << 20

GREETING_SECONDS = 10.0

_AT_ONCE: int = getattr(socket, "MSG_DONTWAIT", 0)
"""A flag for reads of what is there, as the rest of a frame mostly is; 0 where the system has none. To wait first costs another call, in
which other threads take the interpreter."""


class BadGreeting(Exception):
    """The peer is no host, speaks another version, or does not know the token."""


def read_greeting(sock: socket.socket | TlsSocket, token: bytes, deadline: float) -> None:
    """Reads the greeting of a host, until a moment of the monotonic clock.

    Raises:
        BadGreeting: it is not what it should be.
        OSError: the connection failed or was too slow.
    """
    magic, version, length = struct.unpack(">4sHH", _exactly(sock, 8, deadline))
    if magic != MAGIC:
        raise BadGreeting(f"greeting starts with {magic!r}; expected {MAGIC!r}")
    if version != VERSION:
        raise BadGreeting(f"greeting has protocol version {version}; expected {VERSION}")
    if length != len(token) or not hmac.compare_digest(_exactly(sock, length, deadline), token):
        raise BadGreeting("greeting has another token than Describe told")


def _exactly(sock: socket.socket | TlsSocket, size: int, deadline: float) -> bytes:
    data = b""
    while len(data) < size:
        piece = _receive(sock, size - len(data), deadline)
        if not piece:
            raise BadGreeting(f"connection ended after {len(data)} bytes of the greeting")
        data += piece
    return data


def _receive(sock: socket.socket | TlsSocket, size: int, deadline: float) -> bytes:
    """Waits for bytes, but not for ever."""
    if isinstance(sock, TlsSocket):
        return sock.recv(size, deadline)
    wait_readable(sock, deadline)
    return sock.recv(size)


def server_hello() -> bytes:
    """Frame of this server's hello."""
    return encode_hello("python", _version.VERSION, os.getpid())


def outcome_frames(call_id: int, outcome: Ended) -> list[bytes]:
    """Frames of an outcome; one that cannot be sent becomes a failed one."""
    try:
        return encode_outcome(call_id, outcome)
    except Exception as err:
        return encode_outcome(call_id, unsendable(err))


class MsgpackMessages:
    """Messages of a server as frames."""

    outcome = staticmethod(outcome_frames)
    encode = staticmethod(encode_outcome)
    log = staticmethod(encode_log)
    ask = staticmethod(encode_ask)


class SocketCarrier(MsgpackMessages):
    """Reads and writes frames on a blocking socket. One thread at a time reads; any thread writes."""

    def __init__(self, sock: socket.socket | TlsSocket) -> None:
        self._sock = sock
        self._framer = Framer()
        self._bounded = -1  # number of the frame that _deadline is for
        self._deadline = 0.0
        self._writer = Writer(sock, self._shut)
        self._writer.write([server_hello()])

    def read(self, state: LaneState) -> bool:
        """Waits for bytes and hands the frames to the state; False at the end of the lane."""
        try:
            data = self._rest_of_frame() if self._framer.begun else self._sock.recv(READ_SIZE)
        except TimeoutError:
            self._give_up(LATE_FRAME)
            return False
        except OSError:
            return False
        if not data:
            return False
        try:
            self._framer.feed(data, state.on_frame)
        except HostLeft:
            return False
        except BadFrame as err:
            self._give_up(str(err))
            return False
        return True

    def _rest_of_frame(self) -> bytes:
        """Waits for more of a frame that has come in part."""
        framer = self._framer
        if framer.frames != self._bounded:
            self._bounded = framer.frames
            self._deadline = time.monotonic() + FRAME_SECONDS
        missing = framer.missing()
        size = READ_SIZE if missing <= READ_SIZE else min(missing, LARGE_READ)
        if _AT_ONCE and isinstance(self._sock, socket.socket) and time.monotonic() < self._deadline:
            with contextlib.suppress(BlockingIOError):
                return self._sock.recv(size, _AT_ONCE)
        return _receive(self._sock, size, self._deadline)

    def _give_up(self, message: str) -> None:
        say(f"lane closed: {message}")
        self._writer.write([encode_goaway(BAD_FRAME, message)])

    def write(self, messages: list[bytes]) -> None:
        """Sends frames in order."""
        self._writer.write(messages)

    def _shut(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is not connected any more

    def leave(self, code: str, message: str) -> None:
        """Says goaway."""
        self._writer.write([encode_goaway(code, message)])

    def close(self) -> None:
        """Ends the lane; whoever reads sees its end."""
        self._writer.close()
        self._shut()
