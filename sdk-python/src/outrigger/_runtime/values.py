"""MessagePack of free values: ``ctx.shared``, serialised values, credentials, arguments and answers of asks.

msgspec does the work. What it refuses because a text is not UTF-8 goes through a small codec of our own, with ``surrogateescape`` both
ways: the wire's texts may hold any bytes when a plugin in another language put them there.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

_MAX_DEPTH = 64

_encode = msgspec.msgpack.Encoder().encode

_SCALARS: frozenset[type] = frozenset({type(None), bool, str, bytes, float})

ExtHook = Callable[[int, memoryview], Any]


class BadArgument(Exception):
    """An argument breaks a rule; the message says what was found and what was expected."""


class Malformed(Exception):
    """Bytes that are not one MessagePack value."""


def plain(value: Any, depth: int = 0) -> Any:
    """Copies a value into the types of the wire: None, bool, int, float, str, bytes, list and dict with str keys.

    Raises:
        BadArgument: it holds something else, an integer beyond 64 bits, or more than 64 lists and dicts inside one another.
    """
    if type(value) in _SCALARS:
        return value if type(value) is not str or value.isascii() else _sendable(value)
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            raise BadArgument(f"integer {value} does not fit into 64 bits")
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return _sendable(str.__str__(value))
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if depth >= _MAX_DEPTH and isinstance(value, (list, tuple, Mapping)):
        raise BadArgument(f"value is nested more than {_MAX_DEPTH} deep")
    if isinstance(value, (list, tuple)):
        return [plain(item, depth + 1) for item in cast("list[Any]", value)]
    if isinstance(value, Mapping):
        copy: dict[str, Any] = {}
        for key, item in cast("Mapping[Any, Any]", value).items():
            if not isinstance(key, str):
                raise BadArgument(f"map has a key of type {type(key).__name__}; expected str")
            copy[_sendable(str.__str__(key))] = plain(item, depth + 1)
        return copy
    raise BadArgument(f"value is a {type(value).__name__}; expected None, bool, int, float, str, bytes, or a list or dict of these")


def _sendable(text: str) -> str:
    """A text whose surrogates all stand for bytes."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as err:
        raise BadArgument(f"text has the lone surrogate U+{ord(text[err.start]):04X} at {err.start}") from None
    return text


def encode_value(value: Any) -> bytes:
    """One MessagePack value of a value that ``plain`` made. In other texts a surrogate that stands for no byte becomes a question mark."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        out = bytearray()
        _append(out, value)
        return bytes(out)


def _no_extension(kind: int, payload: memoryview) -> Any:
    raise Malformed(f"extension of type {kind}; expected none here")


_decode = msgspec.msgpack.Decoder(ext_hook=_no_extension).decode

_may_be_timestamp = re.compile(
    rb"\xff(?:(?<=[\xd6\xd7]\xff)|(?<=[\x04\x08\x0c]\xff)(?:(?<=\xc7.\xff)|(?<=\xc8\x00.\xff)|(?<=\xc9\x00\x00\x00.\xff)))", re.DOTALL
).search
"""Finds what msgspec would make a datetime of, which is no value of the wire; and sometimes the same bytes in other data.

It begins with the last byte that all spellings share, for which ``re`` looks fast, and which no text has: every body that a plugin reads
passes here.
"""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are wrong, hold a text that is not UTF-8, or are nested too deep for it."""


def decode_value(data: bytes | memoryview | msgspec.Raw) -> Any:
    """The value of one MessagePack value.

    Raises:
        Malformed: it is not one.
    """
    raw = bytes(data)
    if _may_be_timestamp(raw):
        return decode_tolerant(raw)
    try:
        return _decode(raw)
    except UNREADABLE:
        return decode_tolerant(raw)


def decode_tolerant(data: bytes, ext_hook: ExtHook | None = None) -> Any:
    """Like decode_value, with texts that are not UTF-8, and with extensions given to ``ext_hook`` in order of position."""
    reader = _Reader(data, ext_hook)
    value = reader.value(0)
    if reader.at != len(data):
        raise Malformed(f"{len(data) - reader.at} bytes after the value")
    return value


def append_text(out: bytearray, text: str) -> None:
    """Appends a str, with the bytes that surrogates stand for."""
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "replace")
    size = len(raw)
    if size < 32:
        out.append(0xA0 | size)
    elif size < 1 << 8:
        out += struct.pack(">BB", 0xD9, size)
    elif size < 1 << 16:
        out += struct.pack(">BH", 0xDA, size)
    else:
        out += struct.pack(">BI", 0xDB, size)
    out += raw


def _append(out: bytearray, value: Any) -> None:
    if isinstance(value, str):
        append_text(out, value)
    elif isinstance(value, msgspec.Raw):
        out += bytes(value)
    elif isinstance(value, (list, tuple)):
        items = cast("list[Any]", value)
        _append_size(out, len(items), 0x90, 0xDC)
        for item in items:
            _append(out, item)
    elif isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        _append_size(out, len(entries), 0x80, 0xDE)
        for key, item in entries.items():
            _append(out, key)
            _append(out, item)
    else:
        out += _encode(value)


def _append_size(out: bytearray, size: int, fix: int, code16: int) -> None:
    if size < 16:
        out.append(fix | size)
    elif size < 1 << 16:
        out += struct.pack(">BH", code16, size)
    else:
        out += struct.pack(">BI", code16 + 1, size)


_NUMBERS: dict[int, struct.Struct] = {
    0xCA: struct.Struct(">f"),
    0xCB: struct.Struct(">d"),
    0xCC: struct.Struct(">B"),
    0xCD: struct.Struct(">H"),
    0xCE: struct.Struct(">I"),
    0xCF: struct.Struct(">Q"),
    0xD0: struct.Struct(">b"),
    0xD1: struct.Struct(">h"),
    0xD2: struct.Struct(">i"),
    0xD3: struct.Struct(">q"),
}
_LENGTHS: dict[int, int] = {0: 1, 1: 2, 2: 4}


class _Reader:
    """Reads MessagePack from bytes."""

    __slots__ = ("at", "data", "ext_hook")

    def __init__(self, data: bytes, ext_hook: ExtHook | None) -> None:
        self.data = data
        self.at = 0
        self.ext_hook = ext_hook

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise Malformed(f"value ends after {len(self.data)} bytes; expected {end}")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def size(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def text(self, size: int) -> str:
        return self.take(size).decode("utf-8", "surrogateescape")

    def value(self, depth: int) -> Any:
        if depth > 2 * _MAX_DEPTH:
            raise Malformed(f"value is nested more than {2 * _MAX_DEPTH} deep")
        code = self.take(1)[0]
        if code < 0x80:
            return code
        if code >= 0xE0:
            return code - 256
        if code < 0x90:
            return self.map(code & 15, depth)
        if code < 0xA0:
            return self.list(code & 15, depth)
        if code < 0xC0:
            return self.text(code & 31)
        number = _NUMBERS.get(code)
        if number is not None:
            return number.unpack(self.take(number.size))[0]
        if 0xC4 <= code <= 0xC6:
            return self.take(self.size(_LENGTHS[code - 0xC4]))
        if 0xD9 <= code <= 0xDB:
            return self.text(self.size(_LENGTHS[code - 0xD9]))
        if code in (0xDC, 0xDD):
            return self.list(self.size(2 if code == 0xDC else 4), depth)
        if code in (0xDE, 0xDF):
            return self.map(self.size(2 if code == 0xDE else 4), depth)
        return self.rare(code)

    def rare(self, code: int) -> Any:
        if code == 0xC0:
            return None
        if code in (0xC2, 0xC3):
            return code == 0xC3
        if 0xD4 <= code <= 0xD8:
            return self.ext(1 << (code - 0xD4))
        if 0xC7 <= code <= 0xC9:
            return self.ext(self.size(_LENGTHS[code - 0xC7]))
        raise Malformed(f"byte 0x{code:02x} starts no value")

    def ext(self, size: int) -> Any:
        kind = self.take(1)[0]
        payload = self.take(size)
        if self.ext_hook is None:
            raise Malformed(f"extension of type {kind}; expected none here")
        return self.ext_hook(kind, memoryview(payload))

    def list(self, size: int, depth: int) -> list[Any]:
        self.bound(size)
        return [self.value(depth + 1) for _ in range(size)]

    def map(self, size: int, depth: int) -> dict[Any, Any]:
        self.bound(2 * size)
        entries: dict[Any, Any] = {}
        for _ in range(size):
            key = self.value(depth + 1)
            if isinstance(key, (list, dict)):
                raise Malformed("map has a list or a map as key")
            entries[key] = self.value(depth + 1)
        return entries

    def bound(self, items: int) -> None:
        # Every item has at least one byte: a size that the rest cannot hold is a lie, and nothing is allocated for it.
        if items > len(self.data) - self.at:
            raise Malformed(f"{items} items announced, {len(self.data) - self.at} bytes left")


_decode_raw_map = msgspec.msgpack.Decoder(dict[str, msgspec.Raw] | None).decode


def decode_map_of_values(data: bytes | msgspec.Raw) -> dict[str, bytes]:
    """A map whose values stay encoded; nil is an empty one.

    Raises:
        Malformed: it is neither.
    """
    try:
        entries = _decode_raw_map(data)
        return {} if entries is None else {key: bytes(value) for key, value in entries.items()}
    except UNREADABLE:
        value = decode_tolerant(bytes(data))
    if not isinstance(value, dict):
        raise Malformed(f"{type(value).__name__}; expected a map")
    found: dict[str, bytes] = {}
    for key, item in cast("dict[Any, Any]", value).items():
        text = key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else key
        if not isinstance(text, str):
            raise Malformed(f"map has a key of type {type(text).__name__}; expected str")
        found[text] = encode_value(item)
    return found
