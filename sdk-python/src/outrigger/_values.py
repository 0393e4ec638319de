"""Values that PDK functions take and return.

Texts that came from a peer hold its bytes as UTF-8; bytes that are not UTF-8 appear as U+DC80 to U+DCFF (``surrogateescape``) and
are turned back into the same bytes when they are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, TypeVar, cast

from ._span import Span as Span

HeaderValue: TypeAlias = str | bytes | int | float | bool | Sequence[str | bytes]
"""What a header can be set to: one value, or a list of texts or bytes, one line each. Numbers and booleans are written as text."""

HeaderMap: TypeAlias = Mapping[str, HeaderValue]
"""Header names with what each is set to."""

QueryScalar: TypeAlias = str | int | float | bool
QueryParam: TypeAlias = QueryScalar | Sequence[QueryScalar]
"""What a query argument can be set to: True is a bare name, False and an empty list leave the name out."""

QueryMap: TypeAlias = Mapping[str, QueryParam]
"""Query argument names with what each is set to."""

QueryValue: TypeAlias = str | Literal[True]
"""Value of a query argument: True for an argument without an equals sign."""

ExitBody: TypeAlias = Any
"""Body of ``response.exit``: None, text, bytes, or a list or mapping that is sent as JSON."""


known_keys: dict[str, str] = {}
"""Header names with their comparing form: plugins mostly use a few constant names."""

_MAX_KEYS = 4096

_FOLDED = {ord(c): ord(c.lower()) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"} | {ord("_"): ord("-")}


def _fold(name: str) -> str:
    # Names are ASCII: another letter whose lower case is an ASCII one is another letter.
    return name.lower().replace("_", "-") if name.isascii() else name.translate(_FOLDED)


def header_key(name: str) -> str:
    """The form in which header names are compared: lower case, ``_`` as ``-``."""
    key = known_keys.get(name)
    if key is None:
        key = _fold(name)
        if len(known_keys) < _MAX_KEYS:
            known_keys[name] = key
    return key


class MultiMap:
    """Header lines in order. Names are lower case with dashes; looking up ignores case, and ``-`` and ``_`` are the same."""

    __slots__ = ("_names", "_truncated", "_values")

    def __init__(self, pairs: Sequence[tuple[str, str]] = (), *, truncated: bool = False) -> None:
        self._names = [_fold(name) for name, _ in pairs]  # not kept in known_keys: a peer chose them
        self._values = [value for _, value in pairs]
        self._truncated = truncated

    @property
    def truncated(self) -> bool:
        """Whether lines were left out because of the limit that was asked for."""
        return self._truncated

    def get(self, name: str) -> str | None:
        """First value of a name; None when there is none."""
        try:
            return self._values[self._names.index(header_key(name))]
        except ValueError:
            return None

    def values(self, name: str) -> list[str]:
        """Every value of a name in order."""
        key = header_key(name)
        return [value for found, value in zip(self._names, self._values, strict=True) if found == key]

    def items(self) -> Iterator[tuple[str, str]]:
        """``(name, value)`` of each line in order."""
        return zip(self._names, self._values, strict=True)

    def to_dict(self) -> dict[str, list[str]]:
        """Names with their values, names in the order of their first line."""
        found: dict[str, list[str]] = {}
        for name, value in self.items():
            found.setdefault(name, []).append(value)
        return found

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return self.items()

    def __len__(self) -> int:
        """Number of lines."""
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and header_key(name) in self._names

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MultiMap):
            return NotImplemented
        return self._names == other._names and self._values == other._values

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"MultiMap({list(self.items())!r}{', truncated=True' if self._truncated else ''})"


class Query:
    """Query arguments in order, percent-decoded. Case matters. An argument without an equals sign has the value True."""

    __slots__ = ("_pairs", "_truncated")

    def __init__(self, pairs: Sequence[tuple[str, QueryValue]] = (), *, truncated: bool = False) -> None:
        self._pairs = tuple(pairs)
        self._truncated = truncated

    @property
    def truncated(self) -> bool:
        """Whether arguments were left out because of the limit that was asked for."""
        return self._truncated

    def get(self, name: str) -> QueryValue | None:
        """First value of a name; None when there is none."""
        for found, value in self._pairs:
            if found == name:
                return value
        return None

    def values(self, name: str) -> list[QueryValue]:
        """Every value of a name in order."""
        return [value for found, value in self._pairs if found == name]

    def items(self) -> Iterator[tuple[str, QueryValue]]:
        """``(name, value)`` of each argument in order."""
        return iter(self._pairs)

    def to_dict(self) -> dict[str, list[QueryValue]]:
        """Names with their values, names in the order of their first argument."""
        found: dict[str, list[QueryValue]] = {}
        for name, value in self._pairs:
            found.setdefault(name, []).append(value)
        return found

    def __iter__(self) -> Iterator[tuple[str, QueryValue]]:
        return self.items()

    def __len__(self) -> int:
        """Number of arguments."""
        return len(self._pairs)

    def __contains__(self, name: object) -> bool:
        return any(found == name for found, _ in self._pairs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Query):
            return NotImplemented
        return self._pairs == other._pairs

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Query({list(self._pairs)!r}{', truncated=True' if self._truncated else ''})"


def _no_names() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Captures:
    """What the groups of a route's regex path matched.

    Attributes:
        unnamed: Groups by position, from the first.
        named: Groups by name.
    """

    unnamed: tuple[str, ...] = ()
    named: Mapping[str, str] = field(default_factory=_no_names)


@dataclass(frozen=True, slots=True)
class Ref:
    """Names another entity by its id."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where requests are sent to. Timeouts are milliseconds, times are seconds since the epoch."""

    id: str
    name: str = ""
    protocol: str = ""
    host: str = ""
    port: int = 0
    path: str = ""
    retries: int = 0
    connect_timeout: int = 0
    write_timeout: int = 0
    read_timeout: int = 0
    tls_verify: bool | None = None
    enabled: bool = True
    tags: tuple[str, ...] = ()
    created_at: int = 0
    updated_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Says which requests go to a service."""

    id: str
    name: str = ""
    protocols: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    headers: Mapping[str, Sequence[str]] = field(default_factory=lambda: MappingProxyType({}))
    snis: tuple[str, ...] = ()
    strip_path: bool = True
    path_handling: str = ""
    path_match: str = ""
    preserve_host: bool = False
    https_redirect_status_code: int = 0
    regex_priority: int = 0
    expression: str = ""
    priority: int = 0
    request_buffering: bool = True
    response_buffering: bool = True
    service: Ref | None = None
    tags: tuple[str, ...] = ()
    created_at: int = 0
    updated_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """Somebody who uses the gateway."""

    id: str
    username: str = ""
    custom_id: str = ""
    tags: tuple[str, ...] = ()
    created_at: int = 0
    updated_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What authenticated a request.

    Attributes:
        id: Id of the credential; may be empty.
        consumer_id: Id of its consumer; may be empty.
        fields: Every other field, by name.
    """

    id: str = ""
    consumer_id: str = ""
    fields: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerGroup:
    """A set of consumers."""

    id: str
    name: str = ""


ConsumerGroups: TypeAlias = Sequence[ConsumerGroup]
"""Several consumer groups, in order."""


@dataclass(frozen=True, slots=True)
class Body:
    """A parsed body.

    Attributes:
        value: A dict or a list.
        mime: Media type by which it was parsed, without parameters.
    """

    value: Any
    mime: str


def _no_options() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A reference to a secret in its parts: ``{vault://name/resource/key?option=value#version}``.

    Attributes:
        name: Name of the vault.
        resource: The secret.
        key: A field of it; empty for all of it.
        config: Options by name; empty when there are none.
        version: 0 for the current one.
    """

    name: str
    resource: str
    key: str = ""
    config: Mapping[str, str] = field(default_factory=_no_options)
    version: int = 0


_Entity = TypeVar("_Entity", Service, Route, Consumer)

_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "str": str, "int": (int, float), "bool": bool, "bool | None": bool, "tuple": (list, tuple), "Mapping": Mapping, "Ref | None": Mapping,
}  # fmt: skip
"""What stands in a document, by the type of the field."""


def _entity(kind: type[_Entity], document: Mapping[str, Any]) -> _Entity:
    """Builds an entity from its document; unknown fields are ignored, null fields and missing ones take their default.

    Raises:
        TypeError: a field of the document is of another type.
    """
    known: dict[str, Any] = {}
    for f in fields(kind):
        value = document.get(f.name)
        if value is None:
            continue
        wanted = _KINDS[str(f.type).partition("[")[0]]
        if not isinstance(value, wanted):
            raise TypeError(f"{kind.__name__.lower()}: {f.name} is a {type(value).__name__}; expected {f.type}")
        if f.name == "service":
            value = Ref(cast("Mapping[str, Any]", value).get("id", ""))
        elif f.name == "headers":
            value = MappingProxyType({name: tuple(values) for name, values in value.items()})
        elif isinstance(value, list):
            value = tuple(cast("list[Any]", value))
        known[f.name] = value
    known.setdefault("id", "")
    return kind(**known)


def service_of(document: Mapping[str, Any]) -> Service:
    """Service of a document."""
    return _entity(Service, document)


def route_of(document: Mapping[str, Any]) -> Route:
    """Route of a document."""
    return _entity(Route, document)


def consumer_of(document: Mapping[str, Any]) -> Consumer:
    """Consumer of a document."""
    return _entity(Consumer, document)


def credential_of(document: Mapping[str, Any]) -> Credential:
    """Credential of its map of fields. TypeError when it is none."""
    if not isinstance(document, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - it came over the wire
        raise TypeError(f"credential is a {type(document).__name__}; expected a map")
    rest = dict(document)
    identity, consumer_id = rest.pop("id", None), rest.pop("consumer_id", None)
    for name, value in (("id", identity), ("consumer_id", consumer_id)):
        if not isinstance(value, str | None):
            raise TypeError(f"credential: {name} is a {type(value).__name__}; expected str")
    return Credential(id=identity or "", consumer_id=consumer_id or "", fields=MappingProxyType(rest))


def entity_document(entity: Service | Route | Consumer | ConsumerGroup) -> dict[str, Any]:
    """Every field of an entity, in lists, dicts and plain values."""
    return {f.name: _plain(getattr(entity, f.name)) for f in fields(entity)}


def _plain(value: Any) -> Any:
    if isinstance(value, Ref):
        return {"id": value.id}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in cast("Mapping[str, Any]", value).items()}
    return value


def consumer_document(consumer: Consumer) -> dict[str, Any]:
    """Fields of a consumer that say something, for the wire."""
    document: dict[str, Any] = {"id": consumer.id}
    for f in fields(consumer):
        value = getattr(consumer, f.name)
        if value:
            document[f.name] = list(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else value
    return document


def credential_document(credential: Credential) -> dict[str, Any]:
    """Fields of a credential as one map, for the wire."""
    document: dict[str, Any] = dict(credential.fields)
    if credential.id:
        document["id"] = credential.id
    if credential.consumer_id:
        document["consumer_id"] = credential.consumer_id
    return document
