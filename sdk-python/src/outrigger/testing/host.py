"""Answers the questions of handlers in a test, as the gateway would from its configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from .._errors import PDKError
from .._gen.functions import FUNCTIONS
from .._runtime.references import BadReference, is_reference, parse_reference
from .._runtime.values import decode_value, encode_value
from .._runtime.wire import Answer
from .._values import Consumer, ConsumerGroup, Credential, Route, Service, consumer_document, credential_document
from .entry import log_entry, variable
from .exchange import Exchange
from .values import NodeFacts

Script: TypeAlias = Callable[[str, list[Any]], Any]
"""Answers a question in a test: gets the canonical name of the function and what it asks. It returns the answer, raises a PDKError for an
error, or returns NotImplemented to leave the answer to the gateway."""

_UNITS = {"k": (1 << 10, "KiB"), "m": (1 << 20, "MiB"), "g": (1 << 30, "GiB")}

_NAMES = {function.ask: name for name, function in FUNCTIONS.items() if function.ask and not name.endswith(".get_body")}
"""The function that a number asks for: where several share it, the one that answers raw."""


class Host:
    """What the gateway knows beside the request. It lives as long as the gateway, and so does its cache."""

    def __init__(
        self,
        *,
        node: NodeFacts,
        consumers: Sequence[Consumer],
        credentials: Mapping[tuple[str, str], Credential],
        consumer_groups: Mapping[str, Sequence[ConsumerGroup]],
        upstreams: Sequence[str],
        secrets: Mapping[str, str],
        max_body: int,
        script: Script | None,
    ) -> None:
        self.node = node
        self.consumers = list(consumers)
        self.credentials = dict(credentials)
        self.consumer_groups = dict(consumer_groups)
        self.upstreams = list(upstreams)
        self.secrets = dict(secrets)
        self.max_body = max_body
        self.script = script
        self.now = 0.0
        self.cache: dict[str, dict[str, tuple[bytes, float]]] = {}

    def answer(self, exchange: Exchange, plugin: str, route: Route | None, service: Service | None, number: int, args: list[Any]) -> Answer:
        """Answers one question; docs/wire.md section 7."""
        name = _NAMES[number]
        if self.script is not None:
            try:
                value = self.script(name, args)
            except PDKError as err:
                return Answer(error=(err.code, err.message))
            if value is not NotImplemented:
                return Answer(value=value)
        match name:
            case "request.get_raw_body":
                return self._body(exchange.body)
            case "service.response.get_raw_body" | "response.get_raw_body":
                return self._response_body(exchange, name)
            case "log.serialize":
                return Answer(value=json.dumps(log_entry(exchange, route, service)))
            case "client.tls.get_full_client_certificate_chain":
                return Answer(value=(exchange.tls and exchange.tls.certificates) or None)
            case "nginx.get_var":
                return Answer(value=variable(exchange, self.node, args[0]))
            case "cache.get":
                return Answer(value=self._cached(plugin, args[0]))
            case _:
                return self._look_up(name, args)

    def _body(self, body: bytes) -> Answer:
        if self.max_body and len(body) > self.max_body:
            return Answer(error=("bad_data", f"body has {len(body)} bytes; at most {self.max_body} (max_body) are kept"))
        return Answer(value=body)

    def _response_body(self, exchange: Exchange, name: str) -> Answer:
        exchange.buffered = True
        if exchange.sent is None:
            return Answer(error=("bad_data", "the request was not proxied: there is no body of an upstream"))
        response = exchange.sent if name.startswith("service.") else exchange.response or exchange.sent
        return self._body(response.body)

    def _look_up(self, name: str, args: list[Any]) -> Answer:
        match name:
            case "client.load_consumer":
                key, by_name = args
                found = next((c for c in self.consumers if c.id == key or (by_name and c.username == key)), None)
                return Answer(value=None if found is None else consumer_document(found))
            case "client.load_credential":
                credential = self.credentials.get((args[0], args[1]))
                return Answer(value=None if credential is None else credential_document(credential))
            case "client.authenticate_consumer_group_by_consumer_id":
                if args[0] not in self.consumer_groups and all(c.id != args[0] for c in self.consumers):
                    return Answer(error=("bad_data", f"there is no consumer {args[0]}"))
                return Answer(value=[{"id": group.id, "name": group.name} for group in self.consumer_groups.get(args[0], ())])
            case "service.set_upstream":
                known = args[0] in self.upstreams
                return Answer() if known else Answer(error=("bad_data", f"there is no upstream {args[0]!r}"))
            case "node.get_memory_stats":
                return Answer(value={"process": {key: _measure(value, *args) for key, value in self.node.memory.items()}})
            case "node.get_configuration":
                return Answer(value=dict(self.node.configuration))
            case "nginx.get_statistics":
                return Answer(value=dict(self.node.statistics))
            case "vault.get":
                return self._secret(args[0])
            case "vault.update":
                return Answer(value=self._updated(args[0]))
            case _:
                return Answer(error=("host_error", f"the gateway in memory does not know {name}"))

    # Secrets.

    def _secret(self, reference: str) -> Answer:
        secret = self.secrets.get(reference)
        if secret is None:
            return Answer(error=("bad_data", f"the test gave no secret for {_named(reference)}"))
        return Answer(value=secret)

    def _updated(self, options: dict[str, Any]) -> dict[str, Any]:
        fresh = {name: self.secrets.get(reference) for name, reference in options.get("$refs", {}).items()}
        return {**options, **{name: secret for name, secret in fresh.items() if secret is not None}}

    # The cache.

    def _cached(self, plugin: str, key: str) -> Any:
        raw, until = self.cache.get(plugin, {}).get(key, (None, 0.0))
        return None if raw is None or until <= self.now else decode_value(raw)

    def write_cache(self, plugin: str, operation: list[Any]) -> None:
        """Applies an operation 92 or 93 of a plugin."""
        kept = self.cache.setdefault(plugin, {})
        key, *rest = operation[1]
        if operation[0] == 93 or rest[0] is None:
            kept.pop(key, None)
        else:
            kept[key] = (encode_value(rest[0]), self.now + rest[1] if rest[1] else float("inf"))


def _measure(size: int, unit: str, scale: int) -> Any:
    if unit == "b":
        return size
    factor, name = _UNITS[unit]
    return f"{size / factor:.{scale}f} {name}"


def _named(reference: str) -> str:
    if not is_reference(reference):
        return repr(reference)
    try:
        parts = parse_reference(reference)
    except BadReference:
        return repr(reference)
    return f"{parts.resource!r} of vault {parts.name}"
