"""Configuration classes: the schema they give and what decoding accepts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from outrigger import ConfigError, PluginError, setting
from outrigger.schema import decode_config, schema_of


@dataclass
class Limit:
    name: str
    per_minute: int = setting(default=60, minimum=1, maximum=6000)


@dataclass
class Config:
    key: str = setting(secret=True, min_length=3)
    mode: Literal["a", "b"] = "a"
    ratio: float = 0.5
    on: bool = False
    limits: list[Limit] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    note: str | None = None
    main: Limit = field(default_factory=lambda: Limit("main"))
    tags: list[str] = setting(default=["x"], min_items=1, max_items=3, description="marks")
    code: str = setting(default="AB1", pattern="^[A-Z]{2}[0-9]$", max_length=3)
    size: int = setting(default=1, enum=[1, 2, 4])
    anything: Any = None


def test_schema() -> None:
    schema = schema_of(Config)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (schema["type"], schema["additionalProperties"], schema["required"]) == ("object", False, ["key"])
    properties = schema["properties"]
    assert properties["key"] == {"type": "string", "minLength": 3, "writeOnly": True}
    assert properties["mode"] == {"enum": ["a", "b"], "default": "a"}
    assert properties["ratio"] == {"type": "number", "default": 0.5}
    assert properties["note"] == {"type": ["string", "null"], "default": None}
    assert properties["labels"] == {"type": "object", "additionalProperties": {"type": "string"}, "default": {}}
    assert properties["limits"]["items"]["required"] == ["name"]
    assert properties["limits"]["items"]["properties"]["per_minute"] == {"type": "integer", "minimum": 1, "maximum": 6000, "default": 60}
    assert properties["main"]["default"] == {"name": "main", "per_minute": 60}
    assert properties["tags"] == {
        "type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3, "description": "marks", "default": ["x"],
    }  # fmt: skip
    assert properties["size"] == {"type": "integer", "enum": [1, 2, 4], "default": 1}
    assert properties["anything"] == {"default": None}


def test_no_configuration() -> None:
    assert schema_of(None)["properties"] == {}
    assert decode_config(None, {}) == {}
    with pytest.raises(ConfigError, match="takes no configuration"):
        decode_config(None, {"a": 1})


def test_decode() -> None:
    config = decode_config(Config, {"key": "abc", "limits": [{"name": "n", "per_minute": 5}], "ratio": 1, "note": None, "size": 4.0})
    assert config == Config(key="abc", limits=[Limit("n", 5)], ratio=1.0, size=4)
    assert isinstance(config.size, int)
    assert isinstance(config.ratio, float)


def test_defaults_are_not_shared() -> None:
    first, second = decode_config(Config, {"key": "abc"}), decode_config(Config, {"key": "abc"})
    first.tags.append("y")
    assert second.tags == ["x"]


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"key": "ab"}, "key", "2 characters; expected at least 3"),
        ({"key": 5}, "key", "found an integer; expected a text"),
        ({"mode": "c"}, "mode", "expected one of 'a', 'b'"),
        ({"on": 1}, "on", "expected a boolean"),
        ({"ratio": True}, "ratio", "expected a number"),
        ({"limits": [{"name": "n"}, {}]}, "limits.1.name", "is required"),
        ({"limits": [{"name": "n", "per_minute": 0}]}, "limits.0.per_minute", "at least 1"),
        ({"main": {"name": "n", "per_minute": 6001}}, "main.per_minute", "at most 6000"),
        ({"labels": {"a": 1}}, "labels.a", "expected a text"),
        ({"tags": []}, "tags", "0 items"),
        ({"tags": ["a"] * 4}, "tags", "4 items"),
        ({"code": "abc"}, "code", "matches"),
        ({"size": 3}, "size", "expected one of 1, 2, 4"),
        ({"nope": 1}, "nope", "there is no such setting"),
        ({"note": 5}, "note", "expected a text"),
        ({"main": None}, "main", "found null; expected an object"),
    ],
)
def test_lesson_20_faults(change: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        decode_config(Config, {"key": "abc", **change})
    ((found_path, message),) = caught.value.errors
    assert found_path == path
    assert words in message


def test_lesson_20_all_faults_are_told() -> None:
    with pytest.raises(ConfigError) as caught:
        decode_config(Config, {"mode": "c", "size": 3})
    assert {path for path, _ in caught.value.errors} == {"mode", "size", "key"}


def test_own_checks() -> None:
    @dataclass
    class Range:
        low: int = 0
        high: int = 10

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is above high")

    with pytest.raises(ConfigError, match="low is above high"):
        decode_config(Range, {"low": 11})


@dataclass
class Loop:
    inner: Loop | None = None


@dataclass
class BadDefault:
    size: int = setting(default=0, minimum=1)


@dataclass
class BadPattern:
    text: str = setting(default="", pattern="(")


@dataclass
class BadType:
    when: set[int] = field(default_factory=set)


@dataclass
class BadKeys:
    by_number: dict[int, str] = field(default_factory=dict)


class NoDataclass:
    pass


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Loop, "circle"),
        (BadDefault, "its default breaks its own rules"),
        (BadPattern, "no regular expression"),
        (BadType, "cannot be a setting"),
        (BadKeys, "expected dict\\[str"),
        (NoDataclass, "is no dataclass"),
    ],
)
def test_bad_classes(kind: type[Any], words: str) -> None:
    with pytest.raises(PluginError, match=words):
        schema_of(kind)
