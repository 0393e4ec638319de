"""Kong's Python plugins: their idioms in memory, and three plugins in real processes through the launcher."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostdriver import PluginServer, call_fields

from outrigger import ArgError, Captures, Consumer, ConsumerGroup, Credential, DataError, PluginError, Route, Service
from outrigger._loader import load
from outrigger.kongcompat import adapt
from outrigger.testing import Gateway, HandlerFailed, Reply

PLUGINS = Path(__file__).parent / "kong"
ID = "11111111-2222-4333-8444-555555555555"


def ask(handler: Callable[[Any], Any], phase: str = "access", lua_style: bool = True, **options: Any) -> Any:
    """What a handler of a Kong plugin returns."""
    found: list[Any] = []

    class Plugin:
        def __init__(self, config: dict[str, Any]) -> None:
            self.config = config

    setattr(Plugin, phase, lambda self, kong: found.append(handler(kong)))
    names = ("headers", "body", "target", "captures", "consumer", "credential", "method", "groups")
    of_send = {key: options.pop(key) for key in names if key in options}
    Gateway(adapt("case", Plugin, lua_style=lua_style), **options).send(**of_send)
    return found[0]


class TestReturns:
    def test_pairs(self) -> None:
        assert ask(lambda k: k.request.get_header("x-none")) == (None, None)
        assert ask(lambda k: k.request.get_method()) == ("GET", None)
        assert ask(lambda k: k.response.set_header("x-a", "1")) == (None, None)
        value, err = ask(lambda k: k.request.get_body())
        assert value is None
        assert "missing content type" in err

    def test_exceptions(self) -> None:
        assert ask(lambda k: k.request.get_method(), lua_style=False) == "GET"

        def access(kong: Any) -> str:
            with pytest.raises(DataError) as caught:
                kong.request.get_body()
            return caught.value.code

        assert ask(access, lua_style=False) == "bad_data"

    def test_wrong_arguments_and_phases_raise_in_both(self) -> None:
        def access(kong: Any) -> None:
            with pytest.raises(ArgError):
                kong.response.set_status("x")

        ask(access)
        with pytest.raises(HandlerFailed, match="wrong_phase"):
            ask(lambda k: k.log.serialize())

    def test_shapes(self) -> None:
        headers = [("X-A", "1"), ("X-A", "2")]
        assert ask(lambda k: k.request.get_headers()[0]["x-a"], headers=headers) == ["1", "2"]
        assert ask(lambda k: k.request.get_query(), target="/?a=1&a=2&b") == ({"a": ["1", "2"], "b": [True]}, None)
        assert ask(lambda k: k.request.get_query_arg("b"), target="/?b") == (True, None)
        assert ask(lambda k: k.request.get_raw_body(0), body=b"\x00") == (b"\x00", None)
        captures = Captures(("a",), {"n": "a"})
        assert ask(lambda k: k.request.get_uri_captures(), captures=captures) == ({"unnamed": ["a"], "named": {"n": "a"}}, None)
        body = {"headers": {"Content-Type": "application/json"}, "body": b'{"a": [1]}'}
        assert ask(lambda k: k.request.get_body("", 10, 0), **body) == ({"a": [1]}, None)
        reference, err = ask(lambda k: k.vault.parse_reference("{vault://env/x/y}"))
        assert (reference["name"], reference["resource"], reference["key"], err) == ("env", "x", "y", None)

    def test_entities_are_dicts(self) -> None:
        route = Route(id="r", name="main", protocols=("http",), service=None)
        assert ask(lambda k: k.router.get_route()[0], route=route) == {
            "id": "r", "name": "main", "protocols": ["http"], "strip_path": True, "preserve_host": False, "request_buffering": True,
            "response_buffering": True,
        }  # fmt: skip
        assert ask(lambda k: k.router.get_service()[0], service=Service(id="s", port=80))["port"] == 80
        consumer, credential = Consumer(id="c", username="ann"), Credential(id="k", fields={"key": "x"})
        assert ask(lambda k: k.client.get_consumer()[0], consumer=consumer) == {"id": "c", "username": "ann"}
        assert ask(lambda k: k.client.get_credential()[0], credential=credential) == {"id": "k", "key": "x"}
        groups = [ConsumerGroup(id="g", name="gold")]
        assert ask(lambda k: k.client.get_consumer_groups(), groups=groups) == ([{"id": "g", "name": "gold"}], None)

    def test_dicts_as_arguments(self) -> None:
        class Plugin:
            def __init__(self, config: dict[str, Any]) -> None: ...

            def access(self, kong: Any) -> None:
                kong.client.authenticate({"id": ID, "username": "ann", "tags": ["t"], "unknown": 1}, {"id": "k", "key": "x"})
                kong.client.set_authenticated_consumer_groups([{"id": "g"}], {"mode": "append"})
                kong.log.set_serialize_value("a", 1, {"mode": "add"})
                kong.log.deprecation("old ", "thing", {"after": "1", "removal": "2"})
                kong.response.set_header("x-a", "1", None)

        result = Gateway(adapt("case", Plugin)).send()
        assert result.consumer == Consumer(id=ID, username="ann", tags=("t",))
        assert result.credential == Credential(id="k", fields={"key": "x"})
        assert result.groups == [ConsumerGroup(id="g")]
        assert result.entry["a"] == 1
        assert result.logs[0].message == "old thing (deprecated after 1, scheduled for removal in 2)"

    def test_log_may_be_called(self) -> None:
        class Plugin:
            def __init__(self, config: dict[str, Any]) -> None: ...

            def access(self, kong: Any) -> None:
                kong.log("a", 1)
                with pytest.raises(TypeError, match=r"kong\.request is no function"):
                    kong.request()

        (line,) = Gateway(adapt("case", Plugin)).send().logs
        assert (line.level, line.message) == ("notice", "a1")

    def test_unknown_functions(self) -> None:  # KC10
        class Plugin:
            def __init__(self, config: dict[str, Any]) -> None: ...

            def access(self, kong: Any) -> None:
                value, err = kong.client.tls.request_client_certificate()
                kong.response.set_header("x-err", f"{value} {err}")
                kong.enterprise_edition.jwe.decode("x")

        result = Gateway(adapt("case", Plugin)).send()
        assert result.headers.get("x-err") == "None kong.client.tls.request_client_certificate: this gateway has no such function"
        assert [line.level for line in result.logs] == ["warn", "warn"]

        def access(kong: Any) -> None:
            with pytest.raises(AttributeError, match="no such function"):
                kong.nope()

        ask(access, lua_style=False)

    def test_exit_unwinds(self) -> None:
        class Plugin:
            def __init__(self, config: dict[str, Any]) -> None: ...

            def access(self, kong: Any) -> None:
                try:
                    kong.response.exit(404, None, {"x-a": "1"})  # KC8
                except Exception as err:
                    raise AssertionError("an exit is no Exception") from err
                raise AssertionError("an exit does not return")

        result = Gateway(adapt("case", Plugin)).send()
        assert (result.status, result.headers.get("x-a"), result.body) == (404, "1", b"")


class TestAdapt:
    def test_body_filter_and_other_phases(self, capsys: pytest.CaptureFixture[str]) -> None:
        class Plugin:
            def __init__(self, config: dict[str, Any]) -> None: ...

            def certificate(self, kong: Any) -> None: ...

            def body_filter(self, kong: Any, chunk: bytes, last: bool) -> bytes:
                return chunk.upper()

        case = adapt("case", Plugin, None, None)
        assert "the phase certificate does not exist here" in capsys.readouterr().err
        assert (case.version, case.priority) == ("0.0.0", 0)
        assert Gateway(case, upstream=Reply(body=b"up")).send().body == b"UP"

    def test_async_is_refused(self) -> None:
        class Plugin:
            async def access(self, kong: Any) -> None: ...

        with pytest.raises(PluginError, match="access is async"):
            adapt("case", Plugin)

    def test_modules(self) -> None:
        specs = {spec.name: spec for spec in load([str(PLUGINS)])}
        assert list(specs) == ["hello", "key_checker", "log_shipper"]
        assert (specs["hello"].version, specs["hello"].priority) == ("0.1.0", 100)
        assert specs["hello"].schema["properties"]["message"]["default"] == "hello"
        assert specs["key_checker"].schema["required"] == ["apikey"]
        assert [spec.kind for spec in load([str(PLUGINS), str(PLUGINS / "hello.py")])] == [spec.kind for spec in specs.values()]

    @pytest.mark.parametrize(
        ("line", "words"), [("version = 1", "version is 1"), ("priority = 'x'", "priority is 'x'"), ("Schema = 5", "Schema")]
    )
    def test_bad_modules(self, tmp_path: Path, line: str, words: str) -> None:
        file = tmp_path / "case.py"
        file.write_text(f"{line}\nclass Plugin:\n    def __init__(self, config): ...\n    def access(self, kong): ...\n")
        with pytest.raises(PluginError, match=words):
            load([str(file)])


class TestProcesses:
    def test_three_plugins_in_one_server(self) -> None:
        with PluginServer(PLUGINS) as server:
            assert [plugin.name for plugin in server.description.plugins] == ["hello", "key_checker", "log_shipper"]
            assert server.configure("hello", 1, {"limit": 10}) == [("limit", "found 10; expected at most 9")]
            assert server.configure("hello", 1, {}) == []
            assert server.configure("key_checker", 2, {}) == [("apikey", "is required")]
            assert server.configure("key_checker", 2, {"apikey": "k"}) == []
            assert server.configure("log_shipper", 3, {"prefix": "> "}) == []
            with server.lane() as lane:
                status, _, operations, _ = lane.call(call_fields(1))
                assert status == 0
                assert operations[0] == [21, "x-hello-from-python", [b"Python says hello to gw.test"]]
                assert operations[1] == [21, "x-python-pid", [str(server.process.pid).encode()]]

                exits = [lane.call(call_fields(2, target=target))[2][-1] for target in (b"/", b"/?apikey=x")]
                assert exits[0][:3] == [25, 401, b'{"message":"No API key found"}']
                assert exits[1] == [25, 403, b"You have no correct key", []]
                call_id, pending = lane.start(call_fields(2, target=b"/?apikey=k"))
                assert pending.next() == ("ask", [4, ID, False])
                lane.answer(call_id, {"id": ID, "username": "ann"})
                operations = pending.outcome()[2]
                assert [operation[0] for operation in operations] == [40, 1]
                assert operations[0][1]["username"] == "ann"

                assert lane.call(call_fields(3))[2] == [[50, "started", {"method": "GET"}]]
                answered: dict[str, Any] = {"response": [200, [], 0], "service_response": [201, ["content-type", b"text/plain"]]}
                operations = lane.call(call_fields(3, "response", **answered))[2]
                assert operations[0] == [21, "x-upstream-status", [b"201"]]
                assert "unsupported content type" in operations[1][2]
                call_id, pending = lane.start(call_fields(3, "log", shared={"started": {"method": "GET"}}, **answered))
                assert pending.next() == ("ask", [3])
                lane.answer(call_id, json.dumps({"request": {"headers": {"cookie": "c", "host": "h"}}}))
                assert pending.outcome()[0] == 0
                ((level, line),) = pending.logs
                assert level == 2
                assert json.loads(line.decode().removeprefix("> ")) == {"request": {"headers": {"host": "h"}}, "started": {"method": "GET"}}

    def test_exceptions_by_a_flag(self, tmp_path: Path) -> None:
        file = tmp_path / "raising.py"
        file.write_text(
            "version, priority, Schema = '1', 1, ()\n"
            "class Plugin:\n"
            "    def __init__(self, config): ...\n"
            "    def access(self, kong):\n"
            "        try:\n"
            "            kong.response.set_header('x-body', str(kong.request.get_body()))\n"
            "        except Exception as err:\n"
            "            kong.response.set_header('x-method', kong.request.get_method() + ' ' + type(err).__name__)\n"
        )
        with PluginServer(file, "--no-lua-style") as server:
            assert server.configure("raising") == []
            with server.lane() as lane:
                assert lane.call(call_fields(1))[2] == [[21, "x-method", [b"GET DataError"]]]

    def test_dedicated_server(self, tmp_path: Path) -> None:
        """A module that is run itself, with its imports of kong_pdk changed to this package."""
        source = (PLUGINS / "hello.py").read_text().replace("kong_pdk", "outrigger.kongcompat")
        file = tmp_path / "py-hello.py"
        file.write_text(source)
        dumped = subprocess.run([sys.executable, file, "--dump", "--kong-prefix", "/x"], capture_output=True, check=True, timeout=60)
        (manifest,) = json.loads(dumped.stdout)["plugins"]
        assert (manifest["name"], manifest["version"], manifest["priority"], manifest["phases"]) == ("py-hello", "0.1.0", 100, ["access"])
        with PluginServer(command=[sys.executable, str(file)]) as server:
            assert server.configure("py-hello", 1, {"message": "hi"}) == []
            with server.lane() as lane:
                assert lane.call(call_fields(1))[2][0] == [21, "x-hello-from-python", [b"Python says hi to gw.test"]]
