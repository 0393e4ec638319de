"""The bare cost of a lane in Python: a server that answers every call frame with the same bytes and reads nothing of it.

    python bench/baselines/echo.py ADDRESS

ADDRESS is the path of a unix socket, or host:port. The server speaks carrier msgpack as far as a lane needs: it takes any token, says
hello, and answers each call with the outcome of a plugin that greets: it sets one header of the upstream request and one of the response.
One blocking thread reads up to 64 KiB, cuts out all complete frames and answers them with one send: what a plugin server in Python costs
beyond this is what the SDK and its plugin do. It says "ready" on stdout once it listens, and ends when its standard input does, or with
SIGTERM or SIGINT.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import sys
import threading
from pathlib import Path

READ_SIZE = 65536
HELLO, CALL, OUTCOME = 1, 2, 3

header = struct.Struct(">IIBBHI")


def packed(text: bytes, binary: bool) -> bytes:
    """A short MessagePack bin or str."""
    return (b"\xc4" + bytes([len(text)]) if binary else bytes([0xA0 | len(text)])) + text


def set_header(code: int) -> bytes:
    """The operation [code, name, [value]]."""
    return b"\x93" + bytes([code]) + packed(b"X-Hello-Python", False) + b"\x91" + packed(b"hello, bench", True)


# [ok, no error, operations, no body]
OUTCOME_BODY = b"\x94\x00\xc0\x92" + set_header(1) + set_header(21) + b"\xc0"


def hello() -> bytes:
    """Frame of the server's hello: version, language, SDK version, pid."""
    body = b"\x94\x01" + packed(b"echo", False) + packed(b"0", False) + b"\xce" + struct.pack(">I", os.getpid())
    return header.pack(len(body), 0, HELLO, 0, 0, 0) + body


def exactly(sock: socket.socket, size: int) -> bytes:
    """That many bytes, or EOFError."""
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def answer(sock: socket.socket) -> None:
    """Answers calls until the peer leaves."""
    _, _, length = struct.unpack(">4sHH", exactly(sock, 8))
    exactly(sock, length)
    sock.sendall(hello())
    recv, sendall, unpack, pack, size = sock.recv, sock.sendall, header.unpack_from, header.pack, len(OUTCOME_BODY)
    rest = b""
    while data := recv(READ_SIZE):
        if rest:
            data = rest + data
        at, end = 0, len(data)
        out: list[bytes] = []
        while end - at >= 16:
            frame_size, call_id, kind, _, _, _ = unpack(data, at)
            stop = at + 16 + frame_size
            if stop > end:
                break
            if kind == CALL:
                out += (pack(size, call_id, OUTCOME, 0, 0, 0), OUTCOME_BODY)
            at = stop
        rest = data[at:]
        if out:
            sendall(b"".join(out))


def serve(sock: socket.socket) -> None:
    """Life of one connection."""
    with sock, contextlib.suppress(EOFError, OSError):
        answer(sock)


def listen(address: str) -> socket.socket:
    """A listening socket."""
    host, colon, port = address.rpartition(":")
    if colon and "/" not in address:
        return socket.create_server((host, int(port)))
    Path(address).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    return listener


def end_with_input() -> None:
    """Ends the process when whoever started it is gone."""
    while sys.stdin.buffer.read(READ_SIZE):
        pass
    os._exit(0)


def main() -> None:
    """Listens and answers until it is told to end."""
    if len(sys.argv) != 2:
        sys.exit("usage: echo.py ADDRESS; expected the path of a unix socket, or host:port")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    listener = listen(sys.argv[1])
    print("ready", flush=True)
    threading.Thread(target=end_with_input, daemon=True).start()
    while True:
        sock, _ = listener.accept()
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


if __name__ == "__main__":
    main()
