"""The log entry of a request, and nginx's variables of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from .._runtime.headers import HeaderLines
from .._runtime.serialize import serialize_over, textual
from .._runtime.text import query_pairs
from .._values import Route, Service, consumer_document, entity_document
from .exchange import Exchange, multi_map
from .values import REQUEST_ID, START_TIME, NodeFacts

_REDACTED = ("authorization", "proxy-authorization")


def log_entry(exchange: Exchange, route: Route | None, service: Service | None) -> dict[str, Any]:
    """The entry with what plugins changed in it."""
    request: dict[str, Any] = {
        "id": REQUEST_ID,
        "method": exchange.method,
        "uri": exchange.target,
        "url": f"{exchange.scheme}://{exchange.host}:{exchange.port}{exchange.target}",
        "querystring": _query(exchange.raw_query),
        "headers": _headers(exchange.lines),
    }
    if exchange.tls is not None:
        verify = exchange.client_verify or exchange.tls.client_verify
        request["tls"] = {"version": exchange.tls.version, "cipher": exchange.tls.cipher, "client_verify": verify}
    entry: dict[str, Any] = {
        "request": request,
        "latencies": {"kong": 0, "proxy": 0 if exchange.sent is not None else -1, "request": 0, "receive": 0},
        "client_ip": exchange.client[2] or exchange.client[0],
        "started_at": START_TIME,
        "upstream_uri": exchange.path,
        "source": "kong",
    }
    if exchange.response is not None:
        entry["response"] = {"status": exchange.response.status, "headers": _headers(exchange.response.lines)}
        entry["source"] = "upstream" if exchange.response.source == "service" else "kong"
    if exchange.sent is not None:
        entry["upstream_status"] = exchange.sent.status
    for name, entity in (("route", route), ("service", service)):
        if entity is not None:
            entry[name] = entity_document(entity)
    if exchange.consumer is not None:
        entry["consumer"] = consumer_document(exchange.consumer)
    if exchange.credential is not None:
        entry["authenticated_entity"] = {"id": exchange.credential.id, "consumer_id": exchange.credential.consumer_id}
    if exchange.spans:
        entry["spans"] = [textual(msgspec.to_builtins(span, builtin_types=(bytes,))) for span in exchange.spans]
    return json.loads(serialize_over(json.dumps(entry, default=repr), exchange.serialize))


def _headers(lines: HeaderLines) -> dict[str, Any]:
    found = multi_map(lines).to_dict()
    return {
        name: "REDACTED" if name in _REDACTED else values[0] if len(values) == 1 else values for name, values in found.items()
    }  # fmt: skip


def _query(raw: str) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for name, value in query_pairs(raw, len(raw) + 1)[0]:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def variable(exchange: Exchange, node: NodeFacts, name: str) -> str | None:
    """A variable by its name in nginx; None when there is none or it has no value."""
    for prefix, lines in (("http_", exchange.lines), ("sent_http_", _lines(exchange.response)), ("upstream_http_", _lines(exchange.sent))):
        if name.startswith(prefix):
            return ", ".join(multi_map(lines).values(name.removeprefix(prefix))) or None
    if name.startswith("arg_"):
        return _pair(exchange.raw_query.split("&"), name.removeprefix("arg_"), str.lower)
    if name.startswith("cookie_"):
        pieces = [piece.strip() for line in multi_map(exchange.lines).values("cookie") for piece in line.split(";")]
        return _pair(pieces, name.removeprefix("cookie_"), str)
    return str(_variables(exchange, node).get(name) or "") or None


def _lines(response: Any) -> HeaderLines:
    return HeaderLines([], []) if response is None else response.lines


def _pair(pieces: list[str], wanted: str, fold: Any) -> str | None:
    for piece in pieces:
        name, equals, value = piece.partition("=")
        if equals and fold(name) == fold(wanted):
            return value
    return None


def _variables(exchange: Exchange, node: NodeFacts) -> dict[str, Any]:
    ip, port, forwarded_ip, forwarded_port, _ = exchange.client
    tls = exchange.tls
    return {
        "request_method": exchange.method, "request_uri": exchange.target, "uri": exchange.normal_path, "args": exchange.raw_query,
        "query_string": exchange.raw_query, "is_args": "?" if exchange.raw_query else "", "scheme": exchange.scheme,
        "https": "on" if exchange.scheme == "https" else "", "host": exchange.host, "hostname": node.hostname, "server_port": exchange.port,
        "server_protocol": "HTTP/1.1", "remote_addr": forwarded_ip or ip, "remote_port": forwarded_port, "realip_remote_addr": ip,
        "realip_remote_port": port, "request_id": REQUEST_ID, "request_time": "0.000", "msec": f"{START_TIME / 1000:.3f}",
        "status": None if exchange.response is None else exchange.response.status,
        "content_type": exchange.lines.get("content-type"), "content_length": exchange.lines.get("content-length"),
        "ssl_protocol": tls and tls.version, "ssl_cipher": tls and tls.cipher, "ssl_client_verify": tls and tls.client_verify,
        "upstream_uri": exchange.path, "upstream_status": None if exchange.sent is None else exchange.sent.status,
    }  # fmt: skip
