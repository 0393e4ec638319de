"""Rules for header lines, queries, paths and log arguments; the same as in every other SDK and in the host."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote, unquote_to_bytes

from .._values import HeaderMap, HeaderValue, QueryMap, QueryValue, header_key, known_keys
from .values import BadArgument, Malformed

METHODS = (
    "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "MKCOL", "COPY", "MOVE", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "PATCH", "TRACE",
)  # fmt: skip

DEFAULT_MAX = 100
LARGEST_MAX = 1000

_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_control = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
_query_break = re.compile(rb"[\x00-\x20\x7f]").search
_path_escape = re.compile(rb"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/\[\]%]")


def text_of(raw: bytes | str) -> str:
    """Text of bytes that came from a peer."""
    return raw if isinstance(raw, str) else raw.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """Bytes of a text, those that surrogates stand for included."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as err:
        raise BadArgument(f"text has the lone surrogate U+{ord(text[err.start]):04X} at {err.start}") from None


def number_text(value: float) -> str:
    """A number as the PDK writes it, the same in every language: as in JSON, by the rules of ECMAScript."""
    if not isinstance(value, float):
        return int.__repr__(value)
    if not math.isfinite(value):
        raise BadArgument(f"number is {value}; expected a finite one")
    if not value:
        return "0"
    shortest = float.__repr__(value)
    mantissa, _, exponent = shortest.partition("e")
    if not exponent:
        return shortest.removesuffix(".0")
    sign, digits, power = mantissa[: mantissa.startswith("-")], mantissa.lstrip("-").replace(".", ""), int(exponent)
    if 0 < power < 21:
        return sign + digits.ljust(power + 1, "0")
    if -7 < power < 0:
        return f"{sign}0.{digits.rjust(len(digits) - power - 1, '0')}"
    return f"{mantissa}e{power:+d}"


def scalar_text(value: object) -> str | None:
    """Text of a bool, an int or a float; None for everything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    return None


good_names: set[str] = set()
"""Header names known to be legal: plugins mostly use a few constant ones."""

_MAX_GOOD_NAMES = 4096


def check_header_name(name: object) -> str:
    """A header name, RFC 9110 section 5.1."""
    if type(name) is str and name in good_names:
        return name
    if not isinstance(name, str):
        raise BadArgument(f"header name is a {type(name).__name__}; expected str")
    if not _token(name):
        if not name:
            raise BadArgument("header name is empty")
        at = next(i for i in range(len(name)) if not _token(name[i]))
        raise BadArgument(f"header name {name!r} has {name[at]!r} at {at}; expected letters, digits and !#$%&'*+-.^_`|~")
    if len(good_names) < _MAX_GOOD_NAMES:
        good_names.add(name)
    return name


def header_line(name: str, value: object) -> bytes:
    """One header value as bytes, blanks around it removed; RFC 9110 section 5.5."""
    if isinstance(value, str):
        raw = bytes_of(value)
    elif isinstance(value, (bytes, bytearray)):
        raw = bytes(value)
    else:
        raise BadArgument(f"value of header {name!r} has a {type(value).__name__} in its list; expected str or bytes")
    raw = raw.strip(b" \t")
    bad = _control(raw)
    if bad:
        raise BadArgument(f"value of header {name!r} has the control character 0x{bad[0][0]:02x} at {bad.start()}")
    return raw


def header_values(name: str, value: HeaderValue) -> list[bytes]:
    """Every line of a header value; an empty list for an empty list."""
    if type(value) is str and value.isascii() and value.isprintable():
        return [value.strip().encode()]
    if isinstance(value, (str, bytes, bytearray)):
        return [header_line(name, value)]
    text = scalar_text(value)
    if text is not None:
        return [text.encode()]
    if isinstance(value, (list, tuple)):
        return [header_line(name, item) for item in cast("Sequence[object]", value)]
    raise BadArgument(f"value of header {name!r} is a {type(value).__name__}; expected str, bytes, number, bool, or a list of str or bytes")


def header_map(headers: HeaderMap) -> list[tuple[str, list[bytes]]]:
    """Names with their lines in order of name, all checked."""
    if not isinstance(headers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may ignore types
        raise BadArgument(f"headers is a {type(headers).__name__}; expected a mapping of names to values")
    items = [(check_header_name(name), value) for name, value in headers.items()]
    return [(name, header_values(name, value)) for name, value in sorted(items, key=lambda item: item[0])]


def check_status(status: object, lowest: int) -> int:
    """A status between ``lowest`` and 599."""
    if isinstance(status, bool) or not isinstance(status, int):
        raise BadArgument(f"status is a {type(status).__name__}; expected an int")
    if not lowest <= status <= 599:
        raise BadArgument(f"status is {status}; expected {lowest} to 599")
    return int(status)


def check_max(name: str, value: object) -> int:
    """A limit of entries between 1 and 1000."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadArgument(f"{name} is a {type(value).__name__}; expected an int from 1 to {LARGEST_MAX}")
    if not 1 <= value <= LARGEST_MAX:
        raise BadArgument(f"{name} is {value}; expected 1 to {LARGEST_MAX}")
    return value


def check_int(name: str, value: object, lowest: int, largest: int) -> int:
    """An integer between two bounds."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadArgument(f"{name} is a {type(value).__name__}; expected an int")
    if not lowest <= value <= largest:
        raise BadArgument(f"{name} is {value}; expected {lowest} to {largest}")
    return int(value)


def check_text(name: str, value: object) -> str:
    """An argument that must be text."""
    if not isinstance(value, str):
        raise BadArgument(f"{name} is a {type(value).__name__}; expected str")
    return value


def check_raw_query(query: object) -> bytes:
    """A raw query: no blanks and no control characters, which would end the request target."""
    raw = bytes_of(check_text("query", query))
    bad = _query_break(raw)
    if bad:
        raise BadArgument(f"query has the byte 0x{bad[0][0]:02x} at {bad.start()}; expected it percent-encoded")
    return raw


def escape_path(path: object) -> bytes:
    """A path with the bytes that need it percent-encoded; triplets and reserved characters stay. RFC 3986 section 3.3."""
    raw = bytes_of(check_text("path", path))
    if not raw.startswith(b"/"):
        raise BadArgument(f"path {path!r} does not start with /")
    return _path_escape.sub(lambda found: b"%%%02X" % found[0][0], raw)


def _decoded(piece: str) -> str:
    if "%" not in piece and "+" not in piece:
        return piece
    raw = piece.replace("+", " ").encode("utf-8", "surrogateescape")
    return unquote_to_bytes(raw).decode("utf-8", "surrogateescape")


def query_pairs(raw: str, limit: int) -> tuple[list[tuple[str, QueryValue]], bool]:
    """Arguments of a raw query, decoded, at most ``limit``; empty names are dropped. Second: whether there were more."""
    pairs: list[tuple[str, QueryValue]] = []
    for piece in raw.split("&"):
        name, equals, value = piece.partition("=")
        if not name:
            continue
        if len(pairs) == limit:
            return pairs, True
        pairs.append((_decoded(name), _decoded(value) if equals else True))
    return pairs, False


def query_arg(raw: str, wanted: str) -> QueryValue | None:
    """First value of an argument among the first 100."""
    count = 0
    for piece in raw.split("&"):
        name, equals, value = piece.partition("=")
        if not name:
            continue
        if _decoded(name) == wanted:
            return _decoded(value) if equals else True
        count += 1
        if count == DEFAULT_MAX:
            return None
    return None


def without_arg(raw: str, wanted: str) -> str:
    """A raw query without the arguments of a name. Blanks written ``+`` become ``%20``, empty pieces vanish."""
    pieces = [piece for piece in raw.split("&") if piece and _decoded(piece.partition("=")[0]) != wanted]
    return "&".join(pieces).replace("+", "%20")


def encode_query(args: QueryMap) -> bytes:
    """A query of arguments sorted by name; True gives a bare name, False and empty lists leave the name out."""
    if not isinstance(args, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may ignore types
        raise BadArgument(f"args is a {type(args).__name__}; expected a mapping of names to values")
    pieces: list[str] = []
    for name in sorted((check_text("query argument name", name) for name in args), key=bytes_of):
        value = args[name]
        items = cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else (value,)
        key = quote(bytes_of(name), safe="")
        for item in items:
            if item is False:
                continue
            if item is True:
                if key:
                    pieces.append(key)
            elif isinstance(item, str):
                pieces.append(f"{key}={quote(bytes_of(item), safe='')}")
            elif isinstance(item, (int, float)):
                pieces.append(f"{key}={quote(number_text(item), safe='')}")
            else:
                raise BadArgument(f"query argument {name!r} is a {type(item).__name__}; expected str, number, bool, or a list of these")
    return "&".join(pieces).encode()


def log_text(args: tuple[object, ...]) -> str:
    """Arguments of a log function joined without separator; None is nil, booleans are lower case."""
    return "".join([arg if isinstance(arg, str) else _log_piece(arg) for arg in args])


def _log_piece(arg: object) -> str:
    if arg is None:
        return "nil"
    if isinstance(arg, bool):
        return "true" if arg else "false"
    if isinstance(arg, float):
        if math.isfinite(arg):
            return number_text(arg)
        return "NaN" if math.isnan(arg) else "Infinity" if arg > 0 else "-Infinity"
    if isinstance(arg, (bytes, bytearray)):
        return bytes(arg).decode("utf-8", "surrogateescape")
    return str(arg)


class HeaderLines:
    """Header lines in order. They never change: writing makes new lines, so that reading needs no lock.

    Attributes:
        names: Of every line, in comparing form: lower case with dashes.
        values: Of every line, as they travel.
        seen: How many of the call's operations they show.
        found: What ``get`` has found, by the names that it was asked for.
    """

    __slots__ = ("_first", "_looked", "found", "names", "seen", "values")

    def __init__(self, names: list[str], values: list[Any], seen: int = 0) -> None:
        self.names = names
        self.values = values
        self.seen = seen
        self.found: dict[str, str] = {}
        self._looked = 0
        self._first: dict[str, Any] | None = None

    @classmethod
    def of_flat(cls, flat: list[Any]) -> HeaderLines:
        """Of ``[name, value, …]``, names in lower case."""
        names: list[str] = flat[::2]
        if "_" in "".join(names):
            names = [name.replace("_", "-") for name in names]
        return cls(names, flat[1::2])

    @classmethod
    def of_wire(cls, flat: list[Any] | None) -> HeaderLines:
        """Of the headers of a message, none if it has none.

        Raises:
            Malformed: they are no header lines.
        """
        if flat is None:
            return cls([], [])
        names, values = flat[::2], flat[1::2]
        try:
            dashed = "_" not in "".join(names)
            b"".join(values)
        except TypeError:  # a name that is bytes, a value that is text, or something else
            return cls.of_flat(lines(flat))
        if not dashed or len(names) != len(values):
            return cls.of_flat(lines(flat))
        return cls(names, values)

    @property
    def flat(self) -> list[Any]:
        """The lines as ``[name, value, name, value, …]``."""
        return _flat(self.names, self.values)

    def get(self, name: str) -> str | None:
        """First value of a name."""
        key = known_keys.get(name) or header_key(name)
        first = self._first
        if first is not None:
            value = first.get(key)
        elif self._looked < _LOOKS:
            self._looked += 1
            names = self.names
            value = self.values[names.index(key)] if key in names else None
        else:
            first = self._first = dict(zip(reversed(self.names), reversed(self.values), strict=True))
            value = first.get(key)
        if value is None:
            return None
        text = self.found[name] = value if type(value) is str else value.decode("utf-8", "surrogateescape")
        return text

    def pairs(self, limit: int) -> tuple[list[tuple[str, str]], bool]:
        """The first ``limit`` lines, and whether there were more."""
        pairs = [(name, text_of(value)) for name, value in zip(self.names[:limit], self.values, strict=False)]
        return pairs, len(self.names) > limit

    def with_set(self, name: str, values: Sequence[bytes]) -> HeaderLines:
        """Lines with the values where the first line of the name stood, or at the end, and no other line of that name."""
        key = header_key(name)
        try:
            first = self.names.index(key)
        except ValueError:
            return self.with_added(name, values)
        rest = self.without(name)
        rest.names[first:first] = [key] * len(values)
        rest.values[first:first] = values
        return rest

    def with_added(self, name: str, values: Sequence[bytes]) -> HeaderLines:
        """Lines with one more per value."""
        return HeaderLines([*self.names, *[header_key(name)] * len(values)], [*self.values, *values])

    def without(self, name: str) -> HeaderLines:
        """Lines without those of a name."""
        key = header_key(name)
        kept = [at for at, other in enumerate(self.names) if other != key]
        return HeaderLines([self.names[at] for at in kept], [self.values[at] for at in kept])


_LOOKS = 4
"""Lookups before an index of the names pays: making one costs as much as about five of them."""


def _flat(names: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    return [part for line in zip(names, values, strict=True) for part in line]


def lines(value: Any) -> list[Any]:
    """Header lines as they travel, ``[name, value, …]``, with names as str; nil is none.

    Raises:
        Malformed: they are something else.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(f"headers are a {type(value).__name__}; expected a list")
    flat = cast("list[Any]", value)
    if len(flat) & 1:
        raise Malformed(f"headers have {len(flat)} elements; expected an even number")
    for part in flat:
        if part is not None and not isinstance(part, (str, bytes)):
            raise Malformed(f"{type(part).__name__}; expected text")
    return _flat([text_of(name or "") for name in flat[::2]], ["" if part is None else part for part in flat[1::2]])


def apply_to_request(lines: HeaderLines, operation: list[Any]) -> HeaderLines:
    """Request headers after one operation; those of other kinds change nothing."""
    code = operation[0]
    if code == 1:
        values = operation[2]
        if len(values) > 1 and header_key(operation[1]) == "host":  # a request has one Host: the last wins
            values = values[-1:]
        return lines.with_set(operation[1], values) if values else lines.without(operation[1])
    if code == 2:
        if header_key(operation[1]) == "host":
            return lines.with_set(operation[1], operation[2][-1:])
        return lines.with_added(operation[1], operation[2])
    if code == 3:
        return lines.without(operation[1])
    return lines


def apply_to_response(lines: HeaderLines, operation: list[Any]) -> HeaderLines:
    """Response headers after one operation; those of other kinds change nothing."""
    code = operation[0]
    if code == 21:
        values = operation[2]
        return lines.with_set(operation[1], values) if values else lines.without(operation[1])
    if code == 22:
        return lines.with_added(operation[1], operation[2])
    if code == 23:
        return lines.without(operation[1])
    return lines
