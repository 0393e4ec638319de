"""The wire: the vectors that every language shares, framing, chunks and values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import msgpack
import msgspec
import pytest
from hostdriver import ASK, CALL, ENTITY, HELLO, call_fields, chunk_frames, ext, frame, pack, unpack
from hypothesis import given, settings
from hypothesis import strategies as st

from outrigger import HostError
from outrigger._runtime import values, wire
from outrigger._runtime.call import Call
from outrigger._runtime.lane import LaneState
from outrigger._runtime.loop import LoopRunner
from outrigger._runtime.plugins import PluginSpec
from outrigger._runtime.registry import Registry
from outrigger._runtime.stream import outcome_frames
from outrigger._runtime.wire import Answer, BadFrame, Ended, Framer, Outcome
from outrigger.plugin import Plugin

VECTORS = Path(__file__).parents[2] / "proto" / "vectors" / "wire"


def vectors(name: str, sender: str) -> list[Any]:
    cases = json.loads((VECTORS / f"{name}.json").read_text())["vectors"]
    return [pytest.param(case, id=f"{name}: {case['name']}") for case in cases if case["from"] == sender]


class Everything(Plugin):
    """Handles all phases, so that any call of a vector can start."""

    name, version = "everything", "1"

    def rewrite(self, kong: Any) -> None: ...

    access = response = header_filter = log = rewrite

    def body_filter(self, kong: Any, chunk: bytes, last: bool) -> None: ...


class Port:
    """Keeps what a lane sends."""

    node: Any = None
    said = ""

    def log(self, call: Any, level: int, message: str) -> None: ...

    def deliver(self, call: Any, outcome: Ended) -> None: ...

    def lied(self, call: Any, message: str) -> None:
        self.said = message

    def ask(self, call: Any, function: int, args: list[Any]) -> Answer:
        raise NotImplementedError

    async def ask_async(self, call: Any, function: int, args: list[Any]) -> Answer:
        raise NotImplementedError


class Lane:
    """A lane state with every instance id configured, fed with bytes."""

    def __init__(self, *instances: int, hello: bool = True) -> None:
        registry = Registry([PluginSpec(Everything)], LoopRunner().run)
        for instance in instances:
            assert registry.configure(instance, "everything", {}) == []
        self.refused: list[tuple[int, Outcome]] = []
        self.state = LaneState(registry, Port())
        self.state.refuse = lambda call_id, outcome: self.refused.append((call_id, outcome))
        self.framer = Framer()
        if hello:
            self.feed(frame(HELLO, 0, pack([1, "node", "host", "0", ["10.0.0.0/8"], 0, 8 << 20, 65536])))

    def feed(self, data: bytes) -> list[Call]:
        self.framer.feed(data, self.state.on_frame)
        ready, self.state.ready = self.state.ready, []
        return ready


def tree(value: Any) -> Any:
    """A value in the notation of the vectors."""
    if isinstance(value, (bytes, bytearray)):
        return {"hex": bytes(value).hex()}
    if isinstance(value, msgpack.ExtType):
        return {"ext": value.code, "hex": value.data.hex()}
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return {"hex": value.encode("utf-8", "surrogateescape").hex()}
        return value
    if isinstance(value, list):
        return [tree(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {tree(key): tree(item) for key, item in cast("dict[Any, Any]", value).items()}
    return value


def all_facts(call: Call) -> list[Any]:
    """Everything that a call holds, decoded."""
    shell = call.wire
    request, client = call.request(), call.client()
    return [
        shell.instance, shell.phase, shell.timeout, shell.request_id, shell.start_time,
        [request.method, request.scheme, request.host, request.port, request.http_version, request.target, request.path, request.headers,
         request.raw_query],
        [client.ip, client.port, client.forwarded_ip, client.forwarded_port, client.trusted],
        call.array(shell.forwarded, "forwarded"), shell.route, shell.service, shell.consumer, values.decode_value(shell.credential),
        call.array(shell.captures, "captures"), values.decode_value(shell.shared), call.response_fact(), call.service_response_fact(),
        shell.chunk, bool(shell.last), shell.request_body, shell.response_body, values.decode_value(shell.plugin),
        call.array(shell.tls, "tls"), call.array(shell.groups, "groups"),
        call.array(shell.trace, "trace"),
    ]  # fmt: skip


class TestVectors:
    @pytest.mark.parametrize("case", [*vectors("call", "host"), *vectors("steps", "host")])
    def test_call(self, case: dict[str, Any]) -> None:
        if case["type"] != "call":
            return self.test_host_messages(case)
        lane = Lane(case["body"][0], *(step[0] for step in case["body"][25:26] and case["body"][25]))
        (call,) = lane.feed(bytes.fromhex(case["hex"]))
        expected = self.placed(case)
        assert tree(all_facts(call)) == [*expected, *[None] * (24 - len(expected))][:24]
        assert call.call_id == case["call"]
        tail = [*expected, None, None][24:26] if len(expected) > 24 else [None, None]
        assert [tree(values.decode_value(call.wire.prefetched)), tree(values.decode_value(call.wire.steps))] == tail
        self.check_steps(lane, call, case["body"][25] if len(case["body"]) > 25 else [])
        return None

    def check_steps(self, lane: Lane, call: Call, steps: list[Any]) -> None:
        """Runs through the steps of a call: each has its own instance, ctx.plugin, answers and trace."""
        for number, (identity, timeout, plugin, prefetched, trace) in enumerate(steps, start=1):
            call.seal("its end")
            frames, after = lane.state.finish(call, Outcome(), wire.encode_outcome)
            assert [wire.unpack_header(data)[1:] for data in frames] == [(call.call_id, wire.OUTCOME, 0, number - 1, 0)]
            assert after is not None
            assert (after.number, after.wire.instance, after.wire.timeout, after.step.instance.id) == (number, identity, timeout, identity)
            assert tree(values.decode_value(after.wire.plugin)) == plugin
            assert tree(values.decode_value(after.wire.trace)) == trace
            for function, args, value in prefetched or ():
                assert tree(after.ask(function, args).value) == value
            assert after.trip is not None
            assert after.trip.unused == 0
            call = after
        if steps:
            assert lane.state.finish(call, Outcome(), wire.encode_outcome)[1] is None
            assert lane.state.calls == {}

    def placed(self, case: dict[str, Any]) -> Any:
        """The tree of a vector with the chunked bytes in their places."""
        chunks: list[bytes] = []
        Framer().feed(bytes.fromhex(case["hex"]), lambda kind, _, body, step: chunks.append(body) if kind == wire.CHUNK else None)
        whole = b"".join(chunks)

        def place(node: Any) -> Any:
            nonlocal whole
            if isinstance(node, dict) and "ext" in node:
                size = int(node["hex"], 16)
                piece, whole = whole[:size], whole[size:]
                return {"hex": piece.hex()}
            return [place(item) for item in cast("list[Any]", node)] if isinstance(node, list) else node

        return place(case["body"])

    @pytest.mark.parametrize("case", vectors("ask", "host"))
    def test_answer(self, case: dict[str, Any]) -> None:
        lane = Lane(1)
        (call,) = lane.feed(frame(CALL, case["call"], pack(call_fields(1))))
        registered = lane.state.new_waiter(call, b"", None)
        assert registered is not None
        waiter, _ = registered
        lane.feed(bytes.fromhex(case["hex"]))
        answer = waiter.wait()
        error, value = self.placed(case)
        assert answer.error == (None if error is None else tuple(error))
        assert tree(answer.value) == value

    @pytest.mark.parametrize("case", vectors("lane", "host"))
    def test_host_messages(self, case: dict[str, Any]) -> None:
        kinds = {"hello": wire.HELLO, "entity": wire.ENTITY, "goaway": wire.GOAWAY, "cancel": wire.CANCEL}
        if case["type"] == "greeting":
            return  # read_greeting has its own tests with real sockets
        seen: list[Any] = []
        Framer().feed(bytes.fromhex(case["hex"]), lambda kind, call_id, body, step: seen.append((kind, call_id, body)))
        ((kind, call_id, body),) = seen
        assert (kind, call_id) == (kinds[case["type"]], case["call"])
        if kind == wire.HELLO:
            hello = wire.decode_hello(body)
            assert [getattr(hello, field) for field in hello.__struct_fields__] == [*case["body"], 0][:11]
        elif kind == wire.ENTITY:
            lane = Lane(1)
            lane.feed(bytes.fromhex(case["hex"]))
            slot, document = case["body"]
            entity = lane.state.slots[slot]
            assert entity is not None
            assert entity.document() == document

    @pytest.mark.parametrize("case", vectors("outcome", "server"))
    def test_outcome(self, case: dict[str, Any]) -> None:
        status, error, operations, body, *unused = self.placed(case)
        outcome = Outcome(
            error=tuple(error) if status else None, operations=self.untree(operations), body=self.untree(body)
        )  # fmt: skip
        frames = wire.encode_outcome(case["call"], outcome, case.get("step", 0), *unused)
        assert wire.unpack_header(frames[-1])[4] == case.get("step", 0)
        sent: list[tuple[int, int, bytes]] = []
        Framer().feed(b"".join(frames), lambda kind, call_id, data, step: sent.append((kind, call_id, data)))
        assert sent[-1][:2] == (wire.OUTCOME, case["call"])
        assert {kind for kind, _, _ in sent[:-1]} <= {wire.CHUNK}
        if not any(node == "ext" for node in str(case["body"]).split("'")):
            assert tree(unpack(sent[-1][2])) == case["body"]

    def untree(self, node: Any) -> Any:
        if isinstance(node, dict) and set(cast("dict[str, Any]", node)) == {"hex"}:
            return bytes.fromhex(cast("dict[str, str]", node)["hex"])
        if isinstance(node, list):
            return [self.untree(item) for item in cast("list[Any]", node)]
        return node

    @pytest.mark.parametrize("case", [*vectors("lane", "server"), *vectors("ask", "server"), *vectors("steps", "server")])
    def test_server_messages(self, case: dict[str, Any]) -> None:
        body, number = case["body"], case.get("step", 0)
        if case["type"] == "hello":
            data = wire.encode_hello(body[1], body[2], body[3], *body[4:])
            if len(body) < 5:  # written before there were features
                assert unpack(data[16:])[4] == wire.FEATURES
                body = [*body, wire.FEATURES]
        elif case["type"] == "log":
            data = wire.encode_log(case["call"], body[0], bytes.fromhex(body[1]["hex"]).decode("utf-8", "surrogateescape"), number)
        elif case["type"] == "ask":
            data = wire.encode_ask(case["call"], body[0], body[1:], number)
        elif case["type"] == "outcome":
            self.test_outcome(case)
            return
        else:
            data = wire.encode_goaway(body[0], body[1])
        length, call_id, kind, *rest = wire.unpack_header(data)
        assert (length, call_id, rest) == (len(data) - 16, case["call"], [0, number, 0])
        assert kind == {"hello": HELLO, "log": wire.LOG, "ask": ASK, "goaway": wire.GOAWAY}[case["type"]]
        assert tree(unpack(data[16:])) == body

    @pytest.mark.parametrize("case", vectors("tolerant", "host"))
    def test_tolerant(self, case: dict[str, Any]) -> None:
        found: list[Any] = []
        for text in (case["hex"], case["means"]):
            lane = Lane(1)
            if case["type"] == "call":
                (call,) = lane.feed(bytes.fromhex(text))
                request, client = call.request(), call.client()
                found.append([call.wire.instance, call.wire.phase, request.method, request.port, client.ip, call.request_headers().flat])
            else:
                (call,) = lane.feed(frame(CALL, 7, pack(call_fields(1))))
                registered = lane.state.new_waiter(call, b"", None)
                assert registered is not None
                waiter, _ = registered
                lane.feed(bytes.fromhex(text))
                answer = waiter.wait()
                found.append((answer.error, answer.value))
        assert found[0] == found[1]

    @pytest.mark.parametrize("case", vectors("bad", "host"))
    def test_bad(self, case: dict[str, Any]) -> None:
        lane = Lane(1)
        try:
            (call,) = lane.feed(bytes.fromhex(case["hex"]))
        except BadFrame:
            return
        assert case["type"] == "call"  # parts of a call are decoded when a handler asks for them: the lane is closed then
        with pytest.raises(HostError, match="do not decode"):
            self.read_parts(call)
        assert "do not decode" in cast("Port", call.port).said

    def read_parts(self, call: Call) -> None:
        call.request()
        call.of_plugin()
        call.tls_fact("nginx.get_tls1_version_str")
        call.consumer_groups("client.get_consumer_group")


class TestFraming:
    def stream(self) -> bytes:
        parts = [
            frame(HELLO, 0, pack([1])),
            frame(ENTITY, 0, pack([3, {"id": "r"}])),
            *(frame(CALL, i, pack(call_fields(1, target=b"/" + b"x" * (i * 37)))) for i in range(1, 20)),
            frame(wire.CANCEL, 4, b""),
            b"".join(chunk_frames(50, b"y" * 40000)),
            frame(CALL, 50, pack(call_fields(1, request_body=ext(b"y" * 40000)))),
        ]
        return b"".join(parts)

    @pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 1000, 1 << 20])  # lesson 12
    def test_any_split(self, size: int) -> None:
        data = self.stream()
        lane = Lane(1, hello=False)
        calls: list[Call] = []
        for at in range(0, len(data), size):
            calls += lane.feed(data[at : at + size])
        assert [call.call_id for call in calls] == [*range(1, 20), 50]
        assert [call.sealed for call in calls] == [call.call_id == 4 for call in calls]
        assert calls[-1].wire.request_body == b"y" * 40000
        assert len(calls[18].request().target) == 1 + 19 * 37

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.integers(1, 5000), min_size=1, max_size=40))
    def test_random_splits(self, sizes: list[int]) -> None:
        data = self.stream() + frame(wire.ANSWER, 50, b"", 3)
        seen: list[tuple[int, int, bytes, int]] = []
        framer, at, turn = Framer(), 0, 0
        while at < len(data):
            size = sizes[turn % len(sizes)]
            framer.feed(data[at : at + size], lambda *found: seen.append(found))
            at, turn = at + size, turn + 1
        whole: list[tuple[int, int, bytes, int]] = []
        Framer().feed(data, lambda *found: whole.append(found))
        assert seen == whole
        assert framer.frames == len(whole)
        assert not framer.begun

    @pytest.mark.parametrize("size", [1, 15, 16, 17, 100])
    def test_too_long(self, size: int) -> None:
        """Refused as soon as the header is complete, however it is cut."""
        data = frame(CALL, 1, b"abc") + wire.pack_header((16 << 20) + 1, 2, CALL, 0, 0, 0)
        *pieces, last = [data[at : at + size] for at in range(0, len(data), size)]
        framer = Framer()
        for piece in pieces:
            framer.feed(piece, lambda *_: None)
        with pytest.raises(BadFrame, match="16777217 bytes"):
            framer.feed(last, lambda *_: None)
        assert framer.frames == 1

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=200), st.integers(1, 11), st.integers(0, 3))
    def test_garbage(self, body: bytes, kind: int, call_id: int) -> None:
        """Garbage is refused, never anything else."""
        lane = Lane(1)
        try:
            lane.feed(frame(kind, call_id, body))
        except (BadFrame, wire.BadFrame):
            pass
        except Exception as err:
            assert type(err).__name__ == "HostLeft", err  # noqa: PT017


class TestRules:
    def test_call_before_hello(self) -> None:
        with pytest.raises(BadFrame, match="before hello"):
            Lane(1, hello=False).feed(frame(CALL, 1, pack(call_fields(1))))

    def test_second_hello(self) -> None:
        with pytest.raises(BadFrame, match="second hello"):
            Lane(1).feed(frame(HELLO, 0, pack([1])))

    def test_id_in_flight(self) -> None:
        lane = Lane(1)
        lane.feed(frame(CALL, 1, pack(call_fields(1))))
        with pytest.raises(BadFrame, match="in flight"):
            lane.feed(frame(CALL, 1, pack(call_fields(1))))

    def test_unknown_instance(self) -> None:
        lane = Lane(1)
        assert lane.feed(frame(CALL, 1, pack(call_fields(2)))) == []
        assert lane.refused[0][1].error is not None
        assert lane.refused[0][1].error[0] == "unknown_instance"

    def test_entities_in_arrival_order(self) -> None:
        lane = Lane(1)
        data = b""
        for i, name in enumerate(("old", "new"), start=1):
            data += frame(ENTITY, 0, pack([5, {"id": "r", "name": name}])) + frame(CALL, i, pack(call_fields(1, route=5)))
        calls = lane.feed(data)
        assert [call.router_get_route() for call in calls] == [wire_route("old"), wire_route("new")]

    def test_chunks_beyond_max_body(self) -> None:
        lane = Lane(1, hello=False)
        lane.feed(frame(HELLO, 0, pack([1, "", "", "", [], 0, 50000, 65536])))
        lane.feed(b"".join(chunk_frames(1, b"x" * 60000)) + frame(CALL, 1, pack(call_fields(1, request_body=ext(b"x" * 60000)))))
        assert lane.refused[0][1].error is not None
        assert lane.refused[0][1].error[0] == "too_large"

    def test_cancel_discards_chunks(self) -> None:
        lane = Lane(1)
        lane.feed(b"".join(chunk_frames(1, b"x" * 40000)) + frame(wire.CANCEL, 1, b""))
        (call,) = lane.feed(frame(CALL, 1, pack(call_fields(1))))
        assert call.wire.request_body is None

    def test_large_values_in_order(self) -> None:
        first, second = b"a" * 40000, b"b" * 50000
        lane = Lane(1)
        data = b"".join(chunk_frames(1, first + second))
        fields = call_fields(1, "response", request_body=ext(first), response_body=ext(second), shared={"k": "v"})
        (call,) = lane.feed(data + frame(CALL, 1, pack(fields)))
        assert (call.wire.request_body, call.wire.response_body) == (first, second)
        assert call.ctx_shared_get("k") == "v"
        assert call.request().target == b"/hello?x=1"

    def test_outcome_that_cannot_be_sent(self) -> None:
        (failed,) = outcome_frames(3, Outcome(operations=[[50, "k", object()]]))
        assert unpack(failed[16:])[1][0] == "bad_data"
        (failed,) = outcome_frames(3, Outcome(error=("handler_error", "lone \ud800", "")))
        assert unpack(failed[16:])[1][1] == "lone ?"

    def test_content_of_an_outcome_is_bounded(self) -> None:
        part = b"x" * (wire.MAX_CONTENT // 2)
        for operation in ([21, "X", [part, part]], [25, 200, None, ["X", part, "Y", part]], [50, "k", (part * 2).decode()], [5, part * 3]):
            (failed,) = outcome_frames(3, Outcome(operations=[operation]))
            assert unpack(failed[16:])[1][0] == "too_large"
        for operation in ([21, "X", [part, part[1:]]], [24, part * 3], [25, 200, part * 3, ["X", part]]):
            *_, sent = outcome_frames(3, Outcome(operations=[operation]))
            assert unpack(sent[16:])[:2] == [0, None]

    def test_large_outcome(self) -> None:
        body, replaced = b"a" * 70000, b"b" * 40000
        operations = [[24, b"small"], [24, body], [25, 200, body, ["a", b"b"]]]
        frames = outcome_frames(3, Outcome(operations=operations, body=replaced))
        assert all(len(one) <= 16 + 32768 for one in frames)
        assert b"".join(one[16:] for one in frames[:-1]) == body + body + replaced
        assert operations[1] == [24, body]
        fields = unpack(frames[-1][16:])
        assert fields[2][1] == [24, ext(body)]
        assert fields[3] == ext(replaced)


def wire_route(name: str) -> Any:
    from outrigger import Route

    return Route(id="r", name=name)


TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | TEXTS | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


class TestValues:
    @settings(max_examples=300, deadline=None)
    @given(VALUES)
    def test_round_trip(self, value: Any) -> None:  # lesson 11
        encoded = values.encode_value(values.plain(value))
        assert values.decode_value(encoded) == value
        assert values.decode_tolerant(encoded) == value
        assert unpack(encoded) == value
        assert values.decode_value(pack(value)) == value

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=60))
    def test_garbage(self, data: bytes) -> None:
        try:
            value = values.decode_value(data)
        except values.Malformed:
            return
        values.encode_value(value) if not isinstance(value, msgspec.msgpack.Ext) else None

    @pytest.mark.parametrize("data", [b"", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\x91", b"\xa5ab", b"\x91" * 200 + b"\xc0", b"\x81\x90\xc0"])
    def test_malformed(self, data: bytes) -> None:
        with pytest.raises(values.Malformed):
            values.decode_tolerant(data)


@pytest.mark.parametrize(
    "head",
    [
        "d6ff", "d7ff", "c704ff", "c708ff", "c70cff",
        "c80004ff", "c80008ff", "c8000cff", "c900000004ff", "c900000008ff", "c90000000cff",
    ],
)  # fmt: skip
def test_no_timestamp_is_a_value(head: str) -> None:
    size = {"d6ff": 4, "d7ff": 8}.get(head) or int(head[-4:-2], 16)
    with pytest.raises(values.Malformed, match="extension of type"):
        values.decode_value(bytes.fromhex("92c0" + head) + bytes(size))
