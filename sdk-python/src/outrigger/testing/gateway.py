"""The gateway in memory: it takes requests through the phases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from .._errors import PluginError
from .._runtime.call import Call
from .._runtime.handlers import run, run_async
from .._runtime.headers import HeaderLines
from .._runtime.node import Entity, Node
from .._runtime.plugins import Instance, PluginSpec
from .._runtime.stream import outcome_frames
from .._runtime.values import decode_value, encode_value
from .._runtime.wire import NIL, PHASES, Answer, BadFrame, Ended, HostHello, check_size, decode_call, unsendable
from .._values import Captures, Consumer, ConsumerGroup, Credential, Route, Service, consumer_document, entity_document
from ..plugin import Plugin
from .effects import apply, fail
from .entry import log_entry
from .exchange import Exchange, Response, blank_exchange, forwarded_facts, lines_of, multi_map, normal_path
from .host import Host, Script
from .secrets import with_secrets
from .values import LEVELS, TLS, FailMode, HandlerFailed, Headers, LogLine, NodeFacts, Replay, Reply, Result, UpstreamRequest

_BODY_FILTER = PHASES.index("body_filter") + 1

FRAME_HEADER = 16
"""Bytes in front of a frame's body."""


class _Port:
    """Answers the calls of one handler run."""

    def __init__(self, gateway: Gateway, exchange: Exchange, plugin: str) -> None:
        self.node = gateway.node
        self.outcome: Ended | None = None
        self.lines: list[tuple[int, str]] = []
        self._gateway = gateway
        self._exchange = exchange
        self._plugin = plugin

    def log(self, call: Any, level: int, message: str) -> None:
        self.lines.append((level, message))

    def deliver(self, call: Any, outcome: Ended) -> None:
        self.outcome = outcome

    def lied(self, call: Any, message: str) -> None:
        raise AssertionError(f"the gateway of the test made a call that does not decode: {message}")

    def ask(self, call: Any, function: int, args: list[Any]) -> Answer:
        return self._gateway.answer(self._exchange, self._plugin, function, args)

    async def ask_async(self, call: Any, function: int, args: list[Any]) -> Answer:
        await asyncio.sleep(0)
        return self._gateway.answer(self._exchange, self._plugin, function, args)


class Gateway:
    """A gateway in memory that runs plugins on requests.

    Args:
        plugins: Plugin classes; they run in order of priority.
        config: Configuration of all of them, or with several plugins a mapping of plugin name to configuration in ``configs``.
        configs: Configurations by plugin name.
        plugin_ids: What ``plugin.get_id`` answers, by plugin name; for others an id is made up.
        upstream: What the upstream answers: a Reply, or a function from the request to one. By default 200 ``ok``.
        route: Route of the requests.
        service: Service of the requests.
        consumers: Consumers that ``client.load_consumer`` finds.
        credentials: Credentials that ``client.load_credential`` finds, by kind and key.
        consumer_groups: Groups of consumers by the id of the consumer.
        upstreams: Names that ``service.set_upstream`` takes.
        secrets: Secrets by reference, ``{"{vault://env/x}": "secret"}``, for ``vault.get`` and for settings that may be references.
        node: What the node says of itself.
        script: Answers questions of the plugins before the gateway does; see ``Script``.
        fail_mode: What comes of a handler that fails: ``raise`` HandlerFailed out of ``send``, answer ``fail_status`` (``closed``), or go
            on without it (``open``). In log it is only noted.
        fail_status: Status of the answer for a plugin that failed closed.
        globally: The plugins are configured globally, so that their rewrite runs.
        trusted_ips: Networks of trusted peers; their X-Forwarded headers count.
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
        plugin_ids: Mapping[str, str] | None = None,
        upstream: Reply | Callable[[UpstreamRequest], Reply] | None = None,
        route: Route | None = None,
        service: Service | None = None,
        consumers: Sequence[Consumer] = (),
        credentials: Mapping[tuple[str, str], Credential] | None = None,
        consumer_groups: Mapping[str, Sequence[ConsumerGroup]] | None = None,
        upstreams: Sequence[str] = (),
        secrets: Mapping[str, str] | None = None,
        node: NodeFacts | None = None,
        script: Script | None = None,
        fail_mode: FailMode = "raise",
        fail_status: int = 500,
        globally: bool = False,
        trusted_ips: Sequence[str] = (),
        log_level: str = "debug",
        max_body: int = 8 << 20,
        max_shared: int = 64 << 10,
    ) -> None:
        if not plugins:
            raise PluginError("no plugin given; expected at least one class that extends outrigger.Plugin")
        if fail_mode not in ("raise", "closed", "open"):
            raise ValueError(f"fail_mode is {fail_mode!r}; expected raise, closed or open")
        specs = sorted((PluginSpec(kind) for kind in plugins), key=lambda spec: -spec.priority)
        named, identities = configs or {}, plugin_ids or {}
        self._instances = [
            Instance(
                number,
                spec,
                spec.make(with_secrets(spec.schema, dict(named.get(spec.name, config or {})), secrets or {})),
                identities.get(spec.name, f"00000000-0000-4000-8000-{number:012}"),
            )
            for number, spec in enumerate(specs, start=1)
        ]
        for instance in self._instances:
            hook = instance.hook("configure")
            if hook is not None:
                _finish(hook())
        self._upstream = upstream
        self._route = route
        self._service = service
        self._globally = globally
        self._fail_mode = fail_mode
        self._fail_status = fail_status
        self._host = Host(
            node=node or NodeFacts(),
            consumers=consumers,
            credentials=credentials or {},
            consumer_groups=consumer_groups or {},
            upstreams=upstreams,
            secrets=secrets or {},
            max_body=max_body,
            script=script,
        )
        facts = self._host.node
        hello = HostHello(
            node_id=facts.id,
            hostname=facts.hostname,
            gateway_version=facts.version,
            trusted_cidrs=list(trusted_ips),
            log_level=LEVELS.index(log_level),
            max_body=max_body,
            max_shared=max_shared,
            cluster_id=facts.cluster_id,
            telemetry_logs=facts.telemetry_logs,
        )
        self.node = Node(hello)

    @property
    def plugins(self) -> list[Plugin]:
        """The plugin objects in running order."""
        return [instance.plugin for instance in self._instances]

    @property
    def now(self) -> float:
        """The clock of the cache in seconds, 0 at first. Tests set it forward to have values expire."""
        return self._host.now

    @now.setter
    def now(self, seconds: float) -> None:
        self._host.now = seconds

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
        scheme: str | None = None,
        host: str = "gw.test",
        port: int = 8000,
        client_ip: str = "10.0.0.9",
        client_port: int = 40000,
        forwarded_ip: str | None = None,
        forwarded_port: int | None = None,
        tls: TLS | None = None,
        captures: Captures | None = None,
        consumer: Consumer | None = None,
        credential: Credential | None = None,
        groups: Sequence[ConsumerGroup] = (),
        shared: Mapping[str, Any] | None = None,
    ) -> Result:
        """Runs one request through all phases. The scheme is https when there is a TLS connection, else http.

        Raises:
            HandlerFailed: a handler raised, and the fail mode is ``raise``.
        """
        lines = lines_of(headers)
        if lines.get("host") is None:
            lines = HeaderLines(["host", *lines.names], [host.encode(), *lines.values])
        trusted = self.node.is_trusted(client_ip)
        raw_path, _, query = target.partition("?")
        path = normal_path(raw_path)
        scheme = scheme or ("http" if tls is None else "https")
        exchange = Exchange(
            method=method,
            target=target,
            path=path,
            normal_path=path,
            raw_query=query,
            lines=lines,
            body=body,
            scheme=scheme,
            upstream_scheme=scheme,
            host=host,
            port=port,
            client=[client_ip, client_port, forwarded_ip, forwarded_port or (client_port if forwarded_ip is None else None), trusted],
            forwarded=forwarded_facts(lines, scheme, host, port, path) if trusted else None,
            tls=tls,
            captures=captures,
            consumer=consumer,
            credential=credential,
            groups=list(groups),
            shared={key: encode_value(value) for key, value in (shared or {}).items()},
        )
        if self._globally:
            self._phase(exchange, "rewrite")
        exchange.routed = True
        if not exchange.answered:
            self._phase(exchange, "access")
        seen = None if exchange.answered else self._proxy(exchange)
        exchange.answered = False  # so that a header_filter that answers ends its own phase
        self._phase(exchange, "header_filter")
        self._filter_body(exchange)
        self._phase(exchange, "log")
        return self._result(exchange, seen)

    def replay(self, call: bytes, entities: Mapping[int, bytes] | None = None) -> Replay:
        """Runs a handler of the first plugin on a call as it travels (docs/wire.md section 5), whatever requests can say.

        What the handler wrote is applied to a request of its own. A handler that failed gives an outcome that says so in every fail mode.

        Args:
            call: Body of the call.
            entities: Documents by the slot under which the call names them, one MessagePack map each.

        Raises:
            ValueError: the call does not decode, or the plugin does not handle its phase.
        """
        try:
            wire = decode_call(call)
        except BadFrame as err:
            raise ValueError(str(err)) from err
        instance, slots = self._instances[0], _slot_table(entities or {})
        step = instance.steps[wire.phase] if 0 < wire.phase < len(instance.steps) else None
        if step is None:
            raise ValueError(f"the call is of phase {wire.phase}; plugin {instance.spec.name!r} does not handle it")
        phase, exchange = PHASES[wire.phase - 1], blank_exchange(answered=wire.response != NIL)
        port = _Port(self, exchange, instance.spec.name)
        handler = Call(wire, instance.id, port, step, step.bit, slots)
        outcome = asyncio.run(run_async(handler, step)) if step.is_async else run(handler, step)
        outcome = outcome or port.outcome
        assert outcome is not None
        outcome = _bounded(outcome)
        if outcome.error is None:
            self._apply(exchange, instance, phase, outcome)
        *chunks, last = outcome_frames(1, outcome)
        lines = [LogLine(LEVELS[level], message, instance.spec.name, phase) for level, message in port.lines]
        return Replay(last[FRAME_HEADER:], [chunk[FRAME_HEADER:] for chunk in chunks], lines)

    # The walk.

    def _proxy(self, exchange: Exchange) -> UpstreamRequest:
        headers = multi_map(exchange.lines)
        seen = UpstreamRequest(
            exchange.method, exchange.upstream_scheme, exchange.path, exchange.raw_query, headers, exchange.body, exchange.destination
        )
        reply = self._upstream(seen) if callable(self._upstream) else self._upstream or Reply()
        lines = lines_of(reply.headers)
        if lines.get("content-length") is None:
            lines = lines.with_added("content-length", [str(len(reply.body)).encode()])
        exchange.sent = Response(reply.status, lines, "service", reply.body)
        buffered = exchange.buffered or any("response_body" in instance.spec.needs for instance in self._instances)
        for name, value in zip(exchange.early.names, exchange.early.values, strict=True):
            if not (buffered and name in exchange.sent.lines.names):  # a buffered upstream's header wins
                lines = lines.with_added(name, [value])
        exchange.response = Response(reply.status, lines, "service", reply.body)
        exchange.chunk_size = reply.chunk_size
        self._phase(exchange, "response")
        return seen

    def _phase(self, exchange: Exchange, phase: str) -> None:
        """Runs the handlers of a phase until one of them answers."""
        for instance in self._instances:
            if instance.steps[PHASES.index(phase) + 1] is None:
                continue
            outcome = self._step(instance, exchange, phase)
            if outcome is not None:
                self._apply(exchange, instance, phase, outcome)
            if exchange.answered and phase != "log":
                return

    def _filter_body(self, exchange: Exchange) -> None:
        response = exchange.response
        assert response is not None
        size = max(1, len(response.body)) if exchange.buffered else exchange.chunk_size
        pieces = [response.body[at : at + size] for at in range(0, len(response.body), size)] or [b""]
        for instance in self._instances:
            if instance.steps[_BODY_FILTER] is None:
                continue
            filtered: list[bytes] = []
            exchange.answered = False
            for number, piece in enumerate(pieces):
                outcome = self._step(instance, exchange, "body_filter", piece, number == len(pieces) - 1)
                if exchange.answered:  # it failed closed, and the response was replaced
                    return
                filtered.append(piece if outcome is None or outcome.body is None else outcome.body)
                if outcome is not None:
                    self._apply(exchange, instance, "body_filter", outcome)
            pieces = filtered
        response.body = b"".join(pieces)

    def _step(self, instance: Instance, exchange: Exchange, phase: str, chunk: bytes | None = None, last: bool = False) -> Ended | None:
        """Runs one handler. None when it failed and the fail mode has dealt with it."""
        step = instance.steps[PHASES.index(phase) + 1]
        assert step is not None
        port = _Port(self, exchange, instance.spec.name)
        slots = self._slots(exchange)
        call = Call(exchange.call(instance, phase, chunk, last, slots), instance.id, port, step, step.bit, slots)
        outcome = asyncio.run(run_async(call, step)) if step.is_async else run(call, step)
        exchange.logs += [LogLine(LEVELS[level], message, instance.spec.name, phase) for level, message in port.lines]
        outcome = outcome or port.outcome
        outcome = outcome and _bounded(outcome)
        if outcome is None or outcome.error is None:
            return outcome
        failure = HandlerFailed(instance.spec.name, phase, *outcome.error)
        if self._fail_mode == "raise":
            raise failure
        exchange.failures.append(failure)
        if self._fail_mode == "closed" and phase != "log":
            fail(exchange, self._fail_status)
        return None

    def _slots(self, exchange: Exchange) -> list[Entity | None]:
        documents = [
            None if self._route is None else entity_document(self._route),
            None if self._service is None else entity_document(self._service),
            None if exchange.consumer is None else consumer_document(exchange.consumer),
        ]
        return [None if document is None else Entity(encode_value(document)) for document in documents]

    def _apply(self, exchange: Exchange, instance: Instance, phase: str, outcome: Ended) -> None:
        for operation in outcome.operations:
            if operation[0] in (92, 93):
                self._host.write_cache(instance.spec.name, operation)
            else:
                apply(exchange, operation, instance.id, instance.spec.name, phase)

    def answer(self, exchange: Exchange, plugin: str, function: int, args: list[Any]) -> Answer:
        """Answers a question of a handler."""
        return self._host.answer(exchange, plugin, self._route, self._service, function, args)

    def _result(self, exchange: Exchange, seen: UpstreamRequest | None) -> Result:
        response = exchange.response
        assert response is not None
        return Result(
            status=response.status,
            headers=multi_map(response.lines),
            body=response.body,
            source=response.source,
            upstream=seen,
            target=exchange.destination,
            logs=exchange.logs,
            shared={key: decode_value(value) for key, value in exchange.shared.items()},
            kept={
                instance.spec.name: {key: decode_value(value) for key, value in exchange.kept.get(instance.id, {}).items()}
                for instance in self._instances
            },
            consumer=exchange.consumer,
            credential=exchange.credential,
            groups=exchange.groups,
            client_verify=exchange.client_verify,
            buffered=exchange.buffered,
            entry=log_entry(exchange, self._route, self._service),
            telemetry=exchange.telemetry,
            spans=exchange.spans,
            failures=exchange.failures,
        )


def _bounded(outcome: Ended) -> Ended:
    """The outcome, or a failed one when it is larger than a gateway takes."""
    try:
        check_size(outcome.operations)
    except OverflowError as err:
        return unsendable(err)
    return outcome


def _slot_table(entities: Mapping[int, bytes]) -> list[Entity | None]:
    slots: list[Entity | None] = [None] * (max(entities, default=-1) + 1)
    for slot, document in entities.items():
        slots[slot] = Entity(document)
    return slots


def _finish(result: Any) -> None:
    if asyncio.iscoroutine(result):
        asyncio.run(cast("Any", result))
