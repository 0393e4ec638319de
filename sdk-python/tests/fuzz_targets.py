"""What fuzzing feeds: one target for each decoder of this SDK.

A target raises when it finds something, and otherwise says what the input met.

What it says, such as the words of a refusal, tells the fuzzer that an input has reached something new.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import mutate
from google.protobuf.message import DecodeError

from outrigger import Plugin
from outrigger._errors import PDKError
from outrigger._gen.functions import FUNCTIONS
from outrigger._gen.proto import plugin_pb2 as pb
from outrigger._runtime import values, wire
from outrigger._runtime.call import Call
from outrigger._runtime.control import ControlPlane
from outrigger._runtime.grpc_lane import GrpcCarrier
from outrigger._runtime.grpc_stream import IteratedStream
from outrigger._runtime.lane import HostLeft, LaneState
from outrigger._runtime.loop import LoopRunner
from outrigger._runtime.plugins import PluginSpec
from outrigger._runtime.registry import Registry
from outrigger._runtime.stream import BadGreeting, read_greeting
from outrigger._runtime.wire import Answer, BadFrame, Ended, Framer, Outcome

VECTORS = Path(__file__).parents[2] / "proto" / "vectors" / "wire"
CORPUS = Path(__file__).parent / "corpus"


class Everything(Plugin):
    """Handles all phases, so that any call can start."""

    name, version = "everything", "1"

    @dataclass
    class Config:
        """Fields of the kinds that configurations have."""

        name: str = "x"
        count: int = 1
        ratio: float = 0.5
        names: list[str] = field(default_factory=list)
        limits: dict[str, int] = field(default_factory=dict)
        loud: bool = False
        note: str | None = None

    def rewrite(self, kong: Any) -> None: ...

    access = response = header_filter = log = rewrite

    def body_filter(self, kong: Any, chunk: bytes, last: bool) -> None: ...


def _registry() -> Registry:
    registry = Registry([PluginSpec(Everything)], LoopRunner().run)
    for instance in (1, 2, 7, 42):
        registry.configure(instance, "everything", {})
    return registry


class Port:
    """What a call needs of its lane. Answers of the host are what the input holds."""

    node: Any = None

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer = answer or Answer()

    def log(self, call: Any, level: int, message: str) -> None:
        """Encodes the line."""
        wire.encode_log(call.call_id, level, message)

    def deliver(self, call: Any, outcome: Ended) -> None: ...

    def lied(self, call: Any, message: str) -> None: ...

    def ask(self, call: Any, function: int, args: list[Any]) -> Answer:
        """Answers at once."""
        wire.encode_ask(call.call_id, function, args)
        return self.answer

    async def ask_async(self, call: Any, function: int, args: list[Any]) -> Answer:
        """Answers at once."""
        return self.ask(call, function, args)


def words(err: BaseException) -> str:
    """An error without the numbers and quotations that differ from input to input."""
    return re.sub(r"[0-9]+|'[^']*'|\"[^\"]*\"|0x\w+", "#", f"{type(err).__name__} {err}")[:100]


_UUID = "7a1f0000-0000-4000-8000-000000000001"
_ARGUMENTS: dict[str, Any] = {
    "name": "x-name", "key": "k", "max_args": 1000, "max_headers": 1000, "address": "10.0.0.1", "text": "{vault://env/a}",
    "id": _UUID, "consumer_id": _UUID, "options": {},
}  # fmt: skip


def _calls() -> list[tuple[str, int, str, list[Any]]]:
    """Every function that reads or asks, with arguments."""
    found: list[tuple[str, int, str, list[Any]]] = []
    for name, function in FUNCTIONS.items():
        if function.class_ not in ("read", "ask"):
            continue
        method = name.replace(".", "_")
        arguments: list[Any] = []
        for parameter in list(inspect.signature(getattr(Call, method)).parameters.values())[1:]:
            if parameter.name in _ARGUMENTS:
                arguments.append(_ARGUMENTS[parameter.name])
            elif parameter.default is inspect.Parameter.empty:
                arguments.append("x")
            else:
                arguments.append(parameter.default)
        found.append((name, function.phases, method, arguments))
    return found


CALLS = _calls()


def read_all(call: Call) -> list[str]:
    """Calls everything that a handler may read or ask in the phase. A PDK error is an answer; anything else is a finding."""
    met: list[str] = []
    bit = 1 << call.head.phase
    for name, phases, method, arguments in CALLS:
        if phases & bit:
            try:
                getattr(call, method)(*arguments)
            except PDKError as err:
                met.append(f"{name} {words(err)}")
    return met


class Lane:
    """The state of a lane after the hello, and what it refused."""

    def __init__(self, registry: Registry, hello: bool, port: Port) -> None:
        self.port = port
        self.refused: list[str] = []
        self.state = LaneState(registry, port)
        self.state.refuse = self._refuse
        self.state.send = lambda message: None
        if hello:
            self.state.on_hello(wire.HostHello(node_id="n", trusted_cidrs=["10.0.0.0/8"], max_body=1 << 20, cluster_id="c"))

    def _refuse(self, call_id: int, outcome: Outcome) -> None:
        wire.encode_outcome(call_id, outcome)
        self.refused.append(str(outcome.error and outcome.error[0]))

    def run(self) -> list[str]:
        """Runs what has become ready, and asks once so that answers find somebody."""
        met: list[str] = []
        ready, self.state.ready = self.state.ready, []
        self.port.node = self.state.node
        for call in ready:
            self.state.new_waiter(call, b"", None)
            met += read_all(call)
        return met


class Targets:
    """The targets, with what they share."""

    def __init__(self) -> None:
        self.registry = _registry()
        self.control = ControlPlane(self.registry, [], lambda carrier: None)

    def lane(self, data: bytes) -> list[str]:
        """Frames of a host, cut into pieces: the lane takes them or ends with BadFrame, and nothing is held beyond what came."""
        size = 1 + (len(data) * 7 + (data[0] if data else 0)) % 97
        met: list[str] = []
        whole: list[_Frame] = []
        cut: list[_Frame] = []
        ends = [_feed(Framer(), [data], whole), _feed(Framer(), [data[i : i + size] for i in range(0, len(data), size)], cut)]
        assert whole == cut, "frames differ with the way that the bytes are cut"
        assert ends[0] == ends[1], ends
        lane = Lane(self.registry, not any(kind == wire.HELLO for kind, *_ in whole[:1]), Port())
        try:
            for kind, call_id, body, step in whole:
                lane.state.on_frame(kind, call_id, body, step)
                met += lane.run()
                met.append(f"took {kind}")
        except (BadFrame, HostLeft) as err:
            met.append(words(err))
        lane.state.abandon_all()
        assert not lane.state.calls
        assert not lane.state.waiters
        return met + lane.refused

    def value(self, data: bytes) -> list[str]:
        """A free value: both decoders agree, and what is encoded again means the same."""
        try:
            found = values.decode_value(data)
        except values.Malformed as err:
            try:
                values.decode_tolerant(data)
            except values.Malformed:
                return [words(err)]
            raise AssertionError("the tolerant decoder takes what the other refuses") from None
        if not _ordinary(found):
            return ["no peer sends this"]
        again = values.encode_value(found)
        assert repr(values.decode_tolerant(again)) == repr(found), (found, again)
        with contextlib.suppress(values.BadArgument):
            assert repr(values.plain(found)) == repr(found)
        return [type(found).__name__ + str(data[:1])]

    def answer(self, data: bytes) -> list[str]:
        """An answer's body, for every function that asks."""
        lane = Lane(self.registry, True, Port())
        lane.state.on_frame(wire.CALL, 1, ANY_CALL)
        (call,) = lane.state.ready
        registered = lane.state.new_waiter(call, b"", None)
        assert registered is not None
        try:
            lane.state.on_frame(wire.ANSWER, 1, data)
        except BadFrame as err:
            return [words(err)]
        call.port = Port(registered[0].wait())
        cast("Port", call.port).node = lane.state.node
        return read_all(call)

    def greeting(self, data: bytes) -> list[str]:
        """The first bytes of a connection."""
        here, there = socket.socketpair()
        with here, there:
            there.sendall(data[:4096])
            there.shutdown(socket.SHUT_WR)
            try:
                read_greeting(here, b"0123456789abcdef", time.monotonic() + 10)
            except (BadGreeting, OSError) as err:
                return [words(err)]
        assert data.startswith(b"ORLN\x00\x01\x00\x100123456789abcdef")
        return ["taken"]

    def grpc(self, data: bytes) -> list[str]:
        """Messages of a stream: the lane takes them or ends, and says goaway with a code when they are wrong."""
        requests: list[pb.DispatchRequest] = []
        for part in mutate.messages_of(data):
            try:
                requests.append(pb.DispatchRequest.FromString(part))
            except DecodeError:  # gRPC ends the stream
                break
        carrier = GrpcCarrier(IteratedStream(iter(requests)))
        lane = Lane(self.registry, not requests or requests[0].WhichOneof("message") != "hello", Port())
        met: list[str] = []
        with contextlib.redirect_stderr(io.StringIO()):
            while carrier.read(lane.state):
                met += lane.run()
        lane.state.abandon_all()
        carrier.close()
        for response in carrier.responses():
            response.SerializeToString()
            if response.HasField("goaway"):
                assert response.goaway.code == wire.BAD_FRAME
                met.append(re.sub(r"[0-9]+", "#", response.goaway.message)[:100])
        return met + lane.refused

    def config(self, data: bytes) -> list[str]:
        """A configuration: taken, or refused with the path of the field."""
        context = Context()
        with contextlib.redirect_stderr(io.StringIO()) as said:
            answer = self.control.Configure(pb.ConfigureRequest(instance_id=9, plugin="everything", config=data), context)
        assert "Traceback" not in said.getvalue(), said.getvalue()
        answer.SerializeToString()
        if not answer.errors:
            json.loads(data or b"{}")
        return [re.sub(r"[0-9]+|'[^']*'", "#", error.message)[:60] for error in answer.errors]


_MAX_DEPTH = 64


def _ordinary(value: Any) -> bool:
    """Whether lists and maps are not nested too deep and keys are texts. Where a decoder gives up beyond that is its own affair."""
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH + 1):
        level = [item for item in level if isinstance(item, (list, dict))]
        if any(not isinstance(key, str) for item in level if isinstance(item, dict) for key in cast("dict[Any, Any]", item)):
            return False
        level = [part for item in level for part in cast("Any", item.values() if isinstance(item, dict) else item)]
    return not level


class Context:
    """As much of gRPC's context as the control plane uses."""

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """The call goes on."""
        return True


_Frame = tuple[int, int, bytes, int]


def _feed(framer: Framer, pieces: list[bytes], into: list[_Frame]) -> str:
    try:
        for piece in pieces:
            framer.feed(piece, lambda kind, call_id, body, step: into.append((kind, call_id, body, step)))
    except BadFrame as err:
        return str(err)
    return f"{framer.begun}"


_REQUEST: list[Any] = ["GET", "http", "gw.test", 8000, 11, b"/", None, ["host", b"gw.test"]]
ANY_CALL = values.encode_value([1, 2, 1000, "ab" * 16, 1, _REQUEST, ["10.0.0.9", 1, None, None, False]])


def seeds(target: str) -> list[bytes]:
    """Inputs to begin with: what the host sends in the shared vectors, and the committed corpus of the target."""
    found: list[bytes] = []
    if target in ("lane", "value", "answer"):
        for name in ("lane", "call", "ask", "tolerant", "bad"):
            for case in json.loads((VECTORS / f"{name}.json").read_text())["vectors"]:
                if case["from"] == "host" and case["type"] != "greeting":
                    data = bytes.fromhex(case["hex"])
                    if target == "lane":
                        found.append(data)
                    elif case["type"] == "answer" or target == "value":
                        found.append(mutate.frames_of(data)[-1][16:])
    elif target == "grpc":
        cases = json.loads((VECTORS / "grpc.json").read_text())["vectors"]
        found += [mutate.packed([bytes.fromhex(part) for part in case["messages"]]) for case in cases if case["from"] == "host"]
    elif target == "greeting":
        found.append(b"ORLN\x00\x01\x00\x100123456789abcdef")
    elif target == "config":
        found += [b"{}", b'{"name": "a", "count": 3, "ratio": 1.5, "names": ["a"], "limits": {"a": 1}, "loud": true, "note": null}']
    return found + [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]


MUTATORS: dict[str, mutate.Mutator] = {
    "lane": mutate.stream,
    "value": mutate.msgpack,
    "answer": mutate.msgpack,
    "grpc": mutate.messages,
    "config": mutate.json,
    "greeting": mutate.some_bytes,
}
"""The targets by name, with the mutator of each."""
