"""The gateway in memory: what its users see. Cases of the PDK functions themselves are in test_pdk and in the shared vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import outrigger
from outrigger import Captures, Consumer, ConsumerGroup, DataError, HostError
from outrigger.testing import TLS, Gateway, HandlerFailed, NodeFacts, Reply

ID = "11111111-2222-4333-8444-555555555555"


def plugin_of(name: str = "case", priority: int = 0, needs: tuple[str, ...] = (), **handlers: Callable[..., Any]) -> type[outrigger.Plugin]:
    """A plugin class of functions; each gets the PDK, body_filter also chunk and last."""
    methods: dict[str, Any] = {"name": name, "version": "1", "priority": priority, "needs": needs}
    for phase, handler in handlers.items():
        if phase == "body_filter":
            methods[phase] = lambda self, kong, chunk, last, handler=handler: handler(kong, chunk, last)
        else:
            methods[phase] = lambda self, kong, handler=handler: handler(kong)
    return type("Case", (outrigger.Plugin,), methods)


def asked(handler: Callable[[outrigger.PDK], Any], **options: Any) -> Any:
    """What a handler returns in access."""
    found: list[Any] = []
    of_send = {key: options.pop(key) for key in ("tls", "headers", "target", "client_ip", "groups", "captures", "body") if key in options}
    Gateway(plugin_of(access=lambda kong: found.append(handler(kong))), **options).send(**of_send)
    return found[0]


class TestLookups:
    def test_groups(self) -> None:
        gold = ConsumerGroup(id="g-1", name="gold")
        silver = ConsumerGroup(id="g-2", name="silver")
        seen: list[Any] = []

        def first(kong: outrigger.PDK) -> None:
            seen.append(kong.client.authenticate_consumer_group_by_consumer_id(ID))
            kong.client.set_authenticated_consumer_groups([silver, gold], "append")

        gateway = Gateway(
            plugin_of("first", 2, access=first),
            plugin_of("second", 1, log=lambda kong: seen.append(kong.client.get_consumer_groups())),
            consumer_groups={ID: [gold]},
        )
        result = gateway.send(groups=[silver])
        assert seen == [[gold], [gold, silver]]
        assert result.groups == [gold, silver]
        with pytest.raises(HandlerFailed, match="no consumer"):
            Gateway(plugin_of(access=lambda k: k.client.authenticate_consumer_group_by_consumer_id(ID))).send()

    def test_consumer_without_groups(self) -> None:
        assert asked(lambda k: k.client.authenticate_consumer_group_by_consumer_id(ID), consumers=[Consumer(id=ID)]) == []

    def test_upstreams_and_targets(self) -> None:
        def access(kong: outrigger.PDK) -> None:
            kong.service.set_upstream("pool")
            with pytest.raises(DataError):
                kong.service.set_upstream("other")
            kong.service.set_retries(2)
            kong.service.set_timeouts(1, 2, 3)
            kong.service.set_fallback_targets(["a:1", "[::1]:2"])
            kong.service.set_tls_verify(False)
            kong.service.set_tls_verify_depth(3)
            kong.service.set_tls_cert_key("-----BEGIN CERTIFICATE-----", "-----BEGIN PRIVATE KEY-----")
            kong.service.set_tls_verify_store("-----BEGIN CERTIFICATE-----")

        target = Gateway(plugin_of(access=access), upstreams=["pool"]).send().target
        assert (target.upstream, target.host, target.retries, target.timeouts) == ("pool", None, 2, (1, 2, 3))
        assert target.fallback_targets == ["a:1", "[::1]:2"]
        assert (target.tls_verify, target.tls_verify_depth) == (False, 3)
        assert target.tls_key == "-----BEGIN PRIVATE KEY-----"
        assert target.tls_certificates == target.tls_verify_store == "-----BEGIN CERTIFICATE-----"

    def test_target_instead_of_upstream(self) -> None:
        def access(kong: outrigger.PDK) -> None:
            kong.service.set_upstream("pool")
            kong.service.set_target("10.0.0.1", 81)

        result = Gateway(plugin_of(access=access), upstreams=["pool"]).send()
        assert result.upstream is not None
        assert (result.upstream.target.upstream, result.upstream.target.host, result.upstream.target.port) == (None, "10.0.0.1", 81)

    def test_secrets(self) -> None:
        secrets = {"{vault://env/x}": "s3cret"}
        assert asked(lambda k: k.vault.get("{vault://env/x}"), secrets=secrets) == "s3cret"
        with pytest.raises(HandlerFailed, match="no secret for 'y' of vault env"):
            asked(lambda k: k.vault.get("{vault://env/y}"), secrets=secrets)
        options = {"a": "old", "b": "old", "$refs": {"a": "{vault://env/x}", "b": "{vault://env/y}"}}
        assert asked(lambda k: k.vault.update(options), secrets=secrets) == {**options, "a": "s3cret"}

    def test_node(self) -> None:
        node = NodeFacts(cluster_id="c", version="9", configuration={"log_level": "info"}, memory={"heap": 1536})
        assert asked(lambda k: [k.cluster.get_id(), k.node.get_version()], node=node) == ["c", "9"]
        assert asked(lambda k: k.node.get_configuration(), node=node) == {"log_level": "info"}
        assert asked(lambda k: k.node.get_memory_stats("K", 1), node=node) == {"process": {"heap": "1.5 KiB"}}
        assert asked(lambda k: k.node.get_memory_stats(), node=node) == {"process": {"heap": 1536}}
        assert asked(lambda k: k.nginx.get_statistics())["total_requests"] == 1

    def test_plugin_id(self) -> None:
        assert asked(lambda k: k.plugin.get_id()) == "00000000-0000-4000-8000-000000000001"
        assert asked(lambda k: k.plugin.get_id(), plugin_ids={"case": ID}) == ID

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("request_method", "GET"), ("uri", "/a b"), ("args", "x=1&Y=2"), ("is_args", "?"), ("arg_y", "2"), ("arg_z", None),
            ("cookie_c", "v"), ("http_x_name", "bob"), ("remote_addr", "10.0.0.9"), ("server_protocol", "HTTP/1.1"), ("status", None),
            ("ssl_protocol", "TLSv1.3"), ("https", "on"), ("nope", None), ("", None),
        ],
    )  # fmt: skip
    def test_variables(self, name: str, value: str | None) -> None:
        headers = {"X-Name": "bob", "Cookie": "b=1; c=v"}
        assert asked(lambda k: k.nginx.get_var(name), target="/a%20b?x=1&Y=2", headers=headers, tls=TLS()) == value

    def test_response_variables(self) -> None:
        found: list[Any] = []
        names = ("status", "upstream_status", "sent_http_x_a", "upstream_http_x_a")
        case = plugin_of(
            log=lambda k: found.append([k.nginx.get_var(name) for name in names]), access=lambda k: k.response.set_header("X-A", "p")
        )
        Gateway(case, upstream=Reply(201, {"X-A": "u"})).send()
        assert found == [["201", "201", "u, p", "u"]]

    def test_script(self) -> None:
        def script(name: str, args: list[Any]) -> Any:
            if name == "client.load_consumer":
                return {"id": args[0], "username": "scripted"}
            if name == "vault.get":
                raise HostError("the vault is closed")
            return NotImplemented

        consumer = asked(lambda k: k.client.load_consumer(ID), script=script)
        assert consumer == Consumer(id=ID, username="scripted")
        assert asked(lambda k: k.request.get_raw_body(), script=script, body=b"own") == b"own"
        with pytest.raises(HandlerFailed, match="the vault is closed"):
            asked(lambda k: k.vault.get("{vault://env/x}"), script=script)


@dataclass
class Secretive:
    key: str = outrigger.setting(default="", secret=True, referenceable=True)
    keys: list[str] = outrigger.setting(default=[], referenceable=True)
    plain: str = ""


def test_references_in_configurations() -> None:
    case = plugin_of(access=lambda kong: None)
    case.Config = Secretive
    reference = "{vault://env/x}"
    gateway = Gateway(case, config={"key": reference, "keys": ["a", reference], "plain": reference}, secrets={reference: "s"})
    assert gateway.plugins[0].config == Secretive("s", ["a", "s"], reference)
    with pytest.raises(outrigger.ConfigError, match=r"keys\.0: the test gave no secret"):
        Gateway(case, config={"keys": [reference]})


class TestFacts:
    def test_tls(self) -> None:
        tls = TLS(version="TLSv1.2", client_verify="SUCCESS", certificates="PEM")
        assert asked(lambda k: k.nginx.get_tls1_version_str(), tls=tls) == "TLSv1.2"
        assert asked(lambda k: k.request.get_scheme(), tls=tls) == "https"
        assert asked(lambda k: k.client.tls.get_full_client_certificate_chain(), tls=tls) == "PEM"
        assert asked(lambda k: k.client.tls.get_full_client_certificate_chain(), tls=TLS()) is None
        result = Gateway(plugin_of(access=lambda k: k.client.tls.set_client_verify("FAILED:late"))).send(tls=tls)
        assert result.client_verify == "FAILED:late"
        assert result.entry["request"]["tls"]["client_verify"] == "FAILED:late"

    def test_trace_context(self) -> None:
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        headers = {"Traceparent": parent, "tracestate": "a=1"}
        assert asked(lambda k: [k.tracing.get_traceparent(), k.tracing.get_tracestate()], headers=headers) == [parent, "a=1"]
        assert asked(lambda k: k.tracing.get_traceparent()) is None

    def test_captures(self) -> None:
        captures = Captures(("a",), {"name": "a"})
        assert asked(lambda k: k.request.get_uri_captures(), captures=captures) == captures

    def test_forwarded(self) -> None:
        headers = {
            "X-Forwarded-Proto": "HTTPS",
            "X-Forwarded-Host": "u@Shop.test:444",
            "X-Forwarded-Prefix": "/p",
            "X-Forwarded-Path": "/q?r",
        }

        def read(kong: outrigger.PDK) -> list[Any]:
            request = kong.request
            scheme, host, port = request.get_forwarded_scheme(), request.get_forwarded_host(), request.get_forwarded_port()
            return [scheme, host, port, request.get_forwarded_path(), request.get_forwarded_prefix()]

        assert asked(read, headers=headers, trusted_ips=["10.0.0.0/8"]) == ["https", "shop.test", 444, "/q?r", "/p"]
        assert asked(read, headers=headers) == ["http", "gw.test", 8000, "/", None]
        assert asked(read, trusted_ips=["10.0.0.0/8"]) == ["http", "gw.test", 8000, "/", None]

    def test_ctx_plugin_stays_with_its_instance(self) -> None:
        found: list[Any] = []
        one = plugin_of("one", 2, access=lambda k: k.ctx.plugin.set("k", [1]), log=lambda k: found.append(k.ctx.plugin.get("k")))
        two = plugin_of("two", 1, access=lambda k: found.append(k.ctx.plugin.get("k")))
        assert Gateway(one, two).send().kept == {"one": {"k": [1]}, "two": {}}
        assert found == [None, [1]]


class TestCache:
    def test_is_shared_by_requests_of_one_plugin(self) -> None:
        found: list[Any] = []

        def access(kong: outrigger.PDK) -> None:
            found.append(kong.cache.get("k"))
            if kong.request.get_method() == "PUT":
                kong.cache.set("k", {"n": 1}, 10)
            if kong.request.get_method() == "DELETE":
                kong.cache.delete("k")

        gateway = Gateway(plugin_of("one", access=access), plugin_of("two", access=lambda k: found.append(k.cache.get("k"))))
        for method in ("GET", "PUT", "GET", "DELETE", "GET", "PUT"):
            gateway.send(method)
        gateway.now += 9.9
        gateway.send()
        gateway.now += 0.1
        gateway.send()
        assert found[::2] == [None, None, {"n": 1}, {"n": 1}, None, None, {"n": 1}, None]
        assert set(map(str, found[1::2])) == {"None"}


class TestReports:
    def test_telemetry(self) -> None:
        case = plugin_of(access=lambda k: k.telemetry.log("case", {"a": 1}, "kind", "text", {"n": 2}))
        (record,) = Gateway(case).send().telemetry
        assert (record.plugin, record.config, record.message_type, record.message, record.attributes) == (
            "case",
            {"a": 1},
            "kind",
            "text",
            {"n": 2},
        )
        with pytest.raises(HandlerFailed, match=r"^case failed in access: bad_data: telemetry.log: .*telemetry_logs"):
            Gateway(case, node=NodeFacts(telemetry_logs=False)).send()

    def test_spans(self) -> None:
        def access(kong: outrigger.PDK) -> None:
            with kong.tracing.start_span("outer", {"a": 1}) as outer:
                kong.tracing.start_span("inner").add_event("seen", {"n": 1})
                outer.set_attribute("odd", object)
            assert kong.tracing.active_span() is not None
            kong.response.exit(204)

        result = Gateway(plugin_of(access=access, log=lambda k: k.tracing.start_span("later"))).send()
        outer, inner, later = result.spans
        assert (outer.name, outer.id, outer.parent, outer.attributes["a"], outer.attributes["odd"]) == (
            "outer",
            1,
            0,
            1,
            "<class 'object'>",
        )
        assert (inner.name, inner.id, inner.parent, inner.events[0][0]) == ("inner", 2, 1, "seen")
        assert inner.end >= inner.start > 0
        assert (later.phase, later.id) == ("log", 1)
        assert [span["name"] for span in result.entry["spans"]] == ["outer", "inner", "later"]

    def test_attributes_that_json_has_no_form_for_are_text_in_the_entry(self) -> None:
        def access(kong: outrigger.PDK) -> None:
            kong.tracing.start_span("s", {"share": float("nan"), "raw": b"hi"})

        assert Gateway(plugin_of(access=access)).send().entry["spans"][0]["attributes"] == {"share": "NaN", "raw": "hi"}

    def test_failed_handler_leaves_no_spans(self) -> None:
        def access(kong: outrigger.PDK) -> None:
            kong.tracing.start_span("lost")
            raise ValueError("no")

        assert Gateway(plugin_of(access=access), fail_mode="open").send().spans == []


class TestErrors:
    @pytest.mark.parametrize(
        ("accept", "content_type", "body"),
        [
            ("", "application/json; charset=utf-8", '{\n  "message":"a <b>",\n  "request_id":"%s"\n}'),
            ("text/html", "text/html; charset=utf-8", "<p>a &lt;b&gt;.</p>\n    <p>request_id: %s</p>"),
            ("application/xml;q=0.9, application/json;q=0.1", "application/xml; charset=utf-8", "<message>a &lt;b&gt;</message>"),
            ("text/*", "text/plain; charset=utf-8", "a <b>\nrequest_id: %s\n"),
            ("image/png, */*;q=0.1", "application/json; charset=utf-8", '"message":"a <b>"'),
            ("text/plain;q=0, text/html;q=no", "text/html; charset=utf-8", "a &lt;b&gt;"),
        ],
    )
    def test_formats(self, accept: str, content_type: str, body: str) -> None:
        result = Gateway(plugin_of(access=lambda k: k.response.error(422, "a <b>"))).send(headers={"Accept": accept})
        assert (result.status, result.source, result.headers.get("content-type")) == (422, "error", content_type)
        assert body.replace("%s", "0" * 32) in result.body.decode()
        assert result.headers.get("content-length") == str(len(result.body))

    def test_explicit_type_and_default_messages(self) -> None:
        result = Gateway(plugin_of(access=lambda k: k.response.error(404, None, {"Content-Type": "text/plain"}))).send()
        assert result.body.startswith(b"Not found\n")
        assert result.headers.get("content-type") == "text/plain"
        result = Gateway(plugin_of(access=lambda k: k.response.error(599))).send()
        assert b"The upstream server responded with 599" in result.body

    def test_fail_modes(self) -> None:
        ran: list[str] = []

        def access(kong: outrigger.PDK) -> None:
            kong.response.set_header("X-Lost", "1")
            raise ValueError("broken")

        failing = plugin_of("failing", 2, access=access)
        other = plugin_of("other", 1, access=lambda k: ran.append("access"), log=lambda k: ran.append("log"))
        with pytest.raises(HandlerFailed, match="broken"):
            Gateway(failing, other).send()
        closed = Gateway(failing, other, fail_mode="closed", fail_status=503).send(headers={"Accept": "text/plain"})
        assert (closed.status, closed.source, closed.upstream, closed.headers.get("x-lost")) == (503, "error", None, None)
        assert closed.body.startswith(b"The upstream server is currently unavailable")
        assert [(failure.plugin, failure.code) for failure in closed.failures] == [("failing", "handler_error")]
        assert ran == ["log"]
        opened = Gateway(failing, other, fail_mode="open").send()
        assert (opened.status, opened.headers.get("x-lost"), len(opened.failures)) == (200, None, 1)
        assert ran == ["log", "access", "log"]

    @pytest.mark.parametrize("phase", ["response", "header_filter", "body_filter", "log"])
    def test_closed_in_later_phases(self, phase: str) -> None:
        def handler(*_: Any) -> None:
            raise ValueError("broken")

        result = Gateway(plugin_of("case", 0, (), **{phase: handler}), fail_mode="closed").send()
        assert result.status == (200 if phase == "log" else 500)
        assert (result.body == b"ok") == (phase == "log")
        assert len(result.failures) == 1

    def test_unknown_fail_mode(self) -> None:
        with pytest.raises(ValueError, match="raise, closed or open"):
            Gateway(plugin_of(access=print), fail_mode="maybe")  # type: ignore[arg-type]


class TestResponses:
    @pytest.mark.parametrize("buffered", [False, True])
    def test_headers_set_before_the_upstream_answered(self, buffered: bool) -> None:
        def access(kong: outrigger.PDK) -> None:
            kong.response.set_header("X-Same", "plugin")
            kong.response.set_header("X-Own", "plugin")
            kong.response.set_status(201)
            if buffered:
                kong.service.request.enable_buffering()

        result = Gateway(plugin_of(access=access), upstream=Reply(headers={"X-Same": "upstream"})).send()
        assert result.headers.values("x-same") == (["upstream"] if buffered else ["upstream", "plugin"])
        assert result.headers.values("x-own") == ["plugin"]
        assert result.status == 200

    def test_raw_body_of_earlier_plugins(self) -> None:
        found: list[Any] = []

        def second(kong: outrigger.PDK) -> None:
            found.append([kong.response.get_raw_body(), kong.service.response.get_raw_body()])

        one = plugin_of("one", 2, response=lambda k: k.response.set_raw_body(b"new"))
        for needs in ((), ("response_body",)):
            result = Gateway(one, plugin_of("two", 1, needs, response=second)).send()
            assert result.body == b"new"
        assert found == [[b"new", b"ok"]] * 2

    def test_replaced_response_keeps_headers_without_length(self) -> None:
        upstream = Reply(headers={"X-Up": "1", "Content-Encoding": "gzip"}, body=b"zipped")
        result = Gateway(plugin_of(response=lambda k: k.response.exit(200, "plain")), upstream=upstream).send()
        assert (result.body, result.headers.get("x-up"), result.headers.get("content-encoding")) == (b"plain", "1", None)
        assert result.headers.values("content-length") == ["5"]

    def test_pieces_of_the_body(self) -> None:
        sizes: list[int] = []
        case = plugin_of(body_filter=lambda kong, chunk, last: sizes.append(len(chunk)))
        Gateway(case, upstream=Reply(body=b"x" * 10, chunk_size=4)).send()
        assert sizes == [4, 4, 2]


def test_fixture(outrigger_gateway: Callable[..., Gateway]) -> None:
    assert outrigger_gateway(plugin_of(access=lambda k: k.response.exit(204))).send().status == 204


def test_fixture_closes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import outrigger

        closed = []

        class Case(outrigger.Plugin):
            name, version = "case", "1"
            def access(self, kong): ...
            def close(self): closed.append(self.name)

        def test_one(outrigger_gateway):
            outrigger_gateway(Case)
            assert closed == []

        def test_two():
            assert closed == ["case"]
        """
    )
    pytester.runpytest().assert_outcomes(passed=2)
