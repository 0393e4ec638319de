"""A small host for tests: it starts a plugin server and speaks the wire, with msgpack as a codec that is not the SDK's."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import msgpack

from outrigger._gen.proto import plugin_pb2 as pb
from outrigger._gen.proto.grpc_controller_pb2 import Empty
from outrigger._gen.proto.grpc_controller_pb2_grpc import GRPCControllerStub
from outrigger._gen.proto.plugin_pb2_grpc import PluginServerStub

HELLO, CALL, OUTCOME, ASK, ANSWER, CHUNK, CANCEL, LOG, GOAWAY, ENTITY = range(1, 11)
PHASES = {"rewrite": 1, "access": 2, "response": 3, "header_filter": 4, "body_filter": 5, "log": 6}
HEADER = struct.Struct(">IIBBHI")
SECONDS = 20.0
DEFAULT_HELLO = [1, "7f9a3c9e-0000-4000-8000-000000000001", "node-1", "0.1.0", ["10.0.0.0/8"], 0, 8 << 20, 65536, "cluster-1", True]
RECORD_ID = "7a1f0000-0000-4000-8000-000000000001"


def pack(value: Any) -> bytes:
    data = msgpack.packb(value, use_bin_type=True, unicode_errors="surrogateescape")
    assert isinstance(data, bytes)
    return data


def unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, unicode_errors="surrogateescape", strict_map_key=False)


def frame(kind: int, call_id: int, body: bytes, step: int = 0) -> bytes:
    return HEADER.pack(len(body), call_id, kind, 0, step, 0) + body


def call_fields(
    instance: int = 1,
    phase: str = "access",
    *,
    method: str = "GET",
    target: bytes = b"/hello?x=1",
    path: bytes | None = None,
    raw_query: bytes | None = None,
    headers: list[tuple[str, bytes]] | None = None,
    **extra: Any,
) -> list[Any]:
    """The array of a call; ``extra`` fills the later positions by name."""
    flat: list[Any] = []
    for name, value in headers or [("host", b"gw.test"), ("user-agent", b"test")]:
        flat += [name, value]
    names = [
        "client", "forwarded", "route", "service", "consumer", "credential", "captures", "shared", "response", "service_response",
        "chunk", "last", "request_body", "response_body", "plugin", "tls", "groups", "trace", "prefetched", "steps",
    ]  # fmt: skip
    later: dict[str, Any] = dict.fromkeys(names)
    later["client"] = ["10.0.0.9", 40000, None, None, False]
    later["last"] = False
    later.update(extra)
    request: list[Any] = [method, "http", "gw.test", 8000, 11, target, path, flat]
    if raw_query is not None:
        request.append(raw_query)
    while len(names) > 18 and later[names[-1]] is None:  # the host leaves them out, too
        names.pop()
    return [instance, PHASES[phase], 1000, "ab" * 16, 1_700_000_000_000, request, *(later[name] for name in names)]


def steps_of(fields: list[Any]) -> int:
    """How many steps the fields of a call have."""
    return 1 + len(fields[25] or ()) if len(fields) > 25 else 1


class Pending:
    """One call in flight, as the host sees it."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.chunks: list[bytes] = []
        self.logs: list[tuple[int, Any]] = []
        self.asked: list[int] = []  # steps that asked
        self.steps = 1
        self.seen = 0
        self.done = False

    def take_outcome(self, step: int, outcome: list[Any]) -> None:
        """Takes the outcome of a step; they come in order."""
        assert step == self.seen, f"outcome of step {step}; expected {self.seen}"
        self.seen += 1
        stops = outcome[0] or any(operation[0] in (25, 26, 40, 41) for operation in outcome[2])
        self.done = stops or self.seen == self.steps
        self.events.put(("outcome", outcome))

    def next(self, seconds: float = SECONDS) -> tuple[str, Any]:
        """The next ask, outcome or end of the lane."""
        try:
            return self.events.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"no answer within {seconds} s") from None

    def outcome(self, seconds: float = SECONDS) -> list[Any]:
        """The outcome; anything else is an error."""
        kind, value = self.next(seconds)
        assert kind == "outcome", (kind, value)
        return value


def bins(value: Any, chunks: list[bytes]) -> Any:
    """Puts chunked bytes into the places of their extensions."""
    whole = b"".join(chunks)
    chunks.clear()
    taken = 0

    def place(item: Any) -> Any:
        nonlocal taken
        if isinstance(item, msgpack.ExtType):
            (size,) = struct.unpack(">Q", item.data)
            piece = whole[taken : taken + size]
            assert len(piece) == size
            taken += size
            return piece
        if isinstance(item, list):
            return [place(part) for part in item]
        return item

    placed = place(value)
    assert taken == len(whole)
    return placed


class Lane:
    """One lane of carrier msgpack."""

    def __init__(self, address: tuple[str, str, bytes], *, hello: list[Any] | None = None, token: bytes | None = None) -> None:
        network, where, own_token = address
        if network == "unix":
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(where)
        else:
            host, _, port = where.rpartition(":")
            self.sock = socket.create_connection((host, int(port)))
        token = own_token if token is None else token
        self.sock.sendall(b"ORLN" + struct.pack(">HH", 1, len(token)) + token)
        self._lock = threading.Lock()
        self._next = 0
        self.pending: dict[int, Pending] = {}
        self.hello: list[Any] | None = None
        self.goaway: list[Any] | None = None
        self.stray: list[tuple[int, int, Any]] = []
        self.ready = threading.Event()
        self.ended = threading.Event()
        self.send(frame(HELLO, 0, pack(DEFAULT_HELLO if hello is None else hello)))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send(self, data: bytes) -> None:
        with self._lock:
            self.sock.sendall(data)

    def start(self, fields: list[Any], large: list[bytes] | None = None) -> tuple[int, Pending]:
        """Sends a call; ``large`` go ahead in chunks, their places hold extensions already."""
        with self._lock:
            self._next += 1
            call_id = self._next
            pending = self.pending[call_id] = Pending()
            pending.steps = steps_of(fields)
            data = b"".join(chunk_frames(call_id, b"".join(large))) if large else b""
            self.sock.sendall(data + frame(CALL, call_id, pack(fields)))
        return call_id, pending

    def call(self, fields: list[Any], seconds: float = SECONDS) -> list[Any]:
        """Sends a call and waits for its outcome."""
        return self.start(fields)[1].outcome(seconds)

    def answer(self, call_id: int, value: Any = None, error: list[str] | None = None, step: int = 0) -> None:
        data = b""
        if isinstance(value, bytes) and len(value) > 32768:
            data = b"".join(chunk_frames(call_id, value))
            value = ext(value)
        self.send(data + frame(ANSWER, call_id, pack([error, value]), step))

    def cancel(self, call_id: int) -> None:
        self.send(frame(CANCEL, call_id, b""))

    def entity(self, slot: int, document: dict[str, Any]) -> None:
        self.send(frame(ENTITY, 0, pack([slot, document])))

    def _read(self) -> None:
        data = b""
        while True:
            try:
                more = self.sock.recv(1 << 20)
            except OSError:
                more = b""
            if not more:
                break
            data += more
            while len(data) >= 16:
                length, call_id, kind, flags, step, reserved = HEADER.unpack_from(data)
                assert (flags, reserved) == (0, 0)
                if len(data) < 16 + length:
                    break
                body, data = data[16 : 16 + length], data[16 + length :]
                self._take(kind, call_id, body, step)
        self.ended.set()
        self.ready.set()
        for pending in list(self.pending.values()):
            pending.events.put(("end", None))

    def _take(self, kind: int, call_id: int, body: bytes, step: int) -> None:
        pending = self.pending.get(call_id)
        if kind == HELLO:
            self.hello = unpack(body)
            self.ready.set()
        elif kind == GOAWAY:
            self.goaway = unpack(body)
        elif pending is None:
            self.stray.append((kind, call_id, body))
        elif kind == OUTCOME:
            pending.take_outcome(step, bins(unpack(body), pending.chunks))
            if pending.done:
                del self.pending[call_id]
        elif kind == ASK:
            pending.events.put(("ask", unpack(body)))
            pending.asked.append(step)
        elif kind == CHUNK:
            assert len(body) <= 32768
            pending.chunks.append(body)
        elif kind == LOG:
            pending.logs.append(tuple(unpack(body)))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self._reader.join(SECONDS)
        self.sock.close()

    def __enter__(self) -> Lane:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ext(value: bytes) -> msgpack.ExtType:
    """The place of bytes that go ahead in chunks."""
    return msgpack.ExtType(1, struct.pack(">Q", len(value)))


def chunk_frames(call_id: int, value: bytes) -> Iterator[bytes]:
    for at in range(0, len(value), 32768):
        yield frame(CHUNK, call_id, value[at : at + 32768])


class PluginServer:
    """A plugin server process, managed the way the gateway does it."""

    def __init__(
        self, *paths: Path | str, listen: str | None = None, env: dict[str, str] | None = None, command: list[str] | None = None
    ) -> None:
        self.run_dir = tempfile.TemporaryDirectory(prefix="or-")
        read_end, self.lifeline = os.pipe()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OUTRIGGER_")}
        environment["PYTHONDEVMODE"] = ""
        environment |= {"PLUGIN_PROTOCOL_VERSIONS": "1", "OUTRIGGER_SERVER": "py"} | (env or {})
        command = command or [sys.executable, "-m", "outrigger", "serve", *map(str, paths)]
        if listen is None:
            environment |= {
                "OUTRIGGER_PLUGIN": "82f1b1a5c0d94e1f", "OUTRIGGER_RUN_DIR": self.run_dir.name, "OUTRIGGER_LIFELINE_FD": str(read_end),
            }  # fmt: skip
        else:
            command += ["--listen", listen]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[read_end],
            start_new_session=True,
        )  # fmt: skip
        os.close(read_end)
        self.stderr: list[str] = []
        self._errors = threading.Thread(target=self._collect, daemon=True)
        self._errors.start()
        self._channel: grpc.Channel | None = None
        try:
            if listen is None:
                assert self.process.stdout is not None
                self.handshake = self.process.stdout.readline().decode().strip()
                if not self.handshake:
                    self._errors.join(SECONDS)  # it has ended, or is about to: what it said comes into the message
                assert self.handshake, "\n".join(self.stderr_text().splitlines()[-20:])
                version, protocol, network, path, kind = self.handshake.split("|")
                assert (version, protocol, network, kind) == ("1", "1", "unix", "grpc"), self.handshake
                self.target = f"unix:{path}"
            else:
                line = self.wait_for_line(lambda text: " at " in text and "serving" in text)
                bound = line.rpartition(" at ")[2]
                self.target = bound.replace("unix://", "unix:").replace("tcp://", "")
            self._channel = grpc.insecure_channel(self.target)
            self.control = PluginServerStub(self._channel)
            self.description: pb.DescribeResponse = self.control.Describe(pb.DescribeRequest(protocol_version=1), timeout=SECONDS)
        except BaseException:
            self.stop()
            raise

    def _collect(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.stderr.append(line.decode("utf-8", "replace").rstrip("\n"))

    def stderr_text(self) -> str:
        return "\n".join(self.stderr)

    def wait_for_line(self, wanted: Callable[[str], bool], seconds: float = SECONDS) -> str:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in list(self.stderr):
                if wanted(line):
                    return line
            if self.process.poll() is not None:
                self._errors.join(SECONDS)
                break
            time.sleep(0.005)
        for line in self.stderr:
            if wanted(line):
                return line
        raise AssertionError("the line did not come; stderr:\n" + self.stderr_text())

    @property
    def channel(self) -> grpc.Channel:
        assert self._channel is not None
        return self._channel

    def data_plane(self, carrier: str = "msgpack") -> tuple[str, str, bytes]:
        plane = next(plane for plane in self.description.data_planes if plane.carrier == carrier)
        return plane.network, plane.address, plane.token

    def configure(self, plugin: str, instance: int = 1, config: dict[str, Any] | None = None) -> list[tuple[str, str]]:
        request = pb.ConfigureRequest(instance_id=instance, plugin=plugin, config=json.dumps(config or {}).encode(), record_id=RECORD_ID)
        response = self.control.Configure(request, timeout=SECONDS)
        return [(error.path, error.message) for error in response.errors]

    def lane(self, **options: Any) -> Lane:
        lane = Lane(self.data_plane(), **options)
        assert lane.ready.wait(SECONDS)
        return lane

    def shutdown(self) -> int:
        """Ends it as go-plugin does; the exit code."""
        GRPCControllerStub(self.channel).Shutdown(Empty(), timeout=SECONDS)
        code = self.process.wait(SECONDS)
        self._errors.join(SECONDS)  # what it wrote last has been read
        return code

    def stop(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(SECONDS)
        self._errors.join(SECONDS)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        with contextlib.suppress(OSError):
            os.close(self.lifeline)
        self.run_dir.cleanup()

    def __enter__(self) -> PluginServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        if err is not None:
            err.add_note("stderr of the plugin server:\n" + self.stderr_text()[-4000:])
