"""What tests give to the gateway in memory, and what they get from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .._values import Consumer, ConsumerGroup, Credential, MultiMap

Headers: TypeAlias = Mapping[str, str | Sequence[str]] | Sequence[tuple[str, str]]
"""Header lines: names with one or several values, or pairs in order."""

LEVELS = ("debug", "info", "notice", "warn", "err", "crit", "alert", "emerg")
"""Levels of log lines, the least first."""

FailMode: TypeAlias = Literal["raise", "closed", "open"]
"""What a failed handler does: raise HandlerFailed out of send, answer fail_status, or count as if it had done nothing."""

REQUEST_ID = "0" * 32
START_TIME = 1_700_000_000_000


class HandlerFailed(Exception):
    """A handler failed; a real gateway would have answered by the fail mode of the plugin.

    Attributes:
        plugin: Name of the plugin.
        phase: Name of the phase.
        code: Code of the error: ``handler_error``, or that of a PDK error nobody caught.
        message: Kind and text of the exception.
        detail: Its stack trace.
    """

    def __init__(self, plugin: str, phase: str, code: str, message: str, detail: str) -> None:
        self.plugin = plugin
        self.phase = phase
        self.code = code
        self.message = message
        self.detail = detail
        said = message if message.startswith(f"{code}: ") else f"{code}: {message}"  # that of a PDK error names its code
        super().__init__(f"{plugin} failed in {phase}: {said}\n{detail}")


@dataclass(slots=True)
class Reply:
    """What an upstream answers.

    Attributes:
        status: Status of the response.
        headers: Header lines.
        body: Body, sent in pieces of ``chunk_size`` bytes.
        chunk_size: Largest piece that body_filter gets.
    """

    status: int = 200
    headers: Headers = ()
    body: bytes = b"ok"
    chunk_size: int = 32768


@dataclass(slots=True, kw_only=True)
class TLS:
    """The TLS connection of a client.

    Attributes:
        version: As nginx writes it.
        cipher: Name of the cipher.
        client_verify: What came of the check of the client's certificate.
        certificates: PEM of the certificates that the client sent, its own first; empty for none.
    """

    version: str = "TLSv1.3"
    cipher: str = "TLS_AES_128_GCM_SHA256"
    client_verify: str = "NONE"
    certificates: str = ""


def _memory() -> dict[str, Any]:
    return {"resident": 64 << 20, "heap": 16 << 20, "heap_in_use": 24 << 20, "stacks": 1 << 20, "total": 96 << 20}


def _statistics() -> dict[str, Any]:
    names = ("active", "reading", "writing", "waiting", "accepted", "handled")
    return {**{f"connections_{name}": 1 for name in names}, "total_requests": 1}


@dataclass(slots=True, kw_only=True)
class NodeFacts:
    """The node that the gateway in memory says it is.

    Attributes:
        id: ``node.get_id``.
        hostname: ``node.get_hostname``.
        version: ``node.get_version``.
        cluster_id: ``cluster.get_id``.
        telemetry_logs: Whether ``telemetry.log`` is taken.
        memory: Bytes by name, for ``node.get_memory_stats``.
        configuration: ``node.get_configuration``.
        statistics: ``nginx.get_statistics``.
    """

    id: str = "00000000-0000-4000-8000-000000000000"
    hostname: str = "testing"
    version: str = "testing"
    cluster_id: str | None = None
    telemetry_logs: bool = True
    memory: Mapping[str, int] = field(default_factory=_memory)
    configuration: Mapping[str, Any] = field(default_factory=dict[str, Any])
    statistics: Mapping[str, Any] = field(default_factory=_statistics)


@dataclass(slots=True)
class Target:
    """What plugins said about where the request goes, and how; None where they said nothing.

    Attributes:
        upstream: Name of an upstream.
        host: Host instead of the service's.
        port: Port instead of the service's.
        retries: How often a failed try is repeated.
        timeouts: Connect, write and read timeout in milliseconds.
        fallback_targets: Where the tries behind the first one go.
        tls_verify: Whether the upstream's certificate is verified.
        tls_verify_depth: Most certificates in its chain.
        tls_certificates: PEM of the own certificate.
        tls_key: PEM of its key.
        tls_verify_store: PEM of the trusted certificates.
    """

    upstream: str | None = None
    host: str | None = None
    port: int | None = None
    retries: int | None = None
    timeouts: tuple[int, int, int] | None = None
    fallback_targets: list[str] = field(default_factory=list[str])
    tls_verify: bool | None = None
    tls_verify_depth: int | None = None
    tls_certificates: str | None = None
    tls_key: str | None = None
    tls_verify_store: str | None = None


@dataclass(slots=True)
class UpstreamRequest:
    """The request as the upstream gets it."""

    method: str
    scheme: str
    path: str
    raw_query: str
    headers: MultiMap
    body: bytes
    target: Target


@dataclass(slots=True)
class LogLine:
    """A line that a plugin wrote."""

    level: str
    message: str
    plugin: str
    phase: str


@dataclass(slots=True)
class Replay:
    """What came of a call as it travels.

    Attributes:
        outcome: Body of the outcome; docs/wire.md section 6.
        bodies: Bodies over 32 KiB in pieces, which the outcome names only by their length, in order.
        logs: Lines of the handler in order.
    """

    outcome: bytes
    bodies: list[bytes]
    logs: list[LogLine]


@dataclass(slots=True)
class TelemetryRecord:
    """A record of ``telemetry.log``. ``plugin`` is the name that the record says."""

    plugin: str
    config: dict[str, Any]
    message_type: str
    message: str
    attributes: dict[str, Any] | None


@dataclass(slots=True)
class SpanRecord:
    """A span of a handler. ``id`` and ``parent`` count within the handler; times are microseconds since the epoch."""

    plugin: str
    phase: str
    id: int
    parent: int
    name: str
    start: int
    end: int
    attributes: dict[str, Any]
    events: list[list[Any]]
    status: str
    message: str


@dataclass(slots=True)
class Result:
    """What came of a request.

    Attributes:
        status: Status that the client gets.
        headers: Headers that the client gets.
        body: Body that the client gets.
        source: Who made the response: ``service``, ``exit`` or ``error``.
        upstream: The request as the upstream got it; None when it was not reached.
        target: What plugins said about where the request goes.
        logs: Lines of the plugins in order.
        shared: ``ctx.shared`` at the end.
        kept: ``ctx.plugin`` at the end, by name of the plugin.
        consumer: Consumer at the end.
        credential: Credential at the end.
        groups: Consumer groups at the end.
        client_verify: What ``client.tls.set_client_verify`` said; None if nothing.
        buffered: Whether a plugin had the response buffered.
        entry: The log entry with what plugins changed in it.
        telemetry: Records of ``telemetry.log`` in order.
        spans: Spans of all handlers in order.
        failures: Handlers that failed, when the fail mode is not ``raise``.
    """

    status: int
    headers: MultiMap
    body: bytes
    source: str
    upstream: UpstreamRequest | None
    target: Target
    logs: list[LogLine]
    shared: dict[str, Any]
    kept: dict[str, dict[str, Any]]
    consumer: Consumer | None
    credential: Credential | None
    groups: list[ConsumerGroup]
    client_verify: str | None
    buffered: bool
    entry: dict[str, Any]
    telemetry: list[TelemetryRecord]
    spans: list[SpanRecord]
    failures: list[HandlerFailed]
