"""Runs the vectors of proto/vectors/pdk, which every language runs; their README says what the keys mean."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgpack
import pytest

from outrigger import Captures, Consumer, Credential, MultiMap, PDKError, Query
from outrigger._gen.pdk import PDK
from outrigger._runtime.call import Call
from outrigger._runtime.handlers import run
from outrigger._runtime.node import Entity, Node
from outrigger._runtime.state import Exit
from outrigger._runtime.values import decode_value
from outrigger._runtime.wire import PHASES, Answer, Ended, HostHello, decode_call, encode_outcome

DIRECTORY = Path(__file__).parents[2] / "proto" / "vectors" / "pdk"


def load() -> Iterator[Any]:
    for path in sorted(DIRECTORY.glob("*.json")):
        for vector in json.loads(path.read_text("utf-8"))["vectors"]:
            yield pytest.param(vector, id=f"{path.stem}: {vector['name']}")


VECTORS = list(load())


# Values, from and to the way in which vectors spell them.


def value_of(spelt: Any) -> Any:
    if isinstance(spelt, list):
        return [value_of(item) for item in cast("list[Any]", spelt)]
    if not isinstance(spelt, dict):
        return text(spelt) if isinstance(spelt, str) else spelt
    fields = cast("dict[str, Any]", spelt)
    match list(fields):
        case ["hex"]:
            return bytes.fromhex(fields["hex"])
        case ["text"]:
            return bytes.fromhex(fields["text"]).decode("utf-8", "surrogateescape")
        case ["int"]:
            return int(fields["int"])
    return {key: value_of(item) for key, item in fields.items()}


def text(value: str) -> str:
    return value.encode().decode()


def raw(value: Any) -> bytes:
    """Bytes of text or bytes."""
    return value if isinstance(value, bytes) else value_of(value).encode("utf-8", "surrogateescape")


def check(found: Any, expected: Any, where: str) -> None:
    """Compares what a language has with what a vector spells."""
    if isinstance(expected, dict):
        keys = set(cast("dict[str, Any]", expected))
        if keys == {"json"}:
            check(json.loads(raw(found)), expected["json"], where)
            return
        if keys == {"fields"}:
            fields = document(found)
            for key, item in expected["fields"].items():
                check(fields.get(key), item, f"{where}.{key}")
            return
        if keys in ({"pairs", "truncated"}, {"size", "truncated"}):
            assert isinstance(found, (MultiMap, Query)), where
            assert found.truncated is expected["truncated"], where
            if "size" in keys:
                assert len(found) == expected["size"], where
            else:
                check([list(pair) for pair in found], expected["pairs"], where)
            return
    if isinstance(found, Captures):
        found = {"unnamed": list(found.unnamed), "named": dict(found.named)}
    same(found, value_of(expected), where)


def same(found: Any, expected: Any, where: str) -> None:
    if isinstance(expected, bool) or expected is None:
        assert found is expected, where
    elif isinstance(expected, (int, float)):
        assert isinstance(found, (int, float)), f"{where}: {found!r}"
        assert not isinstance(found, bool), f"{where}: {found!r}"
        assert found == expected, where
    elif isinstance(expected, list):
        items = cast("list[Any]", expected)
        assert isinstance(found, list), f"{where}: {found!r}"
        assert len(cast("list[Any]", found)) == len(items), f"{where}: {found!r}, expected {expected!r}"
        for i, item in enumerate(items):
            same(found[i], item, f"{where}[{i}]")
    elif isinstance(expected, dict):
        fields = cast("dict[str, Any]", expected)
        assert isinstance(found, Mapping), f"{where}: {found!r}"
        assert set(cast("Mapping[str, Any]", found)) == set(fields), f"{where}: {found!r}"
        for key, item in fields.items():
            same(found[key], item, f"{where}.{key}")
    else:
        assert type(found) is type(expected), f"{where}: {found!r}, expected {expected!r}"
        assert found == expected, where


def document(found: Any) -> dict[str, Any]:
    """Fields of an entity as the wire has them."""
    if isinstance(found, Credential):
        return {"id": found.id, "consumer_id": found.consumer_id, **found.fields}
    if dataclasses.is_dataclass(found) and not isinstance(found, type):
        fields = {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}
        if fields.get("service") is not None:
            fields["service"] = document(fields["service"])
        return {key: list(cast("tuple[Any, ...]", item)) if isinstance(item, tuple) else item for key, item in fields.items()}
    assert isinstance(found, dict), f"{found!r} is no entity"
    return cast("dict[str, Any]", found)


# The call.


def lines(headers: list[Any] | None) -> list[Any] | None:
    return None if headers is None else [part for name, value in headers for part in (name, raw(value))]


def packed(value: Any) -> bytes:
    return cast("bytes", msgpack.packb(value, unicode_errors="surrogateescape"))


def call_of(vector: Any, port: Port) -> Call:
    facts = vector.get("facts", {})
    request = {
        "method": "GET",
        "scheme": "http",
        "host": "gw.test",
        "port": 8000,
        "http_version": 11,
        "target": "/",
        **facts.get("request", {}),
    }
    client = {"ip": "10.0.0.9", "port": 40000, **facts.get("client", {})}
    entities = [facts.get(kind) for kind in ("route", "service", "consumer")]
    slots = [None if fields is None else Entity(packed(value_of(fields))) for fields in entities]

    def optional(key: str) -> Any:
        return raw(value_of(facts[key])) if key in facts else None

    def optional_bytes(fields: Any, key: str) -> Any:
        return raw(fields[key]) if fields.get(key) is not None else None

    fields: list[Any] = [
        1,
        PHASES.index(vector["phase"]) + 1,
        1000,
        "0123456789abcdef0123456789abcdef",
        1700000000123,
        [
            *(request[key] for key in ("method", "scheme", "host", "port", "http_version")),
            raw(request["target"]),
            optional_bytes(request, "path"),
            lines(request.get("headers", [])),
            optional_bytes(request, "raw_query"),
        ],
        [client["ip"], client["port"], client.get("forwarded_ip"), client.get("forwarded_port"), client.get("trusted", False)],
        None,
        *(None if fields is None else slot for slot, fields in enumerate(entities)),
        value_of(facts.get("credential")),
        None,
        value_of(facts.get("shared")),
        None,
        None,
        optional("chunk"),
        facts.get("last", False),
        optional("request_body"),
        optional("response_body"),
    ]
    if "forwarded" in facts:
        forwarded = facts["forwarded"]
        fields[7] = [
            *(raw(forwarded[k]) if k != "port" else forwarded[k] for k in ("scheme", "host", "port", "path")),
            optional_bytes(forwarded, "prefix"),
        ]
    if "captures" in facts:
        captures = facts["captures"]
        fields[12] = [[raw(group) for group in captures["unnamed"]], {name: raw(group) for name, group in captures["named"].items()}]
    for at, key in ((14, "response"), (15, "service_response")):
        if key in facts:
            response = facts[key]
            fields[at] = [response["status"], lines(response["headers"]), *([response["source"]] if at == 14 else [])]
    return Call(decode_call(packed(fields)), 1, cast("list[Entity | None]", slots), port)


class Port:
    """The host of one vector."""

    def __init__(self, vector: Any) -> None:
        node = {"trusted_cidrs": [], "log_level": 0, "max_body": 1 << 20, "max_shared": 64 << 10, **vector.get("node", {})}
        self.node = Node(HostHello(node_id="6f8b0c5e-0000-4000-8000-000000000001", hostname="gw", **node))
        self.asks: list[Any] = list(vector.get("asks", []))
        self.logs: list[tuple[int, str]] = []
        self.sealed: Ended | None = None

    def log(self, call: Any, level: int, message: str) -> None:
        self.logs.append((level, message))

    def deliver(self, call: Any, outcome: Ended) -> None:
        assert self.sealed is None, "two outcomes"
        self.sealed = outcome

    def ask(self, call: Any, function: int, args: list[Any]) -> Answer:
        assert self.asks, f"question {function} was not expected"
        ask = self.asks.pop(0)
        assert function == ask["ask"]
        check(args, ask["args"], "args of a question")
        if "error" in ask:
            return Answer(error=(ask["error"][0], ask["error"][1]))
        return Answer(value=value_of(ask["value"]))

    async def ask_async(self, call: Any, function: int, args: list[Any]) -> Answer:
        return self.ask(call, function, args)


class Step:
    """A handler as the engine runs it."""

    def __init__(self, handler: Any, body_filter: bool) -> None:
        self.handler = handler
        self.body_filter = body_filter


def arguments(call: Any) -> list[Any]:
    args = value_of(call.get("args", []))
    if call["fn"] == "client.authenticate":
        return [_credential(arg) if at else Consumer(**arg) if isinstance(arg, dict) else arg for at, arg in enumerate(args)]
    return args


def _credential(arg: Any) -> Any:
    if not isinstance(arg, dict):
        return arg
    fields = cast("dict[str, Any]", arg)
    rest = {key: item for key, item in fields.items() if key not in ("id", "consumer_id")}
    return Credential(id=fields.get("id", ""), consumer_id=fields.get("consumer_id", ""), fields=rest)


def make(kong: PDK, call: Any) -> None:
    """One call of a function, with what it must answer or raise."""
    function: Any = kong
    for part in call["fn"].split("."):
        function = getattr(function, part)
    where = f"{call['fn']}{tuple(call.get('args', ()))}"
    refused: PDKError | None = None
    result: Any = None
    try:
        result = function(*arguments(call))
    except PDKError as err:
        refused = err
    except Exit:
        assert "error" not in call, f"{where} should be refused"
        if not call.get("swallow"):
            raise
        return
    if refused is not None:
        assert refused.code == call.get("error"), f"{where}: {refused}"
        assert refused.function == call["fn"], where
        return
    assert "error" not in call, f"{where} answered {result!r}"
    if "result" in call:
        check(result, call["result"], where)


BODIES = {7: 1, 24: 1, 25: 2}


def operation(fields: list[Any]) -> list[Any]:
    """An operation whose bins are text where they stand for text."""
    code = fields[0]
    if code in (50, 60, 40):
        return fields

    def plain(item: Any) -> Any:
        if isinstance(item, list):
            return [plain(part) for part in cast("list[Any]", item)]
        return item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else item

    return [item if BODIES.get(code) == at else plain(item) for at, item in enumerate(fields)]


@pytest.mark.parametrize("vector", VECTORS)
def test_vector(vector: Any) -> None:
    port = Port(vector)
    call = call_of(vector, port)
    kong: list[PDK] = []
    faults: list[BaseException] = []

    def handler(pdk: PDK, *_: object) -> Any:
        kong.append(pdk)
        try:
            for one in vector["calls"]:
                make(pdk, one)
        except Exception as fault:  # else the engine would make a failed outcome of it
            faults.append(fault)
        return value_of(vector["returns"]) if "returns" in vector else None

    outcome = run(call, cast("Any", Step(handler, vector["phase"] == "body_filter")))
    for fault in faults:
        raise fault
    assert (outcome is None) == (port.sealed is not None)
    outcome = port.sealed or outcome
    assert outcome is not None
    assert outcome.error is None, outcome.error
    for one in vector.get("late", []):
        make(kong[0], one)
    assert not port.asks, "questions were not put"

    # What travels, not what the engine keeps.
    frames = encode_outcome(1, outcome)
    _, _, operations, body = decode_value(frames[-1][16:])
    assert len(operations) == len(vector["ops"]), operations
    for found, expected in zip(operations, vector["ops"], strict=True):
        check_operation(operation(found), expected)
    check(body, vector.get("body"), "body")

    logs = vector.get("logs", [])
    assert len(port.logs) == len(logs), port.logs
    for (level, message), expected in zip(port.logs, logs, strict=True):
        check([level, message], expected if isinstance(expected, list) else [expected, message], "log")


def check_operation(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected), f"{found}, expected {expected}"
    for i, item in enumerate(expected):
        check(found[i], item, f"operation {found[0]} at {i}")


def test_vectors_are_there() -> None:
    print(f"{len(VECTORS)} vectors")
    assert len(VECTORS) >= 200
