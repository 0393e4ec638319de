"""Cases of the PDK functions. The names in comments are those of the conformance list."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest

import outrigger
from outrigger import ArgError, Consumer, Credential, DataError, PhaseError, Query
from outrigger.testing import Gateway, HandlerFailed, Headers, Reply, Result

ID = "11111111-2222-4333-8444-555555555555"


def plugin_of(**handlers: Callable[..., Any]) -> type[outrigger.Plugin]:
    """A plugin class of functions; each gets the PDK, body_filter also chunk and last."""
    methods: dict[str, Any] = {"name": "case", "version": "1"}
    for name, handler in handlers.items():
        if name == "body_filter":
            methods[name] = lambda self, kong, chunk, last, handler=handler: handler(kong, chunk, last)
        else:
            methods[name] = lambda self, kong, handler=handler: handler(kong)
    return type("Case", (outrigger.Plugin,), methods)


def access(handler: Callable[[outrigger.PDK], Any], target: str = "/", headers: Headers = (), **options: Any) -> Any:
    """What a handler answers in access."""
    return in_phase("access", handler, target, headers, **options)


def in_phase(phase: str, handler: Callable[[outrigger.PDK], Any], target: str = "/", headers: Headers = (), **options: Any) -> Any:
    found: list[Any] = []

    def run(kong: outrigger.PDK, *_: object) -> None:
        found.append(handler(kong))

    of_gateway = {key: options.pop(key) for key in list(options) if key in GATEWAY_OPTIONS}
    Gateway(plugin_of(**{phase: run}), globally=phase == "rewrite", **of_gateway).send(target=target, headers=headers, **options)
    return found[0]


GATEWAY_OPTIONS = {"route", "service", "consumers", "credentials", "trusted_ips", "log_level", "max_body", "max_shared", "upstream"}


def send(handler: Callable[[outrigger.PDK], Any], phase: str = "access", **options: Any) -> Result:
    """What comes of a request that a handler changes."""
    of_gateway = {key: options.pop(key) for key in list(options) if key in GATEWAY_OPTIONS}

    def run(kong: outrigger.PDK, *_: object) -> None:
        handler(kong)

    return Gateway(plugin_of(**{phase: run}), globally=phase == "rewrite", **of_gateway).send(**options)


def refused(kind: type[outrigger.PDKError], handler: Callable[[outrigger.PDK], Any], phase: str = "access", **options: Any) -> str:
    """The text of the error that a call raises; nothing must have been recorded."""
    texts: list[str] = []

    def run(kong: outrigger.PDK) -> None:
        with pytest.raises(kind) as caught:
            handler(kong)
        assert caught.value.code == kind.code
        texts.append(str(caught.value))

    send(run, phase, **options)
    return texts[0]


class TestRequestLine:
    def test_scheme_host_port_version_method(self) -> None:
        assert access(lambda k: k.request.get_scheme(), scheme="https") == "https"  # RQ2
        assert access(lambda k: k.request.get_host(), host="example.com") == "example.com"  # RQ3
        assert access(lambda k: k.request.get_port(), port=8443) == 8443  # RQ5
        assert access(lambda k: k.request.get_http_version()) == 1.1
        assert access(lambda k: k.request.get_method(), method="PURGE") == "PURGE"  # RQ9

    def test_start_time(self) -> None:
        assert access(lambda k: k.request.get_start_time()) == 1_700_000_000_000

    def test_forwarded_without_trust(self) -> None:
        assert access(lambda k: k.request.get_forwarded_scheme()) == "http"  # FW2
        assert access(lambda k: k.request.get_forwarded_host()) == "gw.test"  # FW6
        assert access(lambda k: k.request.get_forwarded_port()) == 8000
        assert access(lambda k: k.request.get_forwarded_path(), "/p?q=1") == "/p"  # FW12
        assert access(lambda k: k.request.get_forwarded_prefix()) is None  # FW14


class TestPathAndQuery:
    @pytest.mark.parametrize(
        ("target", "path"),
        [("/a/../b//c/./d", "/b/c/d"), ("/d/Q%20%2fr", "/d/Q %2Fr"), ("/%2e%2e/x", "/x"), ("/", "/"), ("/a/", "/a/")],
    )  # PQ1-PQ3
    def test_path(self, target: str, path: str) -> None:
        assert access(lambda k: k.request.get_path(), target) == path
        assert access(lambda k: k.request.get_raw_path(), target) == target

    def test_raw_path_and_target(self) -> None:  # PQ4
        assert access(lambda k: k.request.get_raw_path(), "/p?x=1") == "/p"
        assert access(lambda k: k.request.get_path_with_query(), "/p?x=1") == "/p?x=1"

    @pytest.mark.parametrize(("target", "query"), [("/p?", ""), ("/p", ""), ("/p?a=1&b", "a=1&b"), ("/p?a?b", "a?b")])  # PQ5 PQ6
    def test_raw_query(self, target: str, query: str) -> None:
        assert access(lambda k: k.request.get_raw_query(), target) == query

    @pytest.mark.parametrize(
        ("target", "name", "value"),
        [
            ("/?s=one%20two&b&e=", "s", "one two"),  # PQ7
            ("/?s=one%20two&b&e=", "b", True),
            ("/?s=one%20two&b&e=", "e", ""),
            ("/?s=one%20two&b&e=", "nope", None),
            ("/?a=1&a=2", "a", "1"),  # PQ8
            ("/?Foo=1&foo=2", "foo", "2"),  # PQ9
            ("/?a=x+y", "a", "x y"),  # PQ10
            ("/?%66oo=1", "foo", "1"),
            ("/?a=%zz%4", "a", "%zz%4"),
            ("/?" + "&".join(f"a{i}=1" for i in range(101)), "a100", None),  # PQ16
            ("/?" + "&".join(f"a{i}=1" for i in range(101)), "a99", "1"),
        ],
    )
    def test_query_arg(self, target: str, name: str, value: Any) -> None:
        assert access(lambda k: k.request.get_query_arg(name), target) == value

    def test_query(self) -> None:
        assert access(lambda k: k.request.get_query(), "/?=v&k=1") == Query([("k", "1")])  # PQ11
        assert access(lambda k: k.request.get_query().values("b"), "/?b=1&b&b=3") == ["1", True, "3"]  # PQ12

    def test_query_limits(self) -> None:
        target = "/?" + "&".join(f"a{i}=1" for i in range(150))
        first = access(lambda k: k.request.get_query(), target)
        assert (len(first), first.truncated) == (100, True)  # PQ13
        whole = access(lambda k: k.request.get_query(150), target)
        assert (len(whole), whole.truncated) == (150, False)  # PQ14

    @pytest.mark.parametrize("limit", [0, 1001, "x", True, None, 1.5])  # PQ15
    def test_query_bad_limit(self, limit: Any) -> None:
        assert "max_args" in refused(ArgError, lambda k: k.request.get_query(limit))

    def test_query_arg_bad_name(self) -> None:  # PQ17
        refused(ArgError, lambda k: k.request.get_query_arg(5))  # type: ignore[arg-type]

    def test_captures_of_plain_route(self) -> None:  # PQ19
        captures = access(lambda k: k.request.get_uri_captures())
        assert captures.unnamed == ()
        assert captures.named == {}

    def test_bytes_that_are_no_text(self) -> None:
        assert access(lambda k: k.request.get_raw_path(), "/\udce9") == "/\udce9"
        assert access(lambda k: k.request.get_query_arg("a"), "/?a=%E9") == "\udce9"


class TestRequestHeaders:
    def test_case_and_underscore(self) -> None:  # HD1
        headers = {"X-Foo": "a"}
        assert access(lambda k: k.request.get_header("x-foo"), headers=headers) == "a"
        assert access(lambda k: k.request.get_header("X_FOO"), headers=headers) == "a"
        assert access(lambda k: k.request.get_header("x-foo"), headers={"x_foo": "a"}) == "a"

    def test_missing_and_empty(self) -> None:
        assert access(lambda k: k.request.get_header("x-none")) is None  # HD2
        assert access(lambda k: k.request.get_header("x-empty"), headers={"X-Empty": ""}) == ""  # HD3

    def test_repeated(self) -> None:
        headers = [("X-A", "1st"), ("X-A", "2nd")]
        assert access(lambda k: k.request.get_header("x-a"), headers=headers) == "1st"  # HD4
        assert access(lambda k: k.request.get_headers().values("x-a"), headers=headers) == ["1st", "2nd"]
        assert access(lambda k: k.request.get_header("x-a"), headers={"X-A": "a, b"}) == "a, b"  # HD5

    def test_names_of_the_map(self) -> None:  # HD6
        found = access(lambda k: k.request.get_headers().to_dict(), headers={"X_Foo-Bar": "1"})
        assert found == {"host": ["gw.test"], "x-foo-bar": ["1"]}

    def test_limits(self) -> None:  # HD7
        headers = [(f"x-{i}", str(i)) for i in range(130)]
        first = access(lambda k: k.request.get_headers(), headers=headers)
        assert (len(first), first.truncated) == (100, True)
        whole = access(lambda k: k.request.get_headers(200), headers=headers)
        assert (len(whole), whole.truncated) == (131, False)
        assert access(lambda k: k.request.get_header("x-129"), headers=headers) == "129"

    @pytest.mark.parametrize("limit", [0, 1001, "x"])  # HD8
    def test_bad_limit(self, limit: Any) -> None:
        refused(ArgError, lambda k: k.request.get_headers(limit))

    def test_bytes_survive(self) -> None:  # HD9
        assert access(lambda k: k.request.get_header("x-b"), headers={"X-B": "caf\udce9"}) == "caf\udce9"
        result = send(lambda k: k.service.request.set_header("X-C", k.request.get_header("x-b") or ""), headers={"X-B": "caf\udce9"})
        assert result.upstream is not None
        assert result.upstream.headers.get("x-c") == "caf\udce9"

    def test_name_must_be_text(self) -> None:  # HD10
        refused(ArgError, lambda k: k.request.get_header(1))  # type: ignore[arg-type]

    def test_in_log(self) -> None:  # HD11
        seen: list[str | None] = []
        case = plugin_of(
            access=lambda k: k.service.request.set_header("X-A", "2"),
            log=lambda k: seen.extend([k.request.get_header("X-A"), k.request.get_header("X-B")]),
        )
        Gateway(case).send(headers={"X-B": "b"})
        assert seen == ["2", "b"]

    def test_a_value_that_reads_like_a_name(self) -> None:
        assert access(lambda k: k.request.get_header("x-b"), headers=[("x-a", "x-b"), ("x-b", "1")]) == "1"


class TestRequestBody:
    @pytest.mark.parametrize("body", [b"", b"12345", b"\x00\xff", bytes(range(256)) * 4096])  # BD1-BD4
    def test_exact(self, body: bytes) -> None:
        assert access(lambda k: k.request.get_raw_body(), body=body) == body

    def test_too_large(self) -> None:  # BD5
        assert "100" in refused(DataError, lambda k: k.request.get_raw_body(), max_body=10, body=b"x" * 100)

    def test_not_in_log(self) -> None:  # BD17
        assert "called in log; allowed in rewrite, access" in refused(PhaseError, lambda k: k.request.get_raw_body(), "log")

    def test_set_then_get(self) -> None:  # SR27
        def handler(kong: outrigger.PDK) -> bytes:
            kong.service.request.set_raw_body(b"new")
            return kong.request.get_raw_body()

        assert access(handler, body=b"old") == b"new"

    def test_awaited(self) -> None:
        class Case(outrigger.Plugin):
            name, version = "case", "1"

            async def access(self, kong: outrigger.AsyncPDK) -> None:
                kong.response.set_header("X-Length", len(await kong.request.get_raw_body()))

        assert Gateway(Case).send(body=b"12345").headers.get("x-length") == "5"


class TestClient:
    def test_addresses(self) -> None:  # CL1
        assert access(lambda k: (k.client.get_ip(), k.client.get_port())) == ("10.0.0.9", 40000)

    def test_forwarded(self) -> None:
        assert access(lambda k: k.client.get_forwarded_ip(), forwarded_ip="1.2.3.4") == "1.2.3.4"  # FW16
        assert access(lambda k: k.client.get_forwarded_port(), forwarded_ip="1.2.3.4") is None  # FW17
        assert access(lambda k: k.client.get_forwarded_ip()) == "10.0.0.9"  # FW18

    def test_trust(self) -> None:  # FW19 FW20
        ask = {
            address: access(lambda k, a=address: k.ip.is_trusted(a), trusted_ips=["10.0.0.0/8"])
            for address in ("10.1.1.1", "11.0.0.1", "junk")
        }
        assert ask == {"10.1.1.1": True, "11.0.0.1": False, "junk": False}
        assert access(lambda k: k.ip.is_trusted("::1"), trusted_ips=["0.0.0.0/0", "::/0"])
        assert access(lambda k: k.ip.is_trusted("::ffff:10.1.1.1"), trusted_ips=["10.0.0.0/8"])

    def test_nobody(self) -> None:  # CL2
        assert access(lambda k: (k.client.get_consumer(), k.client.get_credential())) == (None, None)

    def test_authenticate(self) -> None:  # CL3-CL5
        consumer, credential = Consumer(id=ID, username="bob", tags=("a",)), Credential(id="k", consumer_id=ID, fields={"key": "s3"})
        seen: list[Any] = []

        def handler(kong: outrigger.PDK) -> None:
            kong.client.authenticate(consumer, credential)
            seen.append((kong.client.get_consumer(), kong.client.get_credential()))
            kong.client.authenticate(None, credential)
            seen.append((kong.client.get_consumer(), kong.client.get_credential()))
            kong.client.authenticate(consumer, None)
            seen.append((kong.client.get_consumer(), kong.client.get_credential()))

        result = send(handler)
        assert seen == [(consumer, credential), (None, credential), (consumer, None)]
        assert (result.consumer, result.credential) == (consumer, None)

    def test_seen_in_log(self) -> None:
        consumer, credential = Consumer(id=ID, username="bob"), Credential(id="k", consumer_id=ID, fields={"key": "s3"})
        seen: list[Any] = []
        case = plugin_of(
            access=lambda k: k.client.authenticate(consumer, credential),
            log=lambda k: seen.extend([k.client.get_consumer(), k.client.get_credential()]),
        )
        Gateway(case).send()
        assert seen == [consumer, credential]

    def test_authenticate_refused(self) -> None:
        refused(ArgError, lambda k: k.client.authenticate(None, None))  # CL6
        refused(ArgError, lambda k: k.client.authenticate("x", None))  # type: ignore[arg-type]  # CL7
        refused(PhaseError, lambda k: k.client.authenticate(Consumer(id=ID)), "rewrite")  # CL8

    def test_load_consumer(self) -> None:
        bob = Consumer(id=ID, username="bob")
        assert access(lambda k: k.client.load_consumer(ID), consumers=[bob]) == bob  # CL9
        assert access(lambda k: k.client.load_consumer(ID.replace("1", "9")), consumers=[bob]) is None
        assert access(lambda k: k.client.load_consumer("bob", True), consumers=[bob]) == bob  # CL10
        assert "by_username" in refused(ArgError, lambda k: k.client.load_consumer("bob"), consumers=[bob])
        refused(ArgError, lambda k: k.client.load_consumer(5))  # type: ignore[arg-type]  # CL11
        refused(ArgError, lambda k: k.client.load_consumer("", True))

    def test_load_credential(self) -> None:
        key = Credential(id="k", consumer_id=ID, fields={"key": "s3"})
        credentials = {("keyauth_credentials", "s3"): key}
        assert access(lambda k: k.client.load_credential("keyauth_credentials", "s3"), credentials=credentials) == key
        assert access(lambda k: k.client.load_credential("keyauth_credentials", "no"), credentials=credentials) is None
        refused(ArgError, lambda k: k.client.load_credential("", "x"))
        refused(PhaseError, lambda k: k.client.load_credential("keyauth_credentials", "x"), "log")


class TestShared:
    @pytest.mark.parametrize(
        "value",
        [
            True, False, 0, 1, -1, 1.5, 1.0, "", "v", b"", b"\x00\xff", [], {}, [1, "a"], {"a": {"b": None}}, [None, False, [], {}],
            2**63, -(2**63), 2**64 - 1, "\udce9", {"\udce9": ["\udcff"]},
        ],
    )  # fmt: skip  # CX1 CX2, lesson 11
    def test_round_trip(self, value: Any) -> None:
        seen: list[Any] = []
        case = plugin_of(
            access=lambda k: (k.ctx.shared.set("k", value), seen.append(k.ctx.shared.get("k"))),
            log=lambda k: seen.append(k.ctx.shared.get("k")),
        )
        result = Gateway(case).send()
        assert [*seen, result.shared["k"]] == [value] * 3
        assert {type(one) for one in seen} == {type(value)}

    def test_none_removes(self) -> None:  # CX3 CX4
        assert access(lambda k: (k.ctx.shared.set("k", None), k.ctx.shared.get("k")), shared={"k": 1}) == (None, None)
        assert access(lambda k: k.ctx.shared.get("unknown")) is None

    def test_tuple_is_a_list(self) -> None:
        assert access(lambda k: (k.ctx.shared.set("k", (1, 2)), k.ctx.shared.get("k"))[1]) == [1, 2]

    def test_value_is_a_copy(self) -> None:
        def handler(kong: outrigger.PDK) -> Any:
            mine = [1]
            kong.ctx.shared.set("k", mine)
            mine.append(2)
            kong.ctx.shared.get("k").append(3)
            return kong.ctx.shared.get("k")

        assert access(handler) == [1]

    @pytest.mark.parametrize("value", [object(), {1: "a"}, {1, 2}, 2**64, 1j, [lambda: None], "\ud800", ["\ud800"], {"\ud800": 1}])
    def test_bad_value(self, value: Any) -> None:
        refused(ArgError, lambda k: k.ctx.shared.set("k", value))

    def test_circle(self) -> None:
        circle: list[Any] = []
        circle.append(circle)
        assert "deep" in refused(ArgError, lambda k: k.ctx.shared.set("k", circle))

    def test_bad_key(self) -> None:
        refused(ArgError, lambda k: k.ctx.shared.set(1, "v"))  # type: ignore[arg-type]

    def test_limit(self) -> None:
        # "k" is 2 bytes, 96 bytes of text 98: exactly 100.
        assert access(lambda k: k.ctx.shared.set("k", "x" * 96), max_shared=100) is None
        assert "max_shared" in refused(ArgError, lambda k: k.ctx.shared.set("k", "x" * 97), max_shared=100)

    def test_replacing_frees(self) -> None:
        def handler(kong: outrigger.PDK) -> None:
            for _ in range(5):
                kong.ctx.shared.set("k", "x" * 90)
            kong.ctx.shared.set("k", None)
            kong.ctx.shared.set("other", "x" * 90)

        assert access(handler, max_shared=100) is None


class TestNodeAndRouter:
    def test_node(self) -> None:
        assert access(lambda k: (k.node.get_id(), k.node.get_hostname())) == ("00000000-0000-4000-8000-000000000000", "testing")

    def test_route_and_service(self) -> None:  # RT1 RT2
        route = outrigger.Route(id="r", name="orders", paths=("/a",), tags=("x",), headers={"x-a": ("1",)}, service=outrigger.Ref("s"))
        service = outrigger.Service(id="s", name="up", host="up.test", port=80)
        assert access(lambda k: (k.router.get_route(), k.router.get_service()), route=route, service=service) == (route, service)
        assert access(lambda k: k.router.get_service(), route=route) is None

    def test_not_in_rewrite(self) -> None:  # RT3
        refused(PhaseError, lambda k: k.router.get_route(), "rewrite")


class TestAsks:
    def test_arguments_that_no_host_takes(self) -> None:
        assert "bytes" in refused(ArgError, lambda k: k.client.load_consumer("x" * (1 << 20), True))
        assert "bytes" in refused(ArgError, lambda k: k.client.load_credential("k", "x" * (1 << 20)))


class TestServiceRequest:
    def test_numbers_of_subclasses(self) -> None:
        class Ratio(float):
            def __repr__(self) -> str:
                return f"Ratio({float(self)})"

        result = send(lambda k: (k.service.request.set_header("X-A", HTTPStatus.OK), k.service.request.set_query({"a": Ratio(0.5)})))
        assert result.upstream is not None
        assert result.upstream.headers.get("x-a") == "200"
        assert result.upstream.raw_query == "a=0.5"

    def test_letters_that_only_look_like_ascii(self) -> None:
        assert access(lambda k: k.request.get_header("\u212aey"), headers=[("key", "1")]) is None
        assert access(lambda k: k.request.get_headers().get("\u212aey"), headers=[("key", "1")]) is None

    def upstream(self, handler: Callable[[outrigger.PDK], Any], **options: Any) -> Any:
        seen = send(handler, **options).upstream
        assert seen is not None
        return seen

    @pytest.mark.parametrize(
        ("value", "lines"),
        [
            ("1", ["1"]), (["a", "b"], ["a", "b"]), (2.5, ["2.5"]), (False, ["false"]), (True, ["true"]), (7, ["7"]), (1.0, ["1"]),
            ("", [""]), ("  hi  ", ["hi"]), (b"\xff", ["\udcff"]), ([b"a", "b"], ["a", "b"]), ([], []), (("a",), ["a"]),
        ],
    )  # fmt: skip  # SR1-SR6
    def test_set_header(self, value: Any, lines: list[str]) -> None:
        seen: list[Any] = []

        def handler(kong: outrigger.PDK) -> None:
            kong.service.request.set_header("X-A", value)
            seen.extend(kong.request.get_headers().values("x-a"))

        result = self.upstream(handler, headers=[("X-A", "old"), ("X-B", "b"), ("X-A", "older")])
        assert result.headers.values("x-a") == seen == lines
        assert result.headers.get("x-b") == "b"

    @pytest.mark.parametrize("value", [[1], lambda: None, None, {"a": 1}, "a\r\nb", "a\x00", b"\x7f", float("nan"), ["a", None], "\ud800"])
    def test_set_header_refused(self, value: Any) -> None:  # SR7
        refused(ArgError, lambda k: k.service.request.set_header("X-A", value))

    @pytest.mark.parametrize("name", ["", "a b", "a:b", "é", "a\r\n", 5, ["X-A"], None])
    def test_bad_name(self, name: Any) -> None:
        refused(ArgError, lambda k: k.service.request.set_header(name, "1"))
        refused(ArgError, lambda k: k.service.request.add_header(name, "1"))
        refused(ArgError, lambda k: k.service.request.clear_header(name))
        refused(ArgError, lambda k: k.response.set_header(name, "1"))

    def test_host(self) -> None:  # SR8 SR10
        def handler(kong: outrigger.PDK) -> None:
            kong.service.request.set_header("Host", "new.test")
            assert kong.request.get_host() == "gw.test"
            assert kong.request.get_header("host") == "new.test"
            kong.service.request.add_header("Host", "a")
            kong.service.request.add_header("Host", ["b", "c"])
            assert kong.request.get_headers().values("host") == ["c"]

        assert self.upstream(handler).headers.values("host") == ["c"]

    def test_add_and_clear(self) -> None:
        add = self.upstream(
            lambda k: (k.service.request.add_header("X-A", "1"), k.service.request.add_header("X-A", "2")), headers={"X-A": "0"}
        )
        assert add.headers.values("x-a") == ["0", "1", "2"]  # SR9
        cleared = self.upstream(
            lambda k: (k.service.request.clear_header("X_A"), k.service.request.clear_header("gone")), headers={"X-A": "0"}
        )
        assert "x-a" not in cleared.headers  # SR11

    def test_set_headers(self) -> None:
        result = self.upstream(lambda k: k.service.request.set_headers({"X-A": [], "X-B": "1"}), headers={"X-A": "0", "X-C": "c"})
        assert (result.headers.values("x-a"), result.headers.get("x-b"), result.headers.get("x-c")) == ([], "1", "c")  # SR12

        def handler(kong: outrigger.PDK) -> None:
            with pytest.raises(ArgError):
                kong.service.request.set_headers({"X-A": ["a", 5]})  # type: ignore[dict-item]  # SR13
            with pytest.raises(ArgError):
                kong.service.request.set_headers("X-A")  # type: ignore[arg-type]
            assert kong.request.get_header("X-A") == "0"

        assert self.upstream(handler, headers={"X-A": "0"}).headers.get("x-a") == "0"

    def test_method(self) -> None:  # SR14
        result = self.upstream(lambda k: (k.service.request.set_method("PUT"), k.response.set_header("X-M", k.request.get_method())))
        assert result.method == "PUT"
        methods: list[Any] = ["put", "FOO", 5]
        for method in methods:
            refused(ArgError, lambda k, m=method: k.service.request.set_method(m))

    def test_scheme(self) -> None:  # SR15
        assert self.upstream(lambda k: k.service.request.set_scheme("https")).scheme == "https"
        refused(ArgError, lambda k: k.service.request.set_scheme("ftp"))
        refused(PhaseError, lambda k: k.service.request.set_scheme("https"), "rewrite")

    @pytest.mark.parametrize(
        ("path", "sent"),
        [("/x y/é", "/x%20y/%C3%A9"), ("/fo%6F", "/fo%6F"), ("/a?b#c", "/a%3Fb%23c"), ("/50%", "/50%25"), ("/a;b=[1]", "/a;b=[1]")],
    )  # SR16 SR17
    def test_path(self, path: str, sent: str) -> None:
        def handler(kong: outrigger.PDK) -> None:
            kong.service.request.set_path(path)
            assert kong.request.get_path() == "/"

        assert self.upstream(handler).path == sent
        refused(ArgError, lambda k: k.service.request.set_path("x"))

    def test_raw_query(self) -> None:  # SR18 SR19
        def handler(kong: outrigger.PDK) -> None:
            kong.service.request.set_raw_query("a=1&b")
            assert kong.request.get_query().get("b") is True
            assert kong.request.get_raw_query() == "a=1&b"
            assert kong.request.get_path_with_query() == "/p?x=1"

        assert self.upstream(handler, target="/p?x=1").raw_query == "a=1&b"
        assert self.upstream(lambda k: k.service.request.set_raw_query(""), target="/p?x=1").raw_query == ""
        queries: list[Any] = ["a b", "a\nb", 5]
        for query in queries:
            refused(ArgError, lambda k, q=query: k.service.request.set_raw_query(q))

    @pytest.mark.parametrize(
        ("args", "query"),
        [
            ({"q": "red fox", "tag": ["t2", "t1", True], "on": True, "nil_": ""}, "nil_=&on&q=red%20fox&tag=t2&tag=t1&tag"),  # SR20
            ({"a": False, "b": []}, ""),  # SR21
            ({"": "v", "a&b": "c=d"}, "=v&a%26b=c%3Dd"),  # SR22
            ({"n": 2.5, "i": 3}, "i=3&n=2.5"),
            ({"": True}, ""),
        ],
    )
    def test_query(self, args: Any, query: str) -> None:
        assert self.upstream(lambda k: k.service.request.set_query(args), target="/?old=1").raw_query == query

    @pytest.mark.parametrize("args", [{"a": {}}, {"a": [None]}, {1: "a"}, "a=b", {"a": None}])  # SR23
    def test_query_refused(self, args: Any) -> None:
        refused(ArgError, lambda k: k.service.request.set_query(args))

    @pytest.mark.parametrize("body", [b"\x00\xff", b"", b"x" * 100_000])  # SR25 SR26
    def test_raw_body(self, body: bytes) -> None:
        result = self.upstream(lambda k: k.service.request.set_raw_body(body), body=b"old")
        assert result.body == body
        assert result.headers.get("content-length") == str(len(body))

    def test_raw_body_refused(self) -> None:
        refused(ArgError, lambda k: k.service.request.set_raw_body("text"))  # type: ignore[arg-type]
        assert "max_body" in refused(ArgError, lambda k: k.service.request.set_raw_body(b"123"), max_body=2)

    def test_not_in_response(self) -> None:  # SR34
        for write in (
            lambda k: k.service.request.set_header("X", "1"),
            lambda k: k.service.request.set_path("/"),
            lambda k: k.service.request.set_raw_query(""),
            lambda k: k.service.request.set_raw_body(b""),
            lambda k: k.service.request.set_method("GET"),
            lambda k: k.service.request.set_query({}),
            lambda k: k.service.request.add_header("X", "1"),
            lambda k: k.service.request.clear_header("X"),
            lambda k: k.service.request.set_headers({}),
        ):
            refused(PhaseError, write, "response")

    def test_buffering(self) -> None:
        assert send(lambda k: k.service.request.enable_buffering()).buffered

    def test_rewrite_header_survives(self) -> None:  # SR36
        result = send(lambda k: k.service.request.set_header("X-A", "1"), "rewrite")
        assert result.upstream is not None
        assert result.upstream.headers.get("x-a") == "1"


class TestResponse:
    def test_set_in_access(self) -> None:  # RS1
        assert send(lambda k: k.response.set_header("X-R", 1)).headers.get("x-r") == "1"

    def test_set_in_response(self) -> None:  # RS3
        def handler(kong: outrigger.PDK) -> None:
            assert kong.response.get_header("X-R") == "2"
            kong.response.set_header("X-R", "3")
            assert kong.response.get_header("X-R") == "3"
            assert kong.service.response.get_header("X-R") == "2"

        assert send(handler, "response", upstream=Reply(headers={"X-R": "2"})).headers.get("x-r") == "3"

    def test_add_clear_and_set_headers(self) -> None:
        add = send(lambda k: (k.response.add_header("Cache-Control", "a"), k.response.add_header("Cache-Control", "b")), "header_filter")
        assert add.headers.values("cache-control") == ["a", "b"]  # RS4
        assert "x-r" not in send(lambda k: k.response.clear_header("X-R"), "response", upstream=Reply(headers={"X-R": "2"})).headers  # RS5
        assert send(lambda k: k.response.set_headers({"A": "1", "B": ["x", "y"]})).headers.values("b") == ["x", "y"]  # RS6

    def test_transfer_encoding(self) -> None:  # RS7
        result = send(lambda k: (k.response.set_header("Transfer-Encoding", "x"), k.response.add_header("transfer_encoding", "x")))
        assert "transfer-encoding" not in result.headers
        assert [line.level for line in result.logs] == ["warn", "warn"]

    def test_underscore(self) -> None:  # RS8
        case = plugin_of(access=lambda k: k.response.set_header("a_b", "1"))
        assert list(Gateway(case).send().headers)[-1] == ("a-b", "1")

    def test_status(self) -> None:  # RS9
        def handler(kong: outrigger.PDK) -> None:
            kong.response.set_status(418)
            assert kong.response.get_status() == 418
            assert kong.service.response.get_status() == 200

        assert send(handler, "response").status == 418

    @pytest.mark.parametrize("status", [99, 600, "200", True, 200.0])  # RS10
    def test_bad_status(self, status: Any) -> None:
        refused(ArgError, lambda k: k.response.set_status(status))

    def test_reads_not_in_access(self) -> None:  # RS11
        refused(PhaseError, lambda k: k.response.get_status())
        refused(PhaseError, lambda k: k.response.get_header("x"))
        refused(PhaseError, lambda k: k.response.get_headers())
        refused(PhaseError, lambda k: k.response.get_source())

    def test_source(self) -> None:  # RS12
        assert in_phase("log", lambda k: k.response.get_source()) == "service"
        seen: list[str] = []
        case = plugin_of(access=lambda k: k.response.exit(200), log=lambda k: seen.append(k.response.get_source()))
        Gateway(case).send()
        assert seen == ["exit"]

    def test_truncated(self) -> None:  # RS13
        found = in_phase("response", lambda k: k.response.get_headers(1), upstream=Reply(headers={"a": "1", "b": "2", "c": "3"}))
        assert (len(found), found.truncated) == (1, True)

    def test_writes_not_in_log(self) -> None:  # RS14
        refused(PhaseError, lambda k: k.response.set_header("X", "1"), "log")
        refused(PhaseError, lambda k: k.response.exit(200), "log")
        assert "rewrite, access, response, header_filter" in refused(PhaseError, lambda k: k.response.set_status(200), "log")

    def test_set_raw_body(self) -> None:  # RS15
        result = send(lambda k: k.response.set_raw_body(b"new body"), "response")
        assert (result.body, result.headers.get("content-length")) == (b"new body", "8")
        refused(PhaseError, lambda k: k.response.set_raw_body(b""))


class TestExit:
    def test_empty(self) -> None:  # EX1
        result = send(lambda k: k.response.exit(403))
        assert (result.status, result.body, result.headers.get("content-length"), result.upstream) == (403, b"", "0", None)

    def test_text(self) -> None:  # EX2
        result = send(lambda k: k.response.exit(200, "hi"))
        assert (result.body, result.headers.get("content-length"), result.headers.get("content-type")) == (b"hi", "2", None)

    @pytest.mark.parametrize(
        ("body", "sent"),
        [
            ({"a": 1}, b'{"a":1}'),
            ([1, "é"], '[1,"é"]'.encode()),
            ({}, b"{}"),
            ({"a": None, "b": False, "c": []}, b'{"a":null,"b":false,"c":[]}'),
        ],
    )  # EX3
    def test_json(self, body: Any, sent: bytes) -> None:
        result = send(lambda k: k.response.exit(200, body))
        assert (result.body, result.headers.get("content-type")) == (sent, "application/json; charset=utf-8")

    def test_headers(self) -> None:
        assert send(lambda k: k.response.exit(200, {"a": 1}, {"Content_Type": "x/y"})).headers.values("content-type") == ["x/y"]  # EX4
        assert send(lambda k: k.response.exit(404, None, {"X-A": "b"})).headers.get("x-a") == "b"  # EX5
        both = send(lambda k: (k.response.set_header("X-P", "1"), k.response.exit(200, "", {"X-Q": "2"})))
        assert (both.headers.get("x-p"), both.headers.get("x-q")) == ("1", "2")  # EX6
        assert send(lambda k: (k.response.set_header("X-P", "1"), k.response.exit(200, "", {"X-P": "2"}))).headers.values("x-p") == [
            "2"
        ]  # EX7
        assert "x-p" not in send(lambda k: (k.response.set_header("X-P", "1"), k.response.exit(200, "", {"X-P": []}))).headers

    def test_nothing_after(self) -> None:  # EX8
        def handler(kong: outrigger.PDK) -> None:
            kong.response.exit(200)
            kong.ctx.shared.set("k", 1)  # pyright: ignore[reportUnreachable]

        assert send(handler).shared == {}

    def test_phases_after(self) -> None:  # EX9
        seen: list[str] = []
        first = plugin_of(access=lambda k: k.response.exit(200), log=lambda k: seen.append("first log"))
        second = plugin_of(
            access=lambda k: seen.append("access"),
            response=lambda k: seen.append("response"),
            log=lambda k: seen.append(f"second log {k.response.get_source()}"),
        )
        first.name, first.priority, second.name = "first", 10, "second"
        Gateway(first, second).send()
        assert seen == ["first log", "second log exit"]

    def test_in_response(self) -> None:  # EX10
        result = send(lambda k: k.response.exit(500, "new"), "response", upstream=Reply(headers={"X-U": "1"}, body=b"old body"))
        assert (result.body, result.headers.get("x-u"), result.headers.values("content-length")) == (b"new", "1", ["3"])

    @pytest.mark.parametrize(
        "args",
        [(99,), ("200",), (200, 5), (200, True), (200, "", "x"), (200, "", {"X": [1]}), (200, {"a": object()}), (200, [float("nan")])],
    )
    def test_refused(self, args: tuple[Any, ...]) -> None:  # EX11 EX12
        assert refused(ArgError, lambda k: k.response.exit(*args)).startswith("bad_argument: response.exit: ")

    def test_refused_exit_goes_on(self) -> None:
        def handler(kong: outrigger.PDK) -> None:
            with pytest.raises(ArgError):
                kong.response.exit(99)
            kong.response.set_header("X-After", "1")

        assert send(handler).headers.get("x-after") == "1"

    def test_binary(self) -> None:  # EX13
        assert send(lambda k: k.response.exit(200, bytes(range(256)))).body == bytes(range(256))

    def test_through_except(self) -> None:  # EX14
        def handler(kong: outrigger.PDK) -> None:
            def inner() -> None:
                try:
                    kong.response.exit(200, "inner")
                except Exception:
                    raise AssertionError("an exit is no Exception") from None

            inner()

        assert send(handler).body == b"inner"

    def test_lesson_23_swallowed(self) -> None:
        seen: list[str] = []

        def handler(kong: outrigger.PDK) -> None:
            try:
                kong.response.exit(403)
            except BaseException:
                seen.append("swallowed")
            with pytest.raises(PhaseError) as caught:
                kong.response.set_header("X-After", "1")
            seen.append(str(caught.value))
            with pytest.raises(PhaseError):
                kong.response.exit(200)

        result = send(handler)
        assert (result.status, result.headers.get("x-after")) == (403, None)
        assert seen == ["swallowed", "wrong_phase: response.set_header: called after an exit"]

    def test_raise_after_exit(self) -> None:
        def handler(kong: outrigger.PDK) -> None:
            try:
                kong.response.exit(403)
            except BaseException as err:
                raise ValueError("late") from err

        assert send(handler).status == 403

    def test_from_a_thread(self) -> None:
        seen: list[str] = []

        def handler(kong: outrigger.PDK) -> None:
            def leave() -> None:
                try:
                    kong.response.exit(418)
                except Exception:
                    seen.append("an exit is no Exception")
                except BaseException:
                    seen.append("unwound")

            thread = threading.Thread(target=leave)
            thread.start()
            thread.join()
            with pytest.raises(PhaseError):
                kong.request.get_header("x")

        assert send(handler).status == 418
        assert seen == ["unwound"]

    def test_error(self) -> None:
        result = send(lambda k: k.response.error(503, 'say "no"', {"X-A": "1"}))  # EX23
        assert result.status == 503
        assert b'say \\"no\\"' in result.body
        assert result.headers.get("x-a") == "1"
        bad: list[Any] = [(200,), (600,), (500, 5)]
        for args in bad:  # EX22
            refused(ArgError, lambda k, a=args: k.response.error(*a))


class TestServiceResponse:
    def test_status(self) -> None:
        assert in_phase("response", lambda k: k.service.response.get_status(), upstream=Reply(status=404)) == 404  # SP1
        seen: list[Any] = []
        case = plugin_of(
            access=lambda k: k.response.exit(200),
            log=lambda k: seen.extend(
                [k.service.response.get_status(), k.service.response.get_header("x"), len(k.service.response.get_headers())]
            ),
        )
        Gateway(case).send()
        assert seen == [None, None, 0]  # SP2

    def test_headers(self) -> None:  # SP3 SP4 SP8
        reply = Reply(headers=[("X-A", "1"), ("X-A", "2")])
        assert in_phase("response", lambda k: k.service.response.get_header("x_a"), upstream=reply) == "1"
        assert in_phase("response", lambda k: k.service.response.get_header("none"), upstream=reply) is None
        assert in_phase("response", lambda k: k.service.response.get_headers().values("x-a"), upstream=reply) == ["1", "2"]
        refused(ArgError, lambda k: k.service.response.get_headers(0), "response")

    def test_raw_body(self) -> None:  # SP5
        body = bytes(range(256)) * 4096
        assert in_phase("response", lambda k: k.service.response.get_raw_body(), upstream=Reply(body=body)) == body
        refused(PhaseError, lambda k: k.service.response.get_raw_body(), "log")

    def test_raw_body_ahead(self) -> None:
        case = plugin_of(response=lambda k: k.response.set_header("X-L", len(k.service.response.get_raw_body())))
        case.needs = ("response_body",)
        result = Gateway(case, upstream=Reply(body=b"12345")).send()
        assert (result.headers.get("x-l"), result.buffered) == ("5", False)


class TestBodyFilter:
    def test_pieces(self) -> None:
        seen: list[tuple[bytes, bool]] = []

        def keep(kong: outrigger.PDK, chunk: bytes, last: bool) -> bytes | None:
            seen.append((chunk, last))
            return b"" if not last else None

        result = Gateway(plugin_of(body_filter=keep), upstream=Reply(body=b"a" * 40000)).send()
        assert [(len(chunk), last) for chunk, last in seen] == [(32768, False), (7232, True)]
        assert result.body == b"a" * 7232

    def test_result_must_be_bytes(self) -> None:
        with pytest.raises(HandlerFailed, match="body_filter returned a str; expected bytes or None"):
            Gateway(plugin_of(body_filter=lambda k, chunk, last: "text")).send()


class TestTracing:
    @pytest.mark.parametrize(("log_level", "lines"), [("debug", 1), ("err", 0)])
    def test_too_many_spans(self, log_level: str, lines: int) -> None:
        def handler(kong: outrigger.PDK) -> None:
            for _ in range(1024):
                kong.tracing.start_span("s")
            active = kong.tracing.active_span()
            for _ in range(2):
                with kong.tracing.start_span("more", {"a": 1}) as span:
                    assert isinstance(span, outrigger.Span)
                    assert kong.tracing.active_span() is active

        result = send(handler, log_level=log_level)
        assert len(result.spans) == 1024
        said = "tracing.start_span: the handler has started 1024 spans; further ones record nothing"
        assert [(line.level, line.message) for line in result.logs] == [("warn", said)] * lines


class TestLog:
    def test_text(self) -> None:  # LG1
        result = send(lambda k: k.log.err("a", 1, True, None, 1.0, 2.5, b"\xff", [1]))
        assert [(line.level, line.message) for line in result.logs] == [("err", "a1truenil12.5\udcff[1]")]

    def test_below_the_level(self) -> None:  # LG2
        class Loud:
            def __str__(self) -> str:
                raise AssertionError("must not be formatted")

        assert send(lambda k: k.log.debug(Loud()), log_level="info").logs == []

    def test_order_and_levels(self) -> None:  # LG3
        levels = ["debug", "info", "notice", "warn", "err", "crit", "alert", "emerg"]
        result = send(lambda k: [getattr(k.log, level)(level) for level in levels])
        assert [(line.level, line.message) for line in result.logs] == [(level, level) for level in levels]

    def test_serialize(self) -> None:  # LG4 LG5
        entry = in_phase("log", lambda k: k.log.serialize(), headers={"Authorization": "secret"})
        assert '"REDACTED"' in entry
        assert "secret" not in entry
        refused(PhaseError, lambda k: k.log.serialize())  # LG10

    def test_set_serialize_value(self) -> None:  # LG6-LG8
        def handler(kong: outrigger.PDK) -> None:
            kong.log.set_serialize_value("a.b", 1)
            kong.log.set_serialize_value("a\\.b", 2)
            kong.log.set_serialize_value("request.method", "add", "add")
            kong.log.set_serialize_value("absent", "replace", "replace")
            kong.log.set_serialize_value("client_ip", None)
            kong.log.set_serialize_value("started_at.x", 1)

        entry = send(handler).entry
        assert (entry["a"], entry["a.b"], entry["request"]["method"]) == ({"b": 1}, 2, "GET")
        assert "absent" not in entry
        assert "client_ip" not in entry
        assert entry["started_at"] == 1_700_000_000_000

    def test_own_values_are_seen(self) -> None:
        def handler(kong: outrigger.PDK) -> None:
            kong.log.set_serialize_value("mine", b"\xff")
            assert '"mine":' in kong.log.serialize()

        send(handler, "log")

    def test_floats_that_are_no_numbers_are_text(self) -> None:
        def handler(kong: outrigger.PDK) -> None:
            kong.log.set_serialize_value("ratios", [float("nan"), float("-inf"), 0.5])
            assert '["NaN","-Infinity",0.5]' in kong.log.serialize()

        assert send(handler, "log").entry["ratios"] == ["NaN", "-Infinity", 0.5]

    def test_refused(self) -> None:  # LG9
        refused(ArgError, lambda k: k.log.set_serialize_value("a", 1, "x"))
        refused(ArgError, lambda k: k.log.set_serialize_value(5, 1))  # type: ignore[arg-type]
        refused(ArgError, lambda k: k.log.set_serialize_value("", 1))
        refused(ArgError, lambda k: k.log.set_serialize_value("a", ["\ud800"]))


class TestLife:
    def test_failed_handler(self) -> None:  # RN1 RN2
        def handler(kong: outrigger.PDK) -> None:
            kong.response.set_header("X-Lost", "1")
            raise ValueError("no")

        with pytest.raises(HandlerFailed) as caught:
            send(handler)
        assert (caught.value.code, caught.value.message) == ("handler_error", "ValueError: no")
        assert "in handler" in caught.value.detail

    def test_pdk_error_keeps_its_code(self) -> None:
        with pytest.raises(HandlerFailed) as caught:
            send(lambda k: k.response.set_status(1))
        assert caught.value.code == "bad_argument"

    @pytest.mark.parametrize("err", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), RecursionError()])
    def test_every_exception_fails(self, err: BaseException) -> None:
        def handler(kong: outrigger.PDK) -> None:
            raise err

        with pytest.raises(HandlerFailed) as caught:
            send(handler)
        assert caught.value.code == "handler_error"

    def test_use_after_the_end(self) -> None:  # RN3, lesson 22
        kept: list[outrigger.PDK] = []
        send(kept.append)
        for use in (
            lambda k: k.request.get_header("x"),
            lambda k: k.response.set_header("x", "1"),
            lambda k: k.log.err("x"),
            lambda k: k.ctx.shared.get("x"),
            lambda k: k.response.exit(200),
            lambda k: k.request.get_raw_body(),
            lambda k: k.client.get_ip(),
        ):
            with pytest.raises(PhaseError, match="called after its handler has ended"):
                use(kept[0])

    def test_lesson_22_threads(self) -> None:
        def handler(kong: outrigger.PDK) -> None:
            def work(number: int) -> None:
                for i in range(50):
                    kong.service.request.set_header(f"X-{number}", str(i))
                    assert kong.request.get_header(f"X-{number}") == str(i)
                    kong.ctx.shared.set(f"k{number}", i)
                    assert kong.ctx.shared.get(f"k{number}") == i
                    kong.response.add_header("X-All", f"{number}.{i}")

            threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        result = send(handler)
        assert len(result.headers.values("x-all")) == 400
        assert result.shared == {f"k{number}": 49 for number in range(8)}

    def test_coroutine_from_def(self) -> None:
        async def later() -> None: ...

        case = plugin_of(access=lambda k: later())
        gateway = Gateway(case)
        with pytest.raises(HandlerFailed, match="returned a coroutine"):
            gateway.send()
