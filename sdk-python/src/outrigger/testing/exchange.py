"""One request while the gateway in memory handles it, and the calls that plugins get of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from .._runtime.headers import HeaderLines
from .._runtime.plugins import Instance
from .._runtime.text import bytes_of, text_of
from .._runtime.values import encode_value
from .._runtime.wire import NIL, PHASES, WireCall
from .._values import Captures, Consumer, ConsumerGroup, Credential, MultiMap, credential_document
from .values import REQUEST_ID, START_TIME, TLS, HandlerFailed, Headers, LogLine, SpanRecord, Target, TelemetryRecord

SOURCES = ("service", "exit", "error")


@dataclass(slots=True)
class Response:
    """A response, of the upstream or for the client."""

    status: int = 200
    lines: HeaderLines = field(default_factory=lambda: HeaderLines([], []))
    source: str = "service"
    body: bytes = b""


@dataclass(slots=True, kw_only=True)
class Exchange:
    """The request, what plugins changed, and what came of it so far."""

    method: str
    target: str
    normal_path: str
    path: str
    raw_query: str
    lines: HeaderLines
    body: bytes
    scheme: str
    upstream_scheme: str
    host: str
    port: int
    client: list[Any]
    forwarded: list[Any] | None
    tls: TLS | None
    captures: Captures | None
    consumer: Consumer | None
    credential: Credential | None
    groups: list[ConsumerGroup]
    shared: dict[str, bytes]
    routed: bool = False
    kept: dict[int, dict[str, bytes]] = field(default_factory=dict[int, dict[str, bytes]])
    early: HeaderLines = field(default_factory=lambda: HeaderLines([], []))
    destination: Target = field(default_factory=Target)
    client_verify: str | None = None
    serialize: list[list[Any]] = field(default_factory=list[list[Any]])
    buffered: bool = False
    replaced: bool = False
    chunk_size: int = 32768
    answered: bool = False
    response: Response | None = None
    sent: Response | None = None
    logs: list[LogLine] = field(default_factory=list[LogLine])
    telemetry: list[TelemetryRecord] = field(default_factory=list[TelemetryRecord])
    spans: list[SpanRecord] = field(default_factory=list[SpanRecord])
    failures: list[HandlerFailed] = field(default_factory=list[HandlerFailed])

    def call(self, instance: Instance, phase: str, chunk: bytes | None, last: bool, slots: list[Any]) -> WireCall:
        """The call that an instance gets for a phase; ``slots`` are the route, the service and the consumer, or None for each."""
        request = [self.method, self.scheme, self.host, self.port, 11, bytes_of(self.target), bytes_of(self.normal_path)]
        request += [self.lines.flat, bytes_of(self.raw_query)]
        wire = WireCall(
            instance=instance.id,
            phase=PHASES.index(phase) + 1,
            timeout=1000,
            request_id=REQUEST_ID,
            start_time=START_TIME,
            request=packed(request),
            client=packed(self.client),
            forwarded=packed(self.forwarded),
            route=None if slots[0] is None or not self.routed else 0,
            service=None if slots[1] is None or not self.routed else 1,
            consumer=None if slots[2] is None else 2,
            credential=NIL if self.credential is None else packed(credential_document(self.credential)),
            captures=NIL if self.captures is None else packed([list(self.captures.unnamed), dict(self.captures.named)]),
            shared=packed({key: msgspec.Raw(value) for key, value in self.shared.items()}),
            plugin=packed({key: msgspec.Raw(value) for key, value in self.kept.get(instance.id, {}).items()}),
            groups=packed([[group.id, group.name] for group in self.groups]),
            chunk=chunk,
            last=last,
            request_body=self.body if "request_body" in instance.spec.needs and phase in ("rewrite", "access") else None,
        )
        parent = self.lines.get("traceparent")
        if parent is not None:
            wire.trace = packed([parent, self.lines.get("tracestate") or ""])
        if self.tls is not None:
            wire.tls = packed([self.tls.version, self.tls.cipher, self.tls.client_verify, bool(self.tls.certificates)])
        if self.response is not None:
            wire.response = packed([self.response.status, self.response.lines.flat, SOURCES.index(self.response.source)])
        if self.sent is not None:
            wire.service_response = packed([self.sent.status, self.sent.lines.flat])
            if "response_body" in instance.spec.needs and phase == "response" and not self.replaced:
                wire.response_body = self.sent.body
        return wire


def blank_exchange(*, answered: bool) -> Exchange:
    """``GET /`` of nobody, for operations that belong to no request of a test; ``answered`` gives it a response."""
    exchange = Exchange(
        method="GET",
        target="/",
        normal_path="/",
        path="/",
        raw_query="",
        lines=HeaderLines([], []),
        body=b"",
        scheme="http",
        upstream_scheme="http",
        host="gw.test",
        port=8000,
        client=["10.0.0.9", 40000, None, 40000, False],
        forwarded=None,
        tls=None,
        captures=None,
        consumer=None,
        credential=None,
        groups=[],
        shared={},
        routed=True,
    )
    if answered:
        exchange.sent, exchange.response = Response(), Response()
    return exchange


def packed(value: Any) -> msgspec.Raw:
    """One MessagePack value."""
    return msgspec.Raw(encode_value(value))


def lines_of(headers: Headers) -> HeaderLines:
    """Header lines of what a test wrote."""
    items = headers.items() if isinstance(headers, Mapping) else headers
    flat: list[Any] = []
    for name, value in items:
        for line in [value] if isinstance(value, str) else value:
            flat += [name.lower(), bytes_of(line)]
    return HeaderLines.of_flat(flat)


def multi_map(lines: HeaderLines) -> MultiMap:
    """The lines as tests and log entries see them."""
    return MultiMap(lines.pairs(len(lines.names))[0])


_RESERVED = frozenset(b":/?#[]@!$&'()*+,;=%")


def normal_path(path: str) -> str:
    """The path as request.get_path answers it: unreserved and odd triplets decoded, dot segments removed, slashes merged."""

    def decode(found: re.Match[bytes]) -> bytes:
        byte = int(found[1], 16)
        return b"%" + found[1].upper() if byte in _RESERVED else bytes([byte])

    text = re.sub(rb"%([0-9A-Fa-f]{2})", decode, bytes_of(path))
    segments: list[bytes] = []
    parts = [part for part in text.split(b"/") if part]
    for part in parts:
        if part == b"..":
            del segments[-1:]
        elif part != b".":
            segments.append(part)
    ends = b"/" if text.endswith((b"/", b"/.", b"/..")) and segments else b""
    return text_of(b"/" + b"/".join(segments) + ends)


def forwarded_facts(lines: HeaderLines, scheme: str, host: str, port: int, path: str) -> list[Any]:
    """What the ``request.get_forwarded_*`` functions answer behind a trusted peer: the X-Forwarded headers, else the request's own."""
    proto, hosts = lines.get("x-forwarded-proto"), lines.get("x-forwarded-host")
    name, prefix = lines.get("x-forwarded-path"), lines.get("x-forwarded-prefix")
    given = (hosts or "").partition(",")[0].strip().rpartition("@")[2]
    ports = (lines.get("x-forwarded-port") or "", given.rpartition(":")[2] if ":" in given else "")
    number = next((int(text) for text in ports if text.isascii() and text.isdigit() and 1 <= int(text) <= 65535), port)
    return [
        bytes_of((proto or scheme).partition(",")[0].strip().lower()),
        bytes_of(given.partition(":")[0].lower() or host),
        number,
        bytes_of(path if name is None else name),
        None if prefix is None else bytes_of(prefix),
    ]
