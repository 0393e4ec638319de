"""Carrier grpc: one ``Dispatch`` stream is one lane. Messages are the same as on carrier msgpack, as protobuf."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import msgspec

from .. import _version
from .._gen.proto import plugin_pb2 as pb
from .faults import say
from .grpc_stream import Stream
from .lane import LaneState, too_large
from .values import Malformed, decode_value, encode_value
from .wire import (
    BAD_FRAME,
    CHUNK_SIZE,
    FEATURES,
    MAX_FRAME,
    NIL,
    VERSION,
    Answer,
    BadFrame,
    Ended,
    Gathered,
    HostHello,
    WireCall,
    check_size,
    log_bytes,
    unsendable,
)

_raw = msgspec.msgpack.Encoder().encode


class GrpcCarrier:
    """Reads and writes the messages of one stream. One thread at a time reads; any thread writes; gRPC takes what is written."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.responses = stream.responses
        hello = pb.ServerHello(version=VERSION, sdk_language="python", sdk_version=_version.VERSION, pid=os.getpid(), features=FEATURES)
        self.write([pb.DispatchResponse(hello=hello)])

    def read(self, state: LaneState) -> bool:
        """Waits for messages and hands them to the state; False at the end of the lane."""
        requests = self._stream.receive()
        try:
            return bool(requests) and all(_take(state, request) for request in requests)
        except (BadFrame, Malformed) as err:
            say(f"lane closed: {err}")
            self.leave(BAD_FRAME, str(err))
            return False

    def write(self, messages: list[pb.DispatchResponse]) -> None:
        """Sends messages in order."""
        self._stream.send(messages)

    def outcome(self, call_id: int, outcome: Ended) -> list[pb.DispatchResponse]:
        """Messages of an outcome; one that cannot be sent becomes a failed one."""
        try:
            return _outcome(call_id, outcome)
        except Exception as err:
            return _outcome(call_id, unsendable(err))

    def encode(self, call_id: int, outcome: Ended, step: int, unused: int) -> list[pb.DispatchResponse]:
        """Messages of the outcome of a step; raises when they cannot be sent."""
        return _outcome(call_id, outcome, step, unused)

    def log(self, call_id: int, level: int, message: str, step: int) -> pb.DispatchResponse:
        """Message of a log line."""
        return pb.DispatchResponse(call_id=call_id, log=pb.Log(level=level, message=log_bytes(message), step=step))

    def ask(self, call_id: int, function: int, args: list[Any], step: int) -> pb.DispatchResponse:
        """Message of an ask."""
        ask = pb.Ask(function=function, args=[encode_value(arg) for arg in args], step=step)
        return pb.DispatchResponse(call_id=call_id, ask=ask)

    def leave(self, code: str, message: str) -> None:
        """Says goaway."""
        self.write([pb.DispatchResponse(goaway=pb.GoAway(code=code, message=utf8(message)))])

    def close(self) -> None:
        """Ends the lane."""
        self._stream.close()


def _outcome(call_id: int, outcome: Ended, step: int = 0, unused: int = 0) -> list[pb.DispatchResponse]:
    """Messages of an outcome: chunks of its large bytes, then itself. OverflowError when it is too large."""
    chunks: list[pb.DispatchResponse] = []
    message = pb.Outcome(step=step, unused=unused)
    if outcome.error is not None:
        code, text, detail = outcome.error
        message.failed = True
        message.error.CopyFrom(pb.Error(code=code, message=utf8(text), detail=utf8(detail)))
    else:
        for operation in outcome.operations:
            _operation(message.operations.add(), operation, call_id, chunks)
        if message.ByteSize() > CHUNK_SIZE:  # below, there are fewer elements than are allowed
            check_size(outcome.operations)
        if outcome.body is not None:
            message.body.CopyFrom(_blob(outcome.body, call_id, chunks))
    if message.ByteSize() > MAX_FRAME:
        raise OverflowError(f"outcome has {message.ByteSize()} bytes; expected at most {MAX_FRAME}")
    return [*chunks, pb.DispatchResponse(call_id=call_id, outcome=message)]


def utf8(text: str) -> str:
    """Text that protobuf takes: what is not UTF-8 is replaced."""
    return log_bytes(text).decode("utf-8", "replace")


def _blob(value: bytes, call_id: int, chunks: list[pb.DispatchResponse]) -> pb.Blob:
    if len(value) <= CHUNK_SIZE:
        return pb.Blob(inline=value)
    for at in range(0, len(value), CHUNK_SIZE):
        chunks.append(pb.DispatchResponse(call_id=call_id, chunk=value[at : at + CHUNK_SIZE]))  # noqa: PERF401
    return pb.Blob(chunked=len(value))


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _operation(to: pb.Operation, operation: list[Any], call_id: int, chunks: list[pb.DispatchResponse]) -> None:
    """Fills a message from ``[code, args…]``; docs/wire.md section 6."""
    code = to.code = operation[0]
    if code in (1, 2, 21, 22):
        to.name = _bytes(operation[1])
        to.values.extend(operation[2])
    elif code in (3, 4, 5, 6, 9, 23):
        to.name = _bytes(operation[1])
    elif code in (7, 24):
        to.body.CopyFrom(_blob(operation[1], call_id, chunks))
    elif code == 20:
        to.status = operation[1]
    elif code in (25, 26):
        to.status = operation[1]
        if operation[2] is not None:
            if code == 25:
                to.body.CopyFrom(_blob(operation[2], call_id, chunks))
            else:
                to.message = operation[2]
        flat = operation[3]
        for name, value in zip(flat[::2], flat[1::2], strict=True):
            to.headers.add(name=name, value=value)
    elif code == 40:
        if operation[1] is not None:
            to.value = encode_value(operation[1])
        if operation[2] is not None:
            to.credential = encode_value(operation[2])
    elif code in (50, 51, 60):
        to.name = _bytes(operation[1])
        if operation[2] is not None:
            to.value = encode_value(operation[2])
        if code == 60:
            to.mode = operation[3]
    elif len(operation) > 1:  # enable_buffering has no arguments
        to.value = encode_value(operation[1])


def _take(state: LaneState, request: pb.DispatchRequest) -> bool:
    kind = request.WhichOneof("message")
    call_id = request.call_id
    if kind == "call":
        gathered = state.take_gathered(call_id)
        if gathered is not None and gathered.too_large:
            state.refuse(call_id, too_large(gathered))
        else:
            wire = _call(request.call, gathered)
            if gathered is not None:
                gathered.finish("call")
            state.on_call(call_id, wire)
    elif kind == "answer":
        gathered = state.take_gathered(call_id)
        if gathered is not None and gathered.too_large:
            error = too_large(gathered).error
            assert error is not None
            state.on_answer(call_id, Answer(error=("bad_data", error[1])), request.answer.step)
        else:
            state.on_answer(call_id, _answer(request.answer, gathered), request.answer.step)
    elif kind == "chunk":
        state.on_chunk(call_id, request.chunk)
    elif kind == "cancel":
        state.on_cancel(call_id)
    elif kind == "entity":
        state.on_entity(request.entity.slot, request.entity.document)
    elif kind == "hello":
        hello = request.hello
        state.on_hello(
            HostHello(
                version=hello.version, node_id=hello.node_id, hostname=hello.hostname, gateway_version=hello.gateway_version,
                trusted_cidrs=list(hello.trusted_cidrs), log_level=hello.log_level, max_body=hello.max_body, max_shared=hello.max_shared,
                cluster_id=hello.cluster_id, telemetry_logs=hello.telemetry_logs, features=hello.features,
            )
        )  # fmt: skip
    elif kind == "goaway":
        return False
    else:
        raise BadFrame("message without content; a host sends hello, call, answer, chunk, cancel, entity or goaway")
    return True


def _answer(answer: pb.Answer, gathered: Gathered | None) -> Answer:
    if answer.HasField("error"):
        return Answer(error=(answer.error.code, answer.error.message))
    if answer.HasField("bytes"):
        return Answer(value=_content(answer.bytes, gathered))
    return Answer(value=decode_value(answer.value) if answer.HasField("value") else None)


def _content(blob: pb.Blob, gathered: Gathered | None) -> bytes:
    if blob.WhichOneof("content") != "chunked":
        return blob.inline
    if gathered is None:
        raise BadFrame(f"value of {blob.chunked} bytes; none came in chunks")
    return gathered.take(blob.chunked)


def _flat(headers: Any) -> list[Any]:
    flat: list[Any] = []
    for header in headers:
        flat += (header.name, header.value)
    return flat


def _packed(value: Any) -> msgspec.Raw:
    return msgspec.Raw(_raw(value))


def _one_value(raw: bytes) -> msgspec.Raw:
    """Bytes that are to stand inside others: more or less than one value would move what follows."""
    decode_value(raw)
    return msgspec.Raw(raw)


def _entries(entries: Iterable[pb.KeyValue]) -> msgspec.Raw:
    return _packed({entry.key: _one_value(entry.value) for entry in entries})


def _prefetched(item: pb.Prefetched) -> list[Any]:
    value = item.bytes if item.HasField("bytes") else _one_value(item.value) if item.HasField("value") else None
    return [item.function, [_one_value(arg) for arg in item.args], value]


def _step(step: pb.Step) -> list[Any]:
    return [
        step.instance, step.timeout_ms, _entries(step.plugin) if step.plugin else None,
        [_prefetched(item) for item in step.prefetched] or None,
        [step.trace.parent, step.trace.state] if step.HasField("trace") else None,
    ]  # fmt: skip


def _call(call: pb.Call, gathered: Gathered | None) -> WireCall:
    """The shell of a call. gRPC costs far more than packing the parts once more, so that one engine reads both carriers."""
    request, client = call.request, call.client
    wire = WireCall(
        instance=call.instance,
        phase=call.phase,
        timeout=call.timeout_ms,
        request_id=call.request_id,
        start_time=call.start_time,
        request=_packed(
            [
                request.method, request.scheme, request.host, request.port, request.http_version, request.target,
                request.path if request.HasField("path") else None, _flat(request.headers),
                request.raw_query if request.HasField("raw_query") else None,
            ]
        ),
        client=_packed(
            [
                client.ip, client.port, client.forwarded_ip if client.HasField("forwarded_ip") else None,
                client.forwarded_port if client.HasField("forwarded_port") else None, client.trusted,
            ]
        ),
        route=call.route if call.HasField("route") else None,
        service=call.service if call.HasField("service") else None,
        consumer=call.consumer if call.HasField("consumer") else None,
        credential=msgspec.Raw(call.credential) if call.HasField("credential") else NIL,
        last=call.last,
    )  # fmt: skip
    if call.HasField("forwarded"):
        forwarded = call.forwarded
        prefix = forwarded.prefix if forwarded.HasField("prefix") else None
        wire.forwarded = _packed([forwarded.scheme, forwarded.host, forwarded.port, forwarded.path, prefix])
    if call.HasField("captures"):
        captures = call.captures
        wire.captures = _packed([list(captures.unnamed), {group.name: group.value for group in captures.named}])
    if call.shared:
        wire.shared = _entries(call.shared)
    if call.plugin:
        wire.plugin = _entries(call.plugin)
    if call.HasField("tls"):
        tls = call.tls
        wire.tls = _packed([tls.version, tls.cipher, tls.client_verify, tls.has_certificate])
    if call.groups:
        wire.groups = _packed([[group.id, group.name] for group in call.groups])
    if call.HasField("trace"):
        wire.trace = _packed([call.trace.parent, call.trace.state])
    if call.prefetched:
        wire.prefetched = _packed([_prefetched(item) for item in call.prefetched])
    if call.steps:
        wire.steps = _packed([_step(step) for step in call.steps])
    if call.HasField("response"):
        wire.response = _packed([call.response.status, _flat(call.response.headers), call.response.source])
    if call.HasField("service_response"):
        response = call.service_response
        wire.service_response = _packed([response.status, None if response.same_headers else _flat(response.headers)])
    if call.HasField("chunk"):
        wire.chunk = _content(call.chunk, gathered)
    if call.HasField("request_body"):
        wire.request_body = _content(call.request_body, gathered)
    if call.HasField("response_body"):
        wire.response_body = _content(call.response_body, gathered)
    return wire
