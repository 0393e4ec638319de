"""Applies the operations of handlers to the request, as the gateway does."""

from __future__ import annotations

from typing import Any

from .._runtime.headers import RESPONSE
from .._runtime.text import text_of
from .._runtime.values import encode_value
from .._values import ConsumerGroup, consumer_of, credential_of
from .errorbody import error_body
from .exchange import Exchange, Response
from .values import SpanRecord, TelemetryRecord


def apply(exchange: Exchange, operation: list[Any], instance: int, plugin: str, phase: str) -> None:
    """Applies one operation; docs/wire.md section 6. Operations 92 and 93 are those of the host's cache."""
    code = operation[0]
    if code < 20:
        _to_request(exchange, operation)
    elif code < 40:
        _to_response(exchange, operation)
    elif code < 70:
        _to_facts(exchange, operation, instance)
    elif code < 90:
        _to_destination(exchange, operation)
    elif code == 90:
        exchange.spans.append(SpanRecord(plugin=plugin, phase=phase, **operation[1][0]))
    elif code == 91:
        exchange.telemetry.append(TelemetryRecord(*operation[1]))


def _to_request(exchange: Exchange, operation: list[Any]) -> None:
    code = operation[0]
    if code in (1, 2, 3):
        exchange.lines = exchange.lines.after([operation], 0)
    elif code == 4:
        exchange.method = operation[1]
    elif code == 5:
        exchange.path = text_of(operation[1])
    elif code == 6:
        exchange.raw_query = text_of(operation[1])
    elif code == 7:
        exchange.body = operation[1]
        exchange.lines = exchange.lines.with_set("content-length", [str(len(operation[1])).encode()])
    elif code == 8:
        exchange.buffered = True
    elif code == 9:
        exchange.upstream_scheme = operation[1]


def _to_response(exchange: Exchange, operation: list[Any]) -> None:
    code, response = operation[0], exchange.response
    if code in (25, 26):
        _exit(exchange, operation)
    elif response is None:
        exchange.early = exchange.early.after([operation], RESPONSE)
    elif code == 20:
        response.status = operation[1]
    elif code == 24:
        response.body = operation[1]
        response.lines = response.lines.with_set("content-length", [str(len(operation[1])).encode()])
        exchange.replaced = True
    else:
        response.lines = response.lines.after([operation], RESPONSE)


def _exit(exchange: Exchange, operation: list[Any]) -> None:
    code, status, raw, flat = operation
    body: bytes = raw or b""
    given: dict[str, list[bytes]] = {}
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        given.setdefault(name, []).append(value)
    if code == 26:
        explicit = next((text_of(values[-1]) for name, values in given.items() if name.lower() == "content-type"), None)
        message = None if raw is None else text_of(raw)
        content_type, body = error_body(status, message, exchange.lines.get("accept") or "", explicit)
        if explicit is None:
            given["content-type"] = [content_type.encode()]
    answer(exchange, status, body, given, "exit" if code == 25 else "error")


def fail(exchange: Exchange, status: int) -> None:
    """Answers for a plugin that failed closed."""
    content_type, body = error_body(status, None, exchange.lines.get("accept") or "", None)
    answer(exchange, status, body, {"content-type": [content_type.encode()]}, "error")


def answer(exchange: Exchange, status: int, body: bytes, headers: dict[str, list[bytes]], source: str) -> None:
    """Makes the response of the gateway's own answer: headers set before stay, unless the answer has some of the same name."""
    response = exchange.response or Response(lines=exchange.early)
    if exchange.sent is not None:
        response.lines = response.lines.without("content-length").without("content-encoding")
    for name, values in headers.items():
        response.lines = response.lines.with_set(name, values)
    if "content-length" not in (name.lower() for name in headers):
        response.lines = response.lines.with_set("content-length", [str(len(body)).encode()])
    response.status, response.body, response.source = status, body, source
    exchange.response, exchange.answered, exchange.replaced = response, True, True


def _to_facts(exchange: Exchange, operation: list[Any], instance: int) -> None:
    code = operation[0]
    if code == 40:
        exchange.consumer = None if operation[1] is None else consumer_of(operation[1])
        exchange.credential = None if operation[2] is None else credential_of(operation[2])
    elif code == 41:
        pairs, mode = operation[1]
        groups = [ConsumerGroup(id=identity, name=name) for identity, name in pairs]
        before = exchange.groups if mode == "append" else []
        known = {group.id for group in before}
        exchange.groups = [*before, *(group for group in groups if group.id not in known)]
    elif code == 42:
        exchange.client_verify = operation[1][0]
    elif code in (50, 51):
        kept = exchange.shared if code == 50 else exchange.kept.setdefault(instance, {})
        if operation[2] is None:
            kept.pop(operation[1], None)
        else:
            kept[operation[1]] = encode_value(operation[2])
    elif code == 60:
        exchange.serialize.append(operation)


def _to_destination(exchange: Exchange, operation: list[Any]) -> None:
    code, args = operation
    to = exchange.destination
    if code == 70:
        to.upstream, to.host, to.port = args[0], None, None
    elif code == 71:
        to.upstream, (to.host, to.port) = None, args
    elif code == 72:
        to.retries = args[0]
    elif code == 73:
        to.timeouts = (args[0], args[1], args[2])
    elif code == 74:
        to.fallback_targets = list(args[0])
    elif code == 75:
        to.tls_verify = args[0]
    elif code == 76:
        to.tls_verify_depth = args[0]
    elif code == 77:
        to.tls_certificates, to.tls_key = args
    elif code == 78:
        to.tls_verify_store = args[0]
