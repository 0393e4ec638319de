"""Rules for header lines, queries, paths and log arguments; the same as in every other SDK and in the host."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import quote, unquote_to_bytes

from .._values import HeaderMap, HeaderValue, QueryMap, QueryValue
from .values import BadArgument

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


def first_args(raw: str) -> dict[str, QueryValue]:
    """The arguments that ``query_arg`` finds, by name."""
    return dict(reversed(query_pairs(raw, DEFAULT_MAX)[0]))


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
