"""Reads the vectors of proto/vectors/pdk: facts as a call, comparisons. Their README says what the keys mean.

Values and arguments are read as the drivers in ``conformance`` read them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, cast

import msgpack
from calls import arguments as arguments
from spelling import value_of as value_of

from outrigger import Body, Captures, ConsumerGroup, Credential, MultiMap, Query, Reference, Span
from outrigger._runtime.wire import PHASES


def raw(value: Any) -> bytes:
    """Bytes of text or bytes."""
    return value if isinstance(value, bytes) else value_of(value).encode("utf-8", "surrogateescape")


def check(found: Any, expected: Any, where: str) -> None:
    """Compares what a language has with what a vector spells."""
    if isinstance(expected, dict):
        keys = set(cast("dict[str, Any]", expected))
        if keys == {"any"}:
            return
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
    same(plain(found), expected, where)


def plain(found: Any) -> Any:
    """What a function answered as lists and maps."""
    if isinstance(found, Captures):
        return {"unnamed": list(found.unnamed), "named": dict(found.named)}
    if isinstance(found, (Body, ConsumerGroup, Reference)):
        return {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    if isinstance(found, list):
        return [plain(item) for item in cast("list[Any]", found)]
    return found


SPELT = ({"hex"}, {"text"}, {"int"})


def same(found: Any, expected: Any, where: str) -> None:
    if isinstance(expected, dict):
        keys = set(cast("dict[str, Any]", expected))
        if keys in ({"any"}, {"json"}, {"fields"}):
            check(found, expected, where)
            return
        if keys in SPELT:
            expected = value_of(expected)
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
    """Fields of an entity as the wire has them, or of a span."""
    if isinstance(found, Span):
        return {"name": found.name, "finished": found.finished}
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


def call_fields(vector: Any) -> tuple[list[Any], list[bytes | None]]:
    """The array of the call, and the entities in its slots."""
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
    slots = [None if fields is None else packed(value_of(fields)) for fields in entities]

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
        value_of(facts.get("plugin")),
        None,
        None if "groups" not in facts else [[group["id"], group["name"]] for group in facts["groups"]],
    ]
    if facts.get("tls") is not None:
        tls = facts["tls"]
        fields[21] = [tls.get("version", ""), tls.get("cipher", ""), tls.get("client_verify", ""), tls.get("has_certificate", False)]
    if "trace" in facts:
        fields.append([facts["trace"]["parent"], facts["trace"]["state"]])
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
            fields[at] = [response["status"], lines(response.get("headers")), *([response.get("source", 0)] if at == 14 else [])]
    return fields, slots


BODIES = {7: 1, 24: 1, 25: 2}


def operation(fields: list[Any]) -> list[Any]:
    """An operation whose bins are text where they stand for text."""
    code = fields[0]
    if code in (50, 51, 60, 40) or code >= 70:
        return fields

    def textual(item: Any) -> Any:
        if isinstance(item, list):
            return [textual(part) for part in cast("list[Any]", item)]
        return item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else item

    return [item if BODIES.get(code) == at else textual(item) for at, item in enumerate(fields)]
