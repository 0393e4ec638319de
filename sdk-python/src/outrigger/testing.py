"""Runs plugins on an in-memory request, without a gateway and with the engine that serves real ones.

    from outrigger.testing import Gateway

    def test_hello():
        result = Gateway(Hello, config={"greeting": "hi"}).send(headers={"X-Name": "bob"})
        assert result.headers.get("X-Hello") == "hi, bob"
        assert result.upstream is not None
        assert result.upstream.headers.get("X-Hello") == "hi, bob"

The gateway runs rewrite (for plugins configured globally), access, the upstream, response, header_filter, body_filter and log.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import msgspec

from ._errors import PluginError
from ._runtime.call import Call
from ._runtime.handlers import run, run_async
from ._runtime.node import Entity, Node
from ._runtime.plugins import Instance, PluginSpec
from ._runtime.serialize import serialize_over
from ._runtime.text import HeaderLines, apply_to_request, apply_to_response, bytes_of, text_of
from ._runtime.values import decode_value, encode_value
from ._runtime.wire import NIL, PHASES, Answer, Ended, HostHello, WireCall
from ._values import Consumer, Credential, MultiMap, Route, Service, consumer_document, consumer_of, credential_document, credential_of
from .plugin import Plugin

Headers: TypeAlias = Mapping[str, str | Sequence[str]] | Sequence[tuple[str, str]]
"""Header lines: names with one or several values, or pairs in order."""

LEVELS = ("debug", "info", "notice", "warn", "err", "crit", "alert", "emerg")


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
        super().__init__(f"{plugin} failed in {phase}: {code}: {message}\n{detail}")


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


@dataclass(slots=True)
class UpstreamRequest:
    """The request as the upstream gets it."""

    method: str
    scheme: str
    path: str
    raw_query: str
    headers: MultiMap
    body: bytes


@dataclass(slots=True)
class LogLine:
    """A line that a plugin wrote."""

    level: str
    message: str
    plugin: str
    phase: str


@dataclass(slots=True)
class Result:
    """What came of a request.

    Attributes:
        status: Status that the client gets.
        headers: Headers that the client gets.
        body: Body that the client gets.
        source: Who made the response: ``service``, ``exit`` or ``error``.
        upstream: The request as the upstream got it; None when it was not reached.
        logs: Lines of the plugins in order.
        shared: ``ctx.shared`` at the end.
        consumer: Consumer at the end.
        credential: Credential at the end.
        buffered: Whether a plugin had the response buffered.
        entry: The log entry with what plugins changed in it.
    """

    status: int
    headers: MultiMap
    body: bytes
    source: str
    upstream: UpstreamRequest | None
    logs: list[LogLine]
    shared: dict[str, Any]
    consumer: Consumer | None
    credential: Credential | None
    buffered: bool
    entry: dict[str, Any]


@dataclass(slots=True)
class _Response:
    status: int = 200
    lines: HeaderLines = field(default_factory=lambda: HeaderLines([]))
    source: str = "service"
    body: bytes = b""


@dataclass(slots=True, kw_only=True)
class _Facts:
    """One request while it is handled."""

    method: str
    target: str
    path: str
    normal_path: str
    raw_query: str
    lines: HeaderLines
    body: bytes
    scheme: str
    host: str
    port: int
    client: list[Any]
    consumer: Consumer | None = None
    credential: Credential | None = None
    shared: dict[str, bytes]
    early: list[list[Any]]
    serialize: list[list[Any]]
    buffered: bool = False
    response: _Response | None = None
    sent: _Response | None = None
    exited: bool = False


class _Port:
    """Answers the calls of one handler run."""

    def __init__(self, node: Node, gateway: Gateway, facts: _Facts) -> None:
        self.node = node
        self.outcome: Ended | None = None
        self.lines: list[tuple[int, str]] = []
        self._gateway = gateway
        self._facts = facts

    def log(self, call: Any, level: int, message: str) -> None:
        self.lines.append((level, message))

    def deliver(self, call: Any, outcome: Ended) -> None:
        self.outcome = outcome

    def lied(self, call: Any, message: str) -> None:
        raise AssertionError(f"the gateway of the test made a call that does not decode: {message}")

    def ask(self, call: Any, function: int, args: list[Any]) -> Answer:
        return self._gateway.answer(self._facts, function, args)

    async def ask_async(self, call: Any, function: int, args: list[Any]) -> Answer:
        await asyncio.sleep(0)
        return self._gateway.answer(self._facts, function, args)


class Gateway:
    """A gateway in memory that runs plugins on requests.

    Args:
        plugins: Plugin classes; they run in order of priority.
        config: Configuration of all of them, or with several plugins a mapping of plugin name to configuration in ``configs``.
        configs: Configurations by plugin name.
        upstream: What the upstream answers: a Reply, or a function from the request to one. By default 200 ``ok``.
        route: Route of the requests.
        service: Service of the requests.
        consumers: Consumers that ``client.load_consumer`` finds.
        credentials: Credentials that ``client.load_credential`` finds, by kind and key.
        globally: The plugins are configured globally, so that their rewrite runs.
        trusted_ips: Networks of trusted peers.
        log_level: Least level of lines: ``debug`` to ``emerg``.
        max_body: Largest body, in bytes.
        max_shared: Largest ``ctx.shared``, in bytes.

    Raises:
        PluginError: a class cannot be used.
        ConfigError: a configuration does not fit.
    """

    def __init__(
        self,
        *plugins: type[Plugin],
        config: Mapping[str, Any] | None = None,
        configs: Mapping[str, Mapping[str, Any]] | None = None,
        upstream: Reply | Callable[[UpstreamRequest], Reply] | None = None,
        route: Route | None = None,
        service: Service | None = None,
        consumers: Sequence[Consumer] = (),
        credentials: Mapping[tuple[str, str], Credential] | None = None,
        globally: bool = False,
        trusted_ips: Sequence[str] = (),
        log_level: str = "debug",
        max_body: int = 8 << 20,
        max_shared: int = 64 << 10,
    ) -> None:
        if not plugins:
            raise PluginError("no plugin given; expected at least one class that extends outrigger.Plugin")
        specs = sorted((PluginSpec(kind) for kind in plugins), key=lambda spec: -spec.priority)
        named = configs or {}
        self._instances = [
            Instance(number, spec, spec.make(dict(named.get(spec.name, config or {})))) for number, spec in enumerate(specs, start=1)
        ]
        for instance in self._instances:
            hook = instance.hook("configure")
            if hook is not None:
                _finish(hook())
        self._upstream = upstream
        self._route = route
        self._service = service
        self._consumers = list(consumers)
        self._credentials = dict(credentials or {})
        self._globally = globally
        hello = HostHello(
            node_id="00000000-0000-4000-8000-000000000000",
            hostname="testing",
            gateway_version="testing",
            trusted_cidrs=list(trusted_ips),
            log_level=LEVELS.index(log_level),
            max_body=max_body,
            max_shared=max_shared,
        )
        self._node = Node(hello)

    @property
    def plugins(self) -> list[Plugin]:
        """The plugin objects in running order."""
        return [instance.plugin for instance in self._instances]

    def close(self) -> None:
        """Runs the close hooks."""
        for instance in self._instances:
            hook = instance.hook("close")
            if hook is not None:
                _finish(hook())

    def send(
        self,
        method: str = "GET",
        target: str = "/",
        headers: Headers = (),
        body: bytes = b"",
        *,
        scheme: str = "http",
        host: str = "gw.test",
        port: int = 8000,
        client_ip: str = "10.0.0.9",
        client_port: int = 40000,
        forwarded_ip: str | None = None,
        forwarded_port: int | None = None,
        consumer: Consumer | None = None,
        credential: Credential | None = None,
        shared: Mapping[str, Any] | None = None,
    ) -> Result:
        """Runs one request through all phases.

        Raises:
            HandlerFailed: a handler raised.
        """
        lines = _lines_of(headers)
        if lines.get("host") is None:
            lines = HeaderLines(["host", host.encode(), *lines.flat])
        trusted = self._node.is_trusted(client_ip)
        raw_path, _, query = target.partition("?")
        facts = _Facts(
            method=method,
            target=target,
            path=_normal_path(raw_path),
            normal_path=_normal_path(raw_path),
            raw_query=query,
            lines=lines,
            body=body,
            scheme=scheme,
            host=host,
            port=port,
            client=[client_ip, client_port, forwarded_ip, forwarded_port or (client_port if forwarded_ip is None else None), trusted],
            consumer=consumer,
            credential=credential,
            shared={key: encode_value(value) for key, value in (shared or {}).items()},
            early=[],
            serialize=[],
        )
        logs: list[LogLine] = []
        if self._globally:
            self._phase(facts, "rewrite", logs)
        self._phase(facts, "access", logs)
        seen = self._proxy(facts, logs)
        self._filter(facts, logs)
        assert facts.response is not None
        self._phase(facts, "log", logs)
        return self._result(facts, seen, logs)

    # The walk.

    def _proxy(self, facts: _Facts, logs: list[LogLine]) -> UpstreamRequest | None:
        if facts.exited:
            return None
        path = facts.path
        seen = UpstreamRequest(facts.method, facts.scheme, path, facts.raw_query, _multi_map(facts.lines), facts.body)
        reply = self._upstream(seen) if callable(self._upstream) else self._upstream or Reply()
        lines = _lines_of(reply.headers)
        if lines.get("content-length") is None:
            lines = lines.with_added("content-length", [str(len(reply.body)).encode()])
        facts.sent = _Response(reply.status, lines, "service", reply.body)
        facts.response = _Response(reply.status, lines, "service", reply.body)
        for operation in facts.early:
            _apply_response(facts.response, operation)
        self._phase(facts, "response", logs)
        return seen

    def _filter(self, facts: _Facts, logs: list[LogLine]) -> None:
        self._phase(facts, "header_filter", logs)
        response = facts.response
        assert response is not None
        size = max(1, len(response.body)) if facts.buffered else 32768
        pieces = [response.body[at : at + size] for at in range(0, len(response.body), size)] or [b""]
        for instance in self._instances:
            if instance.steps[PHASES.index("body_filter") + 1] is None:
                continue
            filtered: list[bytes] = []
            for number, piece in enumerate(pieces):
                outcome = self._step(instance, facts, "body_filter", logs, chunk=piece, last=number == len(pieces) - 1)
                filtered.append(piece if outcome is None or outcome.body is None else outcome.body)
            pieces = filtered
        response.body = b"".join(pieces)

    def _phase(self, facts: _Facts, phase: str, logs: list[LogLine]) -> None:
        for instance in self._instances:
            if instance.steps[PHASES.index(phase) + 1] is None:
                continue
            if facts.exited and phase in ("rewrite", "access", "response"):
                return
            outcome = self._step(instance, facts, phase, logs)
            if outcome is not None:
                for operation in outcome.operations:
                    self._apply(facts, operation, phase)

    def _step(
        self, instance: Instance, facts: _Facts, phase: str, logs: list[LogLine], chunk: bytes | None = None, last: bool = False
    ) -> Ended | None:
        step = instance.steps[PHASES.index(phase) + 1]
        assert step is not None
        port = _Port(self._node, self, facts)
        call = Call(self._wire(instance, facts, phase, chunk, last), instance.id, self._slots(facts), port, step)
        outcome = asyncio.run(run_async(call, step)) if step.is_async else run(call, step)
        logs += [LogLine(LEVELS[level], message, instance.spec.name, phase) for level, message in port.lines]
        outcome = outcome or port.outcome
        if outcome is not None and outcome.error is not None:
            raise HandlerFailed(instance.spec.name, phase, *outcome.error)
        return outcome

    def _slots(self, facts: _Facts) -> list[Entity | None]:
        documents = [
            None if self._route is None else msgspec.to_builtins(self._route),
            None if self._service is None else msgspec.to_builtins(self._service),
            None if facts.consumer is None else consumer_document(facts.consumer),
        ]
        return [None if document is None else Entity(encode_value(document)) for document in documents]

    def _wire(self, instance: Instance, facts: _Facts, phase: str, chunk: bytes | None, last: bool) -> WireCall:
        request = [facts.method, facts.scheme, facts.host, facts.port, 11, bytes_of(facts.target), bytes_of(facts.normal_path)]
        request += [facts.lines.flat, bytes_of(facts.raw_query)]
        wire = WireCall(
            instance=instance.id,
            phase=PHASES.index(phase) + 1,
            timeout=1000,
            request_id="0" * 32,
            start_time=1_700_000_000_000,
            request=_packed(request),
            client=_packed(facts.client),
            route=None if self._route is None or phase == "rewrite" else 0,
            service=None if self._service is None or phase == "rewrite" else 1,
            consumer=None if facts.consumer is None else 2,
            credential=NIL if facts.credential is None else _packed(credential_document(facts.credential)),
            shared=_packed({key: msgspec.Raw(value) for key, value in facts.shared.items()}),
            chunk=chunk,
            last=last,
            request_body=facts.body if "request_body" in instance.spec.needs and phase in ("rewrite", "access") else None,
        )
        if facts.response is not None:
            source = ("service", "exit", "error").index(facts.response.source)
            wire.response = _packed([facts.response.status, facts.response.lines.flat, source])
        if facts.sent is not None:
            wire.service_response = _packed([facts.sent.status, facts.sent.lines.flat])
            if "response_body" in instance.spec.needs and phase == "response":
                wire.response_body = facts.sent.body
        return wire

    # What the host does with operations and asks.

    def _apply(self, facts: _Facts, operation: list[Any], phase: str) -> None:
        code = operation[0]
        if code in (1, 2, 3):
            facts.lines = apply_to_request(facts.lines, operation)
        elif code == 4:
            facts.method = operation[1]
        elif code == 5:
            facts.path = text_of(operation[1])
        elif code == 6:
            facts.raw_query = text_of(operation[1])
        elif code == 7:
            facts.body = operation[1]
            facts.lines = facts.lines.with_set("content-length", [str(len(operation[1])).encode()])
        elif code == 8:
            facts.buffered = True
        elif code == 9:
            facts.scheme = operation[1]
        elif code in (20, 21, 22, 23):
            if facts.response is None:
                facts.early.append(operation)
            else:
                _apply_response(facts.response, operation)
        elif code == 24:
            assert facts.response is not None
            facts.response.body = operation[1]
            facts.response.lines = facts.response.lines.with_set("content-length", [str(len(operation[1])).encode()])
        elif code in (25, 26):
            self._exit(facts, operation)
        elif code == 40:
            facts.consumer = None if operation[1] is None else consumer_of(operation[1])
            facts.credential = None if operation[2] is None else credential_of(operation[2])
        elif code == 50:
            if operation[2] is None:
                facts.shared.pop(operation[1], None)
            else:
                facts.shared[operation[1]] = encode_value(operation[2])
        elif code == 60:
            facts.serialize.append(operation)

    def _exit(self, facts: _Facts, operation: list[Any]) -> None:
        code, status, raw, flat = operation
        response = facts.response or _Response(lines=HeaderLines([]))
        if facts.response is None:
            for early in facts.early:
                _apply_response(response, early)
        body = raw or b""
        if code == 26:
            message = text_of(raw) if raw is not None else f"error {status}"
            body = json.dumps({"message": message, "request_id": "0" * 32}).encode()
            response.lines = response.lines.with_set("content-type", [b"application/json; charset=utf-8"])
        given: dict[str, list[bytes]] = {}
        for name, value in zip(flat[::2], flat[1::2], strict=True):
            given.setdefault(name, []).append(value)
        for name, values in given.items():
            response.lines = response.lines.with_set(name, values)
        response.lines = response.lines.with_set("content-length", [str(len(body)).encode()])
        response.status, response.body, response.source = status, body, "exit"
        facts.response, facts.exited = response, True

    def answer(self, facts: _Facts, function: int, args: list[Any]) -> Answer:
        """Answers an ask; docs/wire.md section 7."""
        if function == 1:
            return _body_answer(facts.body, self._node.max_body)
        if function == 2:
            facts.buffered = True
            return _body_answer(facts.sent.body if facts.sent is not None else b"", self._node.max_body)
        if function == 3:
            return Answer(value=json.dumps(self._entry(facts)))
        if function == 4:
            key, by_name = args
            found = next((c for c in self._consumers if c.id == key or (by_name and c.username == key)), None)
            return Answer(value=None if found is None else consumer_document(found))
        credential = self._credentials.get((args[0], args[1]))
        return Answer(value=None if credential is None else credential_document(credential))

    def _entry(self, facts: _Facts) -> dict[str, Any]:
        assert facts.response is not None
        headers = _multi_map(facts.lines).to_dict()
        for name in ("authorization", "proxy-authorization"):
            if name in headers:
                headers[name] = ["REDACTED"]
        entry: dict[str, Any] = {
            "request": {"method": facts.method, "uri": facts.target, "headers": _single(headers)},
            "response": {"status": facts.response.status, "headers": _single(_multi_map(facts.response.lines).to_dict())},
            "latencies": {"kong": 0, "proxy": 0 if facts.sent is not None else -1, "request": 0},
            "client_ip": facts.client[0],
            "started_at": 1_700_000_000_000,
            "source": "upstream" if facts.response.source == "service" else "kong",
        }
        return json.loads(serialize_over(json.dumps(entry), facts.serialize))

    def _result(self, facts: _Facts, seen: UpstreamRequest | None, logs: list[LogLine]) -> Result:
        response = facts.response
        assert response is not None
        return Result(
            status=response.status,
            headers=_multi_map(response.lines),
            body=response.body,
            source=response.source,
            upstream=seen,
            logs=logs,
            shared={key: decode_value(value) for key, value in facts.shared.items()},
            consumer=facts.consumer,
            credential=facts.credential,
            buffered=facts.buffered,
            entry=self._entry(facts),
        )


def _finish(result: Any) -> None:
    if asyncio.iscoroutine(result):
        asyncio.run(cast("Any", result))


def _packed(value: Any) -> msgspec.Raw:
    return msgspec.Raw(encode_value(value))


def _lines_of(headers: Headers) -> HeaderLines:
    items = headers.items() if isinstance(headers, Mapping) else headers
    flat: list[Any] = []
    for name, value in items:
        for line in [value] if isinstance(value, str) else value:
            flat += [name.lower(), bytes_of(line)]
    return HeaderLines.of_flat(flat)


def _multi_map(lines: HeaderLines) -> MultiMap:
    return MultiMap(lines.pairs(len(lines.flat))[0])


def _single(headers: dict[str, list[str]]) -> dict[str, Any]:
    return {name: values[0] if len(values) == 1 else values for name, values in headers.items()}


def _apply_response(response: _Response, operation: list[Any]) -> None:
    if operation[0] == 20:
        response.status = operation[1]
    else:
        response.lines = apply_to_response(response.lines, operation)


_RESERVED = frozenset(b":/?#[]@!$&'()*+,;=%")


def _normal_path(path: str) -> str:
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


def _body_answer(body: bytes, limit: int) -> Answer:
    if limit and len(body) > limit:
        return Answer(error=("bad_data", f"body has {len(body)} bytes; at most {limit} (max_body) are kept"))
    return Answer(value=body)
