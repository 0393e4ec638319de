"""Kong's lists of fields as JSON Schema, and Lua patterns as regular expressions."""

from __future__ import annotations

import re
from typing import Any

import pytest

from outrigger import ConfigError, PluginError
from outrigger._config.luapattern import BadPattern, regex_of
from outrigger.schema import decode_config, schema_of

SCHEMA = (
    {"message": {"type": "string", "default": "hello", "len_min": 1, "description": "what to say"}},
    {"key": {"type": "string", "required": True, "encrypted": True, "referenceable": True}},
    {"limit": {"type": "integer", "default": 10, "between": [1, 100], "not_one_of": [13]}},
    {"ratio": {"type": "number", "gt": 0, "lt": 1}},
    {"mode": {"type": "string", "one_of": ["a", "b"]}},
    {"tags": {"type": "set", "elements": {"type": "string", "match": "^%l+$"}, "len_max": 2}},
    {"hosts": {"type": "array", "elements": {"type": "string"}, "contains": "gw.test"}},
    {"names": {"type": "map", "keys": {"type": "string", "starts_with": "x-"}, "values": {"type": "integer"}, "len_eq": 1}},
    {
        "redis": {
            "type": "record",
            "required": True,
            "fields": [
                {"host": {"type": "string", "default": "127.0.0.1"}},
                {"port": {"type": "integer", "default": 6379, "indexed": True}},
            ],
        }
    },
    {"auth": {"type": "record", "fields": [{"user": {"type": "string", "required": True, "ne": "root"}}]}},
    {"id": {"type": "string", "uuid": True}},
    {"path": {"type": "string", "match_all": [{"pattern": "^/", "err": "no slash"}], "match_none": [{"pattern": "//"}]}},
    {"word": {"type": "string", "match_any": {"patterns": ["^a", "b$"], "err": "no"}, "not_match": "%s"}},
    {"on": {"type": "boolean", "eq": True}},
)


def test_schema() -> None:
    schema = schema_of(SCHEMA)
    assert (schema["type"], schema["additionalProperties"], schema["required"]) == ("object", False, ["key"])
    properties = schema["properties"]
    assert properties["message"] == {"type": "string", "minLength": 1, "description": "what to say", "default": "hello"}
    assert properties["key"] == {"type": "string", "minLength": 1, "x-secret": True, "x-referenceable": True}
    assert properties["limit"] == {
        "type": "integer", "minimum": 1, "maximum": 100, "allOf": [{"not": {"enum": [13]}}], "default": 10,
    }  # fmt: skip
    assert properties["mode"] == {"type": "string", "minLength": 1, "enum": ["a", "b"]}
    assert properties["tags"]["items"] == {"type": "string", "minLength": 1, "allOf": [{"pattern": "^[a-z]+$"}]}
    assert (properties["tags"]["uniqueItems"], properties["tags"]["maxItems"]) == (True, 2)
    assert properties["names"]["propertyNames"] == {"type": "string", "minLength": 1, "allOf": [{"pattern": "^x-"}]}
    assert properties["names"]["additionalProperties"] == {"type": "integer"}
    assert properties["redis"]["default"] == {}
    assert properties["auth"]["required"] == ["user"]


def test_defaults_and_nulls() -> None:
    decoded = decode_config(SCHEMA, {"key": "k", "message": None, "mode": None, "auth": {"user": "u"}, "redis": {"port": None}})
    redis = {"host": "127.0.0.1", "port": 6379}
    assert decoded == {"key": "k", "message": "hello", "limit": 10, "redis": redis, "auth": {"user": "u"}}
    decoded["redis"]["host"] = "changed"
    assert decode_config(SCHEMA, {"key": "k"})["redis"]["host"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"message": ""}, "message", "at least 1"),
        ({"message": 5}, "message", "found an integer; expected a text"),
        ({"key": None}, "key", "is required"),
        ({"tags": [None]}, "tags.0", "found null; expected a text"),
        ({"limit": 101}, "limit", "at most 100"),
        ({"limit": 13}, "limit", "expected none of 13"),
        ({"ratio": 1}, "ratio", "less than 1"),
        ({"auth": {"user": ""}}, "auth.user", "at least 1"),
        ({"mode": "c"}, "mode", "expected one of 'a', 'b'"),
        ({"tags": ["a", "a"]}, "tags.1", "there already"),
        ({"tags": ["A"]}, "tags.0", "matches ^[a-z]+$"),
        ({"hosts": ["other"]}, "hosts", "found no 'gw.test'"),
        ({"names": {"y": 1}}, "names.y", "name: found 'y'"),
        ({"names": {"x-a": 1, "x-b": 2}}, "names", "at most 1"),
        ({"redis": {"port": "80"}}, "redis.port", "expected an integer"),
        ({"redis": {"user": "x"}}, "redis.user", "expected one of host, port"),
        ({"auth": {}}, "auth.user", "is required"),
        ({"auth": {"user": "root"}}, "auth.user", "another value"),
        ({"id": "x"}, "id", "matches"),
        ({"path": "a"}, "path", "matches ^/"),
        ({"path": "/a//b"}, "path", "does not match //"),
        ({"word": "c"}, "word", "matches ^a"),
        ({"word": "a b"}, "word", "does not match"),
        ({"on": False}, "on", "expected True"),
        ({"other": 1}, "other", "there is no such setting"),
    ],
)
def test_faults(change: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        decode_config(SCHEMA, {"key": "k", **change})
    ((found_path, message),) = caught.value.errors
    assert found_path == path
    assert words in message


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"a": {"type": "text"}}, "field a: type is 'text'; expected one of string"),
        ({"a": {}}, "type is None"),
        ({"a": {"type": "string"}, "b": {"type": "string"}}, "expected {name: attributes}"),
        ({"a": {"type": "string", "matches": "x"}}, "field a: attribute matches: there is no such attribute"),
        ({"a": {"type": "string", "custom_validator": print}}, "JSON Schema cannot say that"),
        ({"a": {"type": "string", "match": "%bxy"}}, "field a: attribute match: Lua pattern '%bxy' has %b"),
        ({"a": {"type": "integer", "between": [1]}}, "field a: attribute between"),
        ({"a": {"type": "integer", "len_min": 1}}, "field a: attribute len_min"),
        ({"a": {"type": "integer", "default": "x"}}, "field a: its default breaks its own rules"),
        ({"a": {"type": "record", "fields": [{"b": {"type": "array", "elements": {"type": "x"}}}]}}, "field a.b.elements: type"),
        ({"a": {"type": "map", "keys": {"type": "integer"}}}, "keys of a map are texts"),
        (5, "expected {name: attributes}"),
    ],
)
def test_refused(field: Any, words: str) -> None:
    with pytest.raises(PluginError, match=re.escape(words)):
        schema_of([field])


def test_twice() -> None:
    with pytest.raises(PluginError, match="declared twice"):
        schema_of([{"a": {"type": "string"}}, {"a": {"type": "string"}}])


@pytest.mark.parametrize(
    ("lua", "good", "bad"),
    [
        ("^%d+$", ["1", "007"], ["", "a", "1a"]),
        ("%d%d%-%d%d", ["12-34", "x12-34y"], ["1234"]),
        ("^%a%w*$", ["a", "a1"], ["1a", "a-"]),
        ("^[%w_.-]+$", ["a.b-c_1"], ["a b"]),
        ("^[^%s]+$", ["ab"], ["a b", "a\tb"]),
        ("^a.-b$", ["ab", "axxb", "a\nb"], ["a", "b"]),
        ("^%(%)%.%%$", ["().%"], ["()x%"]),
        ("^https?://", ["http://x", "https://x"], ["ftp://x"]),
        ("^(%u%u)(%l?)$", ["AB", "ABc"], ["ab", "ABcd"]),
        ("^(a)*$", ["a*"], ["a", "aa"]),
        ("^%x%x$", ["fF"], ["fG"]),
        ("^%D%S$", ["ab"], ["1b", "a "]),
        ("^[]]$", ["]"], ["["]),
        ("^[a-c]$", ["b"], ["d", "-"]),
        ("^[a-]$", ["-"], ["b"]),
        ("a$b^c", ["a$b^c"], ["abc"]),
        ("^%p$", list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"), ["a", " "]),
        ("^{a|b}$", ["{a|b}"], ["a"]),
        ("^é+$", ["éé"], ["e"]),
    ],
)
def test_lua_patterns(lua: str, good: list[str], bad: list[str]) -> None:
    found = regex_of(lua)
    for text in good:
        assert re.search(found, text), (found, text)
    for text in bad:
        assert not re.search(found, text), (found, text)


@pytest.mark.parametrize("lua", ["%b()", "%f[%w]", "(a)%1", "()a", "(a", "a)", "[a", "[%", "a%", "[%S]", "[b-a]", "%q"])
def test_lua_patterns_that_regular_expressions_cannot_say(lua: str) -> None:
    with pytest.raises(BadPattern, match="Lua pattern"):
        regex_of(lua)
