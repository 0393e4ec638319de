"""Configuration classes: the schema they give and what decoding accepts."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from outrigger import ConfigError, PluginError, rules, setting
from outrigger._config.formats import FORMATS
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
    assert properties["key"] == {"type": "string", "minLength": 3, "x-secret": True}
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


def test_null_counts_as_absent_unless_it_is_allowed() -> None:
    assert decode_config(Config, {"key": "abc", "main": None, "mode": None, "tags": None}) == decode_config(Config, {"key": "abc"})
    assert decode_config(Rich, {"choice": None}).choice == Rich().choice
    assert decode_config(Config, {"key": "abc", "note": None}).note is None


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
        ({"limits": [None]}, "limits.0", "found null; expected an object"),
        ({"key": None}, "key", "is required"),
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
    when: complex = 0


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


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


@dataclass
class Peer:
    host: str = setting(format="host")
    ports: Annotated[list[Annotated[int, rules(minimum=1, maximum=65535)]], rules(min_items=1)] = field(default_factory=lambda: [80])


@dataclass
class Rich:
    id: str = setting(default="11111111-2222-4333-8444-555555555555", format="uuid")
    level: Level = Level.LOW
    share: float = setting(default=0.5, exclusive_minimum=0, exclusive_maximum=1)
    step: int = setting(default=10, multiple_of=5)
    names: set[str] = setting(default={"a"}, max_items=2)
    codes: list[int] = setting(default=[], unique_items=True)
    peers: dict[Annotated[str, rules(pattern="^[a-z]+$")], Peer] = setting(default={}, max_entries=2)
    token: str = setting(default="", secret=True, referenceable=True, pattern="^$|^k-")
    choice: int | str | Peer = 1
    maybe: Literal["x", "y"] | None = setting(default=None, description="one or none")
    made: int = field(init=False, default=7)

    def validate(self) -> Iterator[tuple[str, str]]:
        if self.step > 50 and self.level is Level.LOW:
            yield "step", "found more than 50 at level low; expected at most 50"
        if "bad" in self.peers:
            yield "peers.bad", "this name is taken"


def test_rich_schema() -> None:
    properties = schema_of(Rich)["properties"]
    assert properties["level"] == {"enum": ["low", "high"], "default": "low"}
    assert properties["names"] == {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "maxItems": 2, "default": ["a"]}
    assert properties["token"]["x-secret"] is properties["token"]["x-referenceable"] is True
    assert properties["peers"]["propertyNames"] == {"type": "string", "pattern": "^[a-z]+$"}
    ports = properties["peers"]["additionalProperties"]["properties"]["ports"]
    assert ports == {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}, "minItems": 1, "default": [80]}
    assert properties["maybe"] == {"enum": ["x", "y", None], "description": "one or none", "default": None}
    assert "made" not in properties


def test_rich_objects() -> None:
    made = decode_config(
        Rich,
        {
            "level": "high",
            "names": ["x", "y"],
            "peers": {"a": {"host": "a.test"}},
            "choice": {"host": "b.test", "ports": [1]},
            "step": 55,
            "token": "k-1",
        },
    )
    assert (made.level, made.names, made.step) == (Level.HIGH, {"x", "y"}, 55)
    assert made.peers == {"a": Peer("a.test", [80])}
    assert made.choice == Peer("b.test", [1])
    assert decode_config(Rich, {"choice": "text"}).choice == "text"


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"id": "5"}, "id", "expected a UUID"),
        ({"level": "mid"}, "level", "expected one of 'low', 'high'"),
        ({"share": 1}, "share", "less than 1"),
        ({"share": 0}, "share", "more than 0"),
        ({"step": 7}, "step", "a multiple of 5"),
        ({"step": 60}, "step", "at most 50"),
        ({"names": ["a", "a"]}, "names.1", "there already"),
        ({"codes": [1, 2, 1.0]}, "codes.2", "there already"),
        ({"peers": {"A": {"host": "h"}}}, "peers.A", "name: found 'A'"),
        ({"peers": {"bad": {"host": "h"}}}, "peers.bad", "this name is taken"),
        ({"peers": {"a": {"host": "h"}, "b": {"host": "h"}, "c": {"host": "h"}}}, "peers", "at most 2"),
        ({"peers": {"a": {"host": "-h"}}}, "peers.a.host", "a host name or an IP address"),
        ({"peers": {"a": {"host": "h", "ports": [80, 0]}}}, "peers.a.ports.1", "at least 1"),
        ({"peers": {"a": {"host": "h", "ports": []}}}, "peers.a.ports", "at least 1"),
        ({"choice": {"host": "h", "ports": ["x"]}}, "choice.ports.0", "expected an integer"),
        ({"names": [None]}, "names.0", "found null"),
        ({"maybe": "z"}, "maybe", "expected one of 'x', 'y'"),
        ({"made": 1}, "made", "there is no such setting"),
    ],
)
def test_rich_faults(change: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        decode_config(Rich, change)
    ((found_path, message),) = caught.value.errors
    assert found_path == path
    assert words in message


def test_lesson_20_secrets_are_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        decode_config(Rich, {"token": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert "a secret value" in str(caught.value)
    assert "hunter2" not in repr(Rich(token="hunter2"))
    assert "step=10" in repr(Rich(token="hunter2"))


@dataclass
class Inner:
    size: int = 0

    def validate(self) -> None:
        if self.size == 1:
            raise ConfigError([("size", "is one"), ("", "is odd")])
        if self.size == 2:
            raise ValueError("is two")
        if self.size == 3:
            raise ConfigError([])


@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)


def test_hook_may_raise() -> None:
    for size, errors in (
        (1, [("inner.size", "is one"), ("inner", "is odd")]),
        (2, [("inner", "is two")]),
        (3, [("inner", "the configuration is refused")]),
    ):
        with pytest.raises(ConfigError) as caught:
            decode_config(Outer, {"inner": {"size": size}})
        assert caught.value.errors == errors


@dataclass
class WrongRule:
    size: int = setting(default=1, min_length=2)


@dataclass
class WrongFormat:
    text: str = setting(default="", format="colour")


@pytest.mark.parametrize(
    ("kind", "words"), [(WrongRule, "rule for strings"), (WrongFormat, "format is 'colour'; expected one of port, cidr")]
)
def test_wrong_rules(kind: type[Any], words: str) -> None:
    with pytest.raises(PluginError, match=words):
        schema_of(kind)


def test_unknown_rule() -> None:
    with pytest.raises(TypeError, match="no rule 'minimun'"):
        setting(minimun=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("cidr", "10.0.0.1/8", "10.0.0.0/33"),
        ("header", "X-A_b", "a b"),
        ("host", "a-b.test", "1::2::3"),
        ("ip", "::1", "a"),
        ("method", "GET", "get"),
        ("path", "/a", "/a?b"),
        ("url", "https://a.test/b?c", "ftp://a.test"),
        ("date", "2024-02-29", "2023-02-29"),
        ("date-time", "2024-01-02T03:04:05Z", "2024-01-02 03:04"),
        ("email", "a@b.test", "a@b@c"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", "1"),
        ("regex", "a(b)", "a("),
        ("uuid", "11111111-2222-4333-8444-55555555555A", "1111"),
    ],
)
def test_formats(name: str, good: str, bad: str) -> None:
    assert FORMATS[name].fits(good)
    assert not FORMATS[name].fits(bad)


@dataclass
class Formats:
    port: int = setting(default=80, format="port")
    url: str = setting(default="http://a", format="url", pattern="a")


def test_formats_in_schemas() -> None:
    """The gateway may not know a format: its pattern stands beside it."""
    properties = schema_of(Formats)["properties"]
    assert properties["port"] == {"type": "integer", "minimum": 0, "maximum": 65535, "default": 80}
    assert (properties["url"]["format"], properties["url"]["pattern"]) == ("uri", "a")
    assert properties["url"]["allOf"] == [{"pattern": FORMATS["url"].pattern}]
