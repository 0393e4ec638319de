"""Makes inputs for fuzzing: bytes of MessagePack, of protobuf and of frames, changed in places that matter.

Everything random comes from the ``Random`` that is given, so that a seed repeats a run. Mutators take any bytes and never raise.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random

HEADER = struct.Struct(">IIBBHI")
MAX_INPUT = 1 << 17
"""Most bytes of an input, so that one execution stays short."""

Mutator = Callable[[Random, bytes, Sequence[bytes]], bytes]
"""Makes an input of another one and of the corpus."""

VALUES = [
    b"\xc0", b"\xc2", b"\xc3", b"\x00", b"\x7f", b"\xff", b"\xe0", b"\xcc\xff", b"\xcd\xff\xff", b"\xce\xff\xff\xff\xff",
    b"\xcf" + b"\xff" * 8, b"\xcf\x80" + b"\0" * 7, b"\xd0\x80", b"\xd1\x80\x00", b"\xd2\x80\0\0\0", b"\xd3\x80" + b"\0" * 7,
    b"\xca\x7f\xc0\0\0", b"\xca\x7f\x80\0\0", b"\xcb\x7f\xf8" + b"\0" * 6, b"\xcb\x7f\xf0" + b"\0" * 6,
    b"\xcb\x40\x08" + b"\0" * 6, b"\xcb\xc3\xe0" + b"\0" * 6, b"\xcb\x43\xf0" + b"\0" * 6, b"\xa0", b"\xa1a", b"\xa3\xed\xa0\x80",
    b"\xa2\xff\xfe", b"\xa9__proto__", b"\xc4\x00", b"\xc4\x02ab", b"\xc5\x00\x01a", b"\xc6\0\0\0\x01a", b"\xd9\x01a",
    b"\xda\x00\x01a", b"\xdb\0\0\0\x01a", b"\x90", b"\x91\xc0", b"\x92\xa1a\xa1b", b"\xdc\x00\x00", b"\xdd\xff\xff\xff\xff",
    b"\xdd\0\0\0\0", b"\x80", b"\x81\xa1a\xc0", b"\x82\xa1a\x01\xa1a\x02", b"\x81\x90\xc0", b"\x81\x80\xc0", b"\x81\xc0\xc0",
    b"\x81\x01\xc0", b"\x81\xc4\x01a\xc0", b"\xde\x00\x00", b"\xdf\xff\xff\xff\xff", b"\xd4\x01\x00", b"\xd7\x01" + b"\0" * 8,
    b"\xd7\x01" + b"\xff" * 8, b"\xd7\x01\0\0\0\0\0\0\0\x03", b"\xc7\x08\x01\0\0\0\0\0\0\0\x03", b"\xc7\x00\x01",
    b"\xd6\xff\0\0\0\0", b"\xc1",
]  # fmt: skip
"""Values, and what looks like one, that a reader may trip over."""

NUMBERS = [
    0,
    1,
    2,
    7,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0xFFF,
    0x1000,
    0x7FFF,
    0xFFFF,
    0x10000,
    0xFFFFFF,
    0x1000000,
    0x1000001,
    0x7FFFFFFF,
    0xFFFFFFFF,
]


def some_bytes(rng: Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """Changes bytes without a thought for what they mean."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(9):
            case 0 if out:
                out[at % len(out)] ^= 1 << rng.randrange(8)
            case 1 if out:
                out[at % len(out)] = rng.choice((0, 1, 0x7F, 0x80, 0xC0, 0xC1, 0xDC, 0xDD, 0xDF, 0xFF, rng.randrange(256)))
            case 2:
                out[at:at] = rng.randbytes(rng.randint(1, 8))
            case 3:
                del out[at : at + rng.randint(1, 16)]
            case 4:
                out[at:at] = out[at : at + rng.randint(1, 64)]
            case 5:
                other = rng.choice(corpus) if corpus else b""
                start = rng.randrange(len(other) + 1)
                out[at : at + rng.randint(0, 16)] = other[start : start + rng.randint(1, 64)]
            case 6:
                width = rng.choice((1, 2, 4, 8))
                out[at : at + width] = (rng.choice(NUMBERS) & ((1 << 8 * width) - 1)).to_bytes(width, rng.choice(("big", "little")))
            case 7:
                del out[at:]
            case _:
                out[at:at] = rng.choice(VALUES)
    return bytes(out[:MAX_INPUT])


def spans(data: bytes) -> list[tuple[int, int]]:
    """Where the MessagePack values of some bytes begin and end, those inside others too, as far as the bytes make sense."""
    found: list[tuple[int, int]] = []
    open_: list[list[int]] = []  # [index into found, values still to come]
    at = 0
    while at < len(data) and len(found) < 4096:
        start, code = at, data[at]
        found.append((start, start))
        size, items = _head(data, at)
        at += size
        if at > len(data):
            return found[:-1]
        if items:
            open_.append([len(found) - 1, items])
            continue
        found[-1] = (start, at)
        while open_:
            open_[-1][1] -= 1
            if open_[-1][1]:
                break
            index = open_.pop()[0]
            found[index] = (found[index][0], at)
        if code == 0xC1:
            break
    return [(start, end) for start, end in found if end > start]


def _head(data: bytes, at: int) -> tuple[int, int]:
    """Bytes of a scalar, or of the head of a list or map with the number of values in it."""
    code = data[at]
    if 0x80 <= code < 0x90:
        return 1, 2 * (code & 15)
    if 0x90 <= code < 0xA0:
        return 1, code & 15
    if 0xA0 <= code < 0xC0:
        return 1 + (code & 31), 0
    fixed = {
        0xCA: 5,
        0xCB: 9,
        0xCC: 2,
        0xCD: 3,
        0xCE: 5,
        0xCF: 9,
        0xD0: 2,
        0xD1: 3,
        0xD2: 5,
        0xD3: 9,
        0xD4: 3,
        0xD5: 4,
        0xD6: 6,
        0xD7: 10,
        0xD8: 18,
    }
    if code in fixed:
        return fixed[code], 0
    lengths = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
    if code not in lengths:
        return 1, 0
    width = lengths[code]
    number = int.from_bytes(data[at + 1 : at + 1 + width], "big")
    if code >= 0xDC:
        return 1 + width, min(number * (2 if code >= 0xDE else 1), 1 << 20)
    return 1 + width + number + (0xC7 <= code <= 0xC9), 0


def msgpack(rng: Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """Puts another value in the place of one, or changes bytes."""
    places = spans(data)
    if not places or rng.random() < 0.3:
        return some_bytes(rng, data, corpus)
    start, end = rng.choice(places)
    match rng.randrange(6):
        case 0:
            other = data
        case 1 if corpus:
            other = rng.choice(corpus)
        case 2:
            depth = rng.choice((1, 31, 63, 64, 65, 127, 128, 129, 1000, 5000))
            return data[:start] + rng.choice((b"\x91", b"\x81\xa1a", b"\x81\xc4\x01b")) * depth + data[start:]
        case _:
            return data[:start] + rng.choice(VALUES) + data[end:]
    donors = spans(other)
    first, last = rng.choice(donors) if donors else (0, 0)
    return (data[:start] + other[first:last] + data[end:])[:MAX_INPUT]


def frames_of(data: bytes) -> list[bytes]:
    """The frames of a stream, the last one as long as it is."""
    found: list[bytes] = []
    at = 0
    while at < len(data) and len(found) < 256:
        length = int.from_bytes(data[at : at + 4], "big") if len(data) - at >= 16 else len(data)
        found.append(data[at : at + 16 + length])
        at += 16 + length
    return found


def stream(rng: Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """Changes the body or the header of a frame, the order of the frames, or bytes."""
    frames = frames_of(data)
    if not frames or rng.random() < 0.1:
        return some_bytes(rng, data, corpus)
    at = rng.randrange(len(frames))
    frame = frames[at]
    match rng.randrange(10):
        case 0:
            frames.insert(rng.randrange(len(frames) + 1), frame)
        case 1:
            del frames[at]
        case 2 if corpus:
            others = frames_of(rng.choice(corpus))
            if others:
                frames.insert(at, rng.choice(others))
        case 3 if len(frame) >= 16:
            length, call, kind, flags, step, reserved = HEADER.unpack_from(frame)
            call = rng.choice((call, 0, 1, 2, 7, 0xFFFFFFFF))
            kind = rng.choice((kind, rng.randrange(12), 0, 255))
            length = rng.choice((length, length, length, rng.choice(NUMBERS)))
            frames[at] = HEADER.pack(length, call, kind, flags, step, reserved) + frame[16:]
        case _ if len(frame) >= 16:
            bodies = [other[16:] for other in frames_of(rng.choice(corpus))] if corpus else []
            body = msgpack(rng, frame[16:], bodies)
            frames[at] = len(body).to_bytes(4, "big") + frame[4:16] + body
        case _:
            frames[at] = some_bytes(rng, frame, corpus)
    return b"".join(frames)[:MAX_INPUT]


# Protobuf, without its descriptors: a message is fields, and some of those that have a length are messages again.

_Field = tuple[bytes, int, bytes]
"""Key as it stands, wire type, and content without its length."""


def _varint(data: bytes, at: int) -> int:
    """Position behind a varint; -1 when it does not end."""
    while at < len(data):
        at += 1
        if data[at - 1] < 0x80:
            return at
    return -1


def _number(data: bytes) -> int:
    return sum((byte & 0x7F) << 7 * i for i, byte in enumerate(data[:10]))


def _fields(data: bytes) -> list[_Field] | None:
    """The fields of a message; None when the bytes are none."""
    found: list[_Field] = []
    at = 0
    while at < len(data):
        end = _varint(data, at)
        if end < 0:
            return None
        key, kind = data[at:end], data[at] & 7
        if kind == 0:
            at = _varint(data, end)
        elif kind == 2:
            start = _varint(data, end)
            if start < 0:
                return None
            at = start + _number(data[end:start])
            end = start
        elif kind in (1, 5):
            at = end + (8 if kind == 1 else 4)
        else:
            return None
        if at < 0 or at > len(data):
            return None
        found.append((key, kind, data[end:at]))
    return found


def _written(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _joined(fields: Sequence[_Field]) -> bytes:
    return b"".join(key + (_written(len(content)) if kind == 2 else b"") + content for key, kind, content in fields)


def protobuf(rng: Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """Changes a field of a message, or of one inside it, or bytes. Lengths around it stay right."""
    fields = _fields(data)
    if not fields or rng.random() < 0.05:
        return some_bytes(rng, data, corpus)
    at = rng.randrange(len(fields))
    key, kind, content = fields[at]
    match rng.randrange(8):
        case 0:
            fields.insert(rng.randrange(len(fields) + 1), fields[at])
        case 1:
            del fields[at]
        case 2 if corpus:
            others = _fields(rng.choice(corpus))
            if others:
                fields.insert(at, rng.choice(others))
        case _ if kind == 2 and _fields(content) and rng.random() < 0.8:
            inner = [other[2] for other in _fields(rng.choice(corpus)) or () if other[1] == 2] if corpus else []
            fields[at] = (key, kind, protobuf(rng, content, inner))
        case _ if kind == 2:
            fields[at] = (key, kind, rng.choice((msgpack, some_bytes))(rng, content, corpus))
        case _ if kind == 0:
            fields[at] = (key, kind, _written(rng.choice((rng.choice(NUMBERS), (1 << 64) - 1, 1 << 63, 1 << 53))))
        case _:
            fields[at] = (key, kind, rng.randbytes(len(content)))
    return _joined(fields)[:MAX_INPUT]


def messages_of(data: bytes) -> list[bytes]:
    """The messages of an input that holds several, each behind its length in four bytes."""
    found: list[bytes] = []
    at = 0
    while at < len(data) and len(found) < 256:
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : end])
        at = end
    return found


def messages(rng: Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """Changes one of several protobuf messages, or their order."""
    parts = messages_of(data)
    if not parts:
        return some_bytes(rng, data, corpus)
    at = rng.randrange(len(parts))
    match rng.randrange(8):
        case 0:
            parts.insert(rng.randrange(len(parts) + 1), parts[at])
        case 1:
            del parts[at]
        case 2 if corpus:
            others = messages_of(rng.choice(corpus))
            if others:
                parts.insert(at, rng.choice(others))
        case _:
            parts[at] = protobuf(rng, parts[at], messages_of(rng.choice(corpus)) if corpus else ())
    return packed(parts)[:MAX_INPUT]


def packed(parts: Sequence[bytes]) -> bytes:
    """Messages as one input."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


_JSON = [
    b"null",
    b"[]",
    b"{}",
    b'""',
    b'"\\ud800"',
    b"1e999",
    b"-0",
    b"NaN",
    b"Infinity",
    b"1" * 5000,
    b"[" * 2000,
    b'{"a":' * 2000,
    b"18446744073709551616",
]


def json(rng: Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """Changes text of JSON between its marks."""
    marks = [i for i, byte in enumerate(data) if byte in b'{}[],:"']
    if not marks or rng.random() < 0.3:
        return some_bytes(rng, data, corpus)
    start, end = sorted((rng.choice(marks), rng.choice(marks)))
    piece = rng.choice((rng.choice(_JSON), data[start : end + 1], b""))
    return (data[: start + 1] + piece + data[end:])[:MAX_INPUT]
