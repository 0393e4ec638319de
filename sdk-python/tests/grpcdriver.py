"""A lane of carrier grpc with the interface of hostdriver.Lane: the same arrays, sent as protobuf."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import grpc
from hostdriver import DEFAULT_HELLO, Pending, chunk_frames, pack, steps_of, unpack

from outrigger._gen.proto import plugin_pb2 as pb
from outrigger._gen.proto.plugin_pb2_grpc import PluginServerStub

SECONDS = 20.0


def headers_of(flat: list[Any] | None) -> list[pb.Header]:
    flat = flat or []
    return [pb.Header(name=name, value=value) for name, value in zip(flat[::2], flat[1::2], strict=True)]


class GrpcLane:
    def __init__(self, channel: grpc.Channel, hello: list[Any] | None = None) -> None:
        self._out: queue.SimpleQueue[pb.DispatchRequest | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._next = 0
        self.pending: dict[int, Pending] = {}
        self.hello: list[Any] | None = None
        self.goaway: list[Any] | None = None
        self.ready = threading.Event()
        self.ended = threading.Event()
        names = ["version", "node_id", "hostname", "gateway_version", "trusted_cidrs", "log_level", "max_body", "max_shared", "cluster_id"]
        facts = dict(zip([*names, "telemetry_logs"], hello or DEFAULT_HELLO, strict=True))
        self._out.put(pb.DispatchRequest(hello=pb.HostHello(**facts)))
        self._stream = PluginServerStub(channel).Dispatch(iter(self._out.get, None))
        self._reader = threading.Thread(target=self._read, args=(self._stream,), daemon=True)
        self._reader.start()

    def start(self, fields: list[Any], large: list[bytes] | None = None) -> tuple[int, Pending]:
        with self._lock:
            self._next += 1
            call_id = self._next
            pending = self.pending[call_id] = Pending()
            pending.steps = steps_of(fields)
            for chunk in chunk_frames(call_id, b"".join(large or ())):
                self._out.put(pb.DispatchRequest(call_id=call_id, chunk=chunk[16:]))
            self._out.put(pb.DispatchRequest(call_id=call_id, call=call_message(fields)))
        return call_id, pending

    def call(self, fields: list[Any], seconds: float = SECONDS) -> list[Any]:
        return self.start(fields)[1].outcome(seconds)

    def answer(self, call_id: int, value: Any = None, error: list[str] | None = None, step: int = 0) -> None:
        message = pb.Answer(step=step)
        if error is not None:
            message.error.CopyFrom(pb.Error(code=error[0], message=error[1]))
        elif isinstance(value, bytes):
            message.bytes.CopyFrom(blob(value))
            if len(value) > 32768:
                for chunk in chunk_frames(call_id, value):
                    self._out.put(pb.DispatchRequest(call_id=call_id, chunk=chunk[16:]))
        elif value is not None:
            message.value = pack(value)
        self._out.put(pb.DispatchRequest(call_id=call_id, answer=message))

    def cancel(self, call_id: int) -> None:
        self._out.put(pb.DispatchRequest(call_id=call_id, cancel=pb.Cancel()))

    def entity(self, slot: int, document: dict[str, Any]) -> None:
        self._out.put(pb.DispatchRequest(entity=pb.Entity(slot=slot, document=pack(document))))

    def _read(self, stream: Iterator[pb.DispatchResponse]) -> None:
        try:
            for response in stream:
                self._take(response)
        except grpc.RpcError:
            pass
        self.ended.set()
        self.ready.set()
        for pending in list(self.pending.values()):
            pending.events.put(("end", None))

    def _take(self, response: pb.DispatchResponse) -> None:
        kind = response.WhichOneof("message")
        pending = self.pending.get(response.call_id)
        if kind == "hello":
            hello = response.hello
            self.hello = [hello.version, hello.sdk_language, hello.sdk_version, hello.pid]
            self.ready.set()
        elif kind == "goaway":
            self.goaway = [response.goaway.code, response.goaway.message]
        elif pending is None:
            return
        elif kind == "outcome":
            pending.take_outcome(response.outcome.step, outcome_array(response.outcome, pending.chunks))
            if pending.done:
                del self.pending[response.call_id]
        elif kind == "ask":
            pending.events.put(("ask", [response.ask.function, *map(unpack, response.ask.args)]))
            pending.asked.append(response.ask.step)
        elif kind == "chunk":
            pending.chunks.append(response.chunk)
        elif kind == "log":
            pending.logs.append((response.log.level, response.log.message))

    def close(self) -> None:
        self._out.put(None)
        self._stream.cancel()
        self._reader.join(SECONDS)

    def __enter__(self) -> GrpcLane:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def blob(value: bytes) -> pb.Blob:
    return pb.Blob(inline=value) if len(value) <= 32768 else pb.Blob(chunked=len(value))


def prefetched_messages(items: list[Any] | None) -> list[pb.Prefetched]:
    found: list[pb.Prefetched] = []
    for function, args, value in items or ():
        message = pb.Prefetched(function=function, args=[pack(arg) for arg in args])
        if isinstance(value, bytes):
            message.bytes = value
        else:
            message.value = pack(value)
        found.append(message)
    return found


def call_message(fields: list[Any]) -> pb.Call:
    (
        instance, phase, timeout, request_id, start, request, client, forwarded, route, service, consumer, credential, captures, shared,
        response, service_response, chunk, last, request_body, response_body, plugin, tls, groups, *trace,
    ) = fields  # fmt: skip
    call = pb.Call(instance=instance, phase=phase, timeout_ms=timeout, request_id=request_id, start_time=start, last=last)
    method, scheme, host, port, version, target, path, headers, *rest = request
    call.request.CopyFrom(
        pb.Request(method=method, scheme=scheme, host=host, port=port, http_version=version, target=target, headers=headers_of(headers))
    )
    if path is not None:
        call.request.path = path
    if rest and rest[0] is not None:
        call.request.raw_query = rest[0]
    call.client.CopyFrom(pb.Client(ip=client[0], port=client[1], trusted=client[4]))
    if client[2] is not None:
        call.client.forwarded_ip = client[2]
    if client[3] is not None:
        call.client.forwarded_port = client[3]
    if forwarded is not None:
        call.forwarded.CopyFrom(pb.Forwarded(scheme=forwarded[0], host=forwarded[1], port=forwarded[2], path=forwarded[3]))
        if forwarded[4] is not None:
            call.forwarded.prefix = forwarded[4]
    for name, value in (("route", route), ("service", service), ("consumer", consumer)):
        if value is not None:
            setattr(call, name, value)
    if credential is not None:
        call.credential = pack(credential)
    if captures is not None:
        call.captures.unnamed.extend(captures[0])
        for name, value in captures[1].items():
            call.captures.named.add(name=name, value=value)
    for key, value in (shared or {}).items():
        call.shared.add(key=key, value=pack(value))
    for key, value in (plugin or {}).items():
        call.plugin.add(key=key, value=pack(value))
    if tls is not None:
        call.tls.CopyFrom(pb.TLS(version=tls[0], cipher=tls[1], client_verify=tls[2], has_certificate=tls[3]))
    for identity, name in groups or []:
        call.groups.add(id=identity, name=name)
    if trace and trace[0] is not None:
        call.trace.CopyFrom(pb.Trace(parent=trace[0][0], state=trace[0][1]))
    call.prefetched.extend(prefetched_messages(trace[1] if len(trace) > 1 else None))
    for identity, after, kept, ahead, parent in (trace[2] if len(trace) > 2 else None) or ():
        step = call.steps.add(instance=identity, timeout_ms=after, prefetched=prefetched_messages(ahead))
        for key, value in (kept or {}).items():
            step.plugin.add(key=key, value=pack(value))
        if parent is not None:
            step.trace.CopyFrom(pb.Trace(parent=parent[0], state=parent[1]))
    if response is not None:
        call.response.CopyFrom(pb.Response(status=response[0], headers=headers_of(response[1]), source=response[2]))
    if service_response is not None:
        status, headers = service_response
        call.service_response.CopyFrom(pb.ServiceResponse(status=status, same_headers=headers is None, headers=headers_of(headers)))
    for name, value in (("chunk", chunk), ("request_body", request_body), ("response_body", response_body)):
        if isinstance(value, bytes):
            getattr(call, name).CopyFrom(blob(value))
        elif value is not None:  # an extension: the bytes went ahead
            getattr(call, name).CopyFrom(pb.Blob(chunked=int.from_bytes(value.data, "big")))
    return call


def outcome_array(outcome: pb.Outcome, chunks: list[bytes]) -> list[Any]:
    whole = b"".join(chunks)
    chunks.clear()

    def content(of: pb.Blob) -> bytes:
        nonlocal whole
        if of.WhichOneof("content") != "chunked":
            return of.inline
        piece, whole = whole[: of.chunked], whole[of.chunked :]
        assert len(piece) == of.chunked
        return piece

    operations: list[list[Any]] = []
    for op in outcome.operations:
        name = op.name.decode("utf-8", "surrogateescape")
        code = op.code
        if code in (1, 2, 21, 22):
            operations.append([code, name, list(op.values)])
        elif code in (3, 4, 9, 23):
            operations.append([code, name])
        elif code in (5, 6):
            operations.append([code, op.name])
        elif code in (7, 24):
            operations.append([code, content(op.body)])
        elif code == 8:
            operations.append([code])
        elif code == 20:
            operations.append([code, op.status])
        elif code in (25, 26):
            flat = [part for header in op.headers for part in (header.name, header.value)]
            message = op.message if op.HasField("message") else None
            operations.append([code, op.status, content(op.body) if op.HasField("body") else message, flat])
        elif code == 40:
            value = unpack(op.value) if op.HasField("value") else None
            operations.append([code, value, unpack(op.credential) if op.HasField("credential") else None])
        elif code in (50, 51):
            operations.append([code, name, unpack(op.value) if op.HasField("value") else None])
        elif code in (41, 42) or code >= 70:
            operations.append([code, unpack(op.value)])
        else:
            operations.append([code, name, unpack(op.value) if op.HasField("value") else None, op.mode])
    error = [outcome.error.code, outcome.error.message, outcome.error.detail] if outcome.failed else None
    body = content(outcome.body) if outcome.HasField("body") else None
    assert whole == b""
    return [int(outcome.failed), error, operations, body, *([outcome.unused] if outcome.unused else [])]
