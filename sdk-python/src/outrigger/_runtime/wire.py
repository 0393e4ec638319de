"""The wire: frames and messages of carrier msgpack, and the neutral messages that both carriers share. docs/wire.md is the contract.

Only the fixed shell of a call is decoded when its frame arrives; headers, addresses, entities and shared values stay bytes until a
handler asks for them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar, cast

import msgspec
from msgspec import Raw

from .shapes import body as body_of
from .values import UNREADABLE, Malformed, decode_tolerant, encode_value

VERSION = 1  # the newest that this SDK speaks
MIN_VERSION = 1  # the oldest
FEATURES = 1 | 2
"""What this SDK can do beyond version 1: run calls of several steps, use prefetched answers."""

MAGIC = b"ORLN"
HEADER_SIZE = 16
MAX_FRAME = 16 << 20
CHUNK_SIZE = 32 << 10
ENTITY_SLOTS = 4096

HELLO, CALL, OUTCOME, ASK, ANSWER, CHUNK, CANCEL, LOG, GOAWAY, ENTITY = range(1, 11)


def choose_version(oldest: int, newest: int) -> int:
    """The newest version that this SDK and a host of these versions speak; ``VERSION`` when there is none, which the host refuses.

    A host that does not say its oldest version (0) speaks its newest alone.
    """
    version = min(VERSION, newest)
    return version if version >= max(MIN_VERSION, oldest or newest) else VERSION


PHASES = ("rewrite", "access", "response", "header_filter", "body_filter", "log")
"""Names of the phases; the code of a phase is its position plus one."""

BODY_FILTER = 5

HANDLER_ERROR = "handler_error"
UNKNOWN_INSTANCE = "unknown_instance"
BAD_FRAME = "bad_frame"
BAD_DATA = "bad_data"
TOO_LARGE = "too_large"
CANCELLED = "cancelled"

header = struct.Struct(">IIBBHI")
pack_header = header.pack
unpack_header = header.unpack_from

NIL = Raw(b"\xc0")


class BadFrame(Exception):
    """The peer sent something that breaks the wire's rules; the lane ends with ``goaway``."""


Uint = Annotated[int, msgspec.Meta(ge=0)]
Slot = Annotated[int, msgspec.Meta(ge=0, lt=ENTITY_SLOTS)]


class CallHead(msgspec.Struct, array_like=True, gc=False):
    """The first fields of a call: what running it takes, and what most handlers read."""

    instance: Uint
    phase: Uint
    timeout: Uint | None = None
    request_id: str | None = None
    start_time: int | None = None
    request: Raw = NIL
    client: Raw = NIL


class WireCall(CallHead, array_like=True, gc=False):
    """Shell of a call; docs/wire.md section 5."""

    forwarded: Raw = NIL
    route: Slot | None = None
    service: Slot | None = None
    consumer: Slot | None = None
    credential: Raw = NIL
    captures: Raw = NIL
    shared: Raw = NIL
    response: Raw = NIL
    service_response: Raw = NIL
    chunk: Any = None
    last: bool | None = False
    request_body: Any = None
    response_body: Any = None
    plugin: Raw = NIL
    tls: Raw = NIL
    groups: Raw = NIL
    trace: Raw = NIL
    prefetched: Raw = NIL
    steps: Raw = NIL


class WireRequest(msgspec.Struct, array_like=True, gc=False):
    """Request line and headers; docs/wire.md section 5.1."""

    method: str = ""
    scheme: str = ""
    host: str = ""
    port: Uint = 0
    http_version: Uint = 0
    target: bytes = b""
    path: bytes | None = None
    headers: list[Any] | None = None
    raw_query: bytes | None = None


class WireClient(msgspec.Struct, array_like=True, gc=False):
    """Addresses of the client."""

    ip: str = ""
    port: Uint = 0
    forwarded_ip: str | None = None
    forwarded_port: Uint | None = None
    trusted: bool | None = False


class HostHello(msgspec.Struct, array_like=True):
    """The host's first message; docs/wire.md section 4."""

    version: int = VERSION
    node_id: str = ""
    hostname: str = ""
    gateway_version: str = ""
    trusted_cidrs: list[str] | None = None
    log_level: int = 0
    max_body: int = 64 << 20
    max_shared: int = 64 << 10
    cluster_id: str | None = None
    telemetry_logs: bool | None = False
    features: int | None = 0


class Ended(Protocol):
    """How a handler ended: an Outcome, or the sealed call itself, which saves making one."""

    @property
    def error(self) -> tuple[str, str, str] | None:
        """Code, message and detail of a failure."""
        ...

    @property
    def operations(self) -> Sequence[list[Any]]:
        """Recorded writes."""
        ...

    @property
    def body(self) -> bytes | None:
        """Replacement of body_filter's piece."""
        ...


@dataclass(slots=True)
class Outcome:
    """How a handler ended. ``error`` is ``(code, message, detail)``; operations are ``[code, args…]`` of docs/wire.md section 6."""

    error: tuple[str, str, str] | None = None
    operations: Sequence[list[Any]] = ()
    body: bytes | None = None


@dataclass(slots=True)
class Answer:
    """What the host answered. ``error`` is ``(code, message)``."""

    error: tuple[str, str] | None = None
    value: Any = None


_decode_head = msgspec.msgpack.Decoder(CallHead).decode
_decode_call = msgspec.msgpack.Decoder(WireCall).decode
_decode_request = msgspec.msgpack.Decoder(WireRequest).decode
_decode_client = msgspec.msgpack.Decoder(WireClient).decode
_decode_hello = msgspec.msgpack.Decoder(HostHello).decode
_encode = msgspec.msgpack.Encoder().encode

_S = TypeVar("_S", bound=msgspec.Struct)


def _tolerant(kind: type[_S], data: bytes | Raw, what: str) -> _S:
    """Decodes what the fast decoder refused: str and bin may stand for each other, nil for a missing value, a text may not be UTF-8."""
    try:
        fields = decode_tolerant(bytes(data))
    except Malformed as err:
        raise BadFrame(f"{what} does not decode: {err}") from None
    return of_fields(kind, [] if fields is None else fields, what)


def of_fields(kind: type[_S], fields: Any, what: str) -> _S:
    """A message of its decoded fields.

    Raises:
        BadFrame: they do not fit.
    """
    if not isinstance(fields, list):
        raise BadFrame(f"{what} is a {type(fields).__name__}; expected an array")
    values = cast("list[Any]", fields)
    for i, (field, value) in enumerate(zip(msgspec.structs.fields(kind), values, strict=False)):
        text = str(field.type)
        if field.type is Raw:
            values[i] = Raw(encode_value(value))
        elif isinstance(value, bytes) and "str" in text:
            values[i] = value.decode("utf-8", "surrogateescape")
        elif isinstance(value, str) and "bytes" in text:
            values[i] = value.encode("utf-8", "surrogateescape")
        elif isinstance(value, float) and value.is_integer() and "int" in text:
            values[i] = int(value)
        elif value is None and field.default is not msgspec.NODEFAULT:
            values[i] = field.default
    try:
        return msgspec.convert(values, kind)
    except (msgspec.ValidationError, UnicodeEncodeError) as err:  # the latter when a text that is no UTF-8 stands in a wrong place
        raise BadFrame(f"{what} does not decode: {err}") from None


def decode_call(body: bytes) -> WireCall:
    """Shell of a call whose large bytes are all in place.

    Raises:
        BadFrame: it does not decode.
    """
    try:
        return _decode_call(body)
    except UNREADABLE:
        return _tolerant(WireCall, body, "call")


_PLAIN = b"\xdc\x00\x18"
"""How the array of 24 fields starts. One with more starts with greater bytes: fields behind the 24th must be seen before the call runs."""


def decode_head(body: bytes) -> CallHead:
    """The head of a call whose large bytes are all in place; a whole WireCall when it must be seen at once.

    Raises:
        BadFrame: it does not decode.
    """
    if body[:3] <= _PLAIN:
        try:
            head = _decode_head(body)
        except UNREADABLE:
            return _tolerant(WireCall, body, "call")
        if head.phase != BODY_FILTER:
            return head
    return decode_call(body)


def whole_call(head: CallHead, body: bytes) -> WireCall:
    """All fields of a call, by its head and its frame.

    Raises:
        BadFrame: they do not decode.
    """
    call = head if isinstance(head, WireCall) else decode_call(body)
    try:
        call.chunk, call.request_body, call.response_body = map(body_of, (call.chunk, call.request_body, call.response_body))
    except Malformed as err:
        raise BadFrame(f"call: {err}") from None
    return call


def decode_request(raw: Raw) -> WireRequest:
    """The request of a call."""
    try:
        return _decode_request(raw)
    except UNREADABLE:
        return _tolerant(WireRequest, raw, "request of a call")


def decode_client(raw: Raw) -> WireClient:
    """The client of a call."""
    try:
        return _decode_client(raw)
    except UNREADABLE:
        return _tolerant(WireClient, raw, "client of a call")


def decode_hello(body: bytes) -> HostHello:
    """The host's hello."""
    try:
        return _decode_hello(body)
    except UNREADABLE:
        return _tolerant(HostHello, body, "hello")


def decode_array(body: bytes, what: str) -> list[Any]:
    """A message that is not on the hot path, as a list; nil is an empty one."""
    try:
        fields = decode_tolerant(body)
    except Malformed as err:
        raise BadFrame(f"{what} does not decode: {err}") from None
    if fields is None:
        return []
    if not isinstance(fields, list):
        raise BadFrame(f"{what} is a {type(fields).__name__}; expected an array")
    return cast("list[Any]", fields)


MAX_AHEAD = 1 << 30
"""Most bytes of chunks on one lane whose messages have not come yet."""

CHUNK_COST = 128
"""What keeping a chunk costs beside its bytes."""


class Gathered:
    """Bytes that came ahead of a message in chunks; docs/wire.md section 8."""

    __slots__ = ("cost", "limit", "pieces", "size")

    def __init__(self, limit: int) -> None:
        self.pieces: list[bytes] = []
        self.cost = 0  # of all chunks, as MAX_AHEAD counts
        self.size = 0
        self.limit = limit

    def add(self, piece: bytes) -> None:
        """Keeps a chunk; beyond the limit only its size counts."""
        if len(piece) > CHUNK_SIZE:
            raise BadFrame(f"chunk of {len(piece)} bytes; expected at most {CHUNK_SIZE}")
        self.size += len(piece)
        self.cost += len(piece) + CHUNK_COST
        if self.size > self.limit:
            self.pieces.clear()
        elif piece:  # those without a byte count for nothing, and are not kept
            self.pieces.append(piece)

    @property
    def too_large(self) -> bool:
        """Whether more came than the limit allows."""
        return self.size > self.limit

    def take(self, size: int) -> bytes:
        """The next value of that many bytes."""
        whole = b"".join(self.pieces)
        if len(whole) < size:
            raise BadFrame(f"value of {size} bytes; {len(whole)} came in chunks")
        self.pieces = [whole[size:]]
        return whole[:size]

    def finish(self, what: str) -> None:
        """Says that the message has taken all its values."""
        left = sum(map(len, self.pieces))
        if left:
            raise BadFrame(f"{what} leaves {left} bytes of those that came in chunks")

    def decode(self, body: bytes, what: str) -> list[Any]:
        """The message that the chunks belong to, with each value's bytes in its place."""

        def place(kind: int, payload: memoryview) -> bytes:
            if kind != 1 or len(payload) != 8:
                raise Malformed(f"extension of type {kind} with {len(payload)} bytes; expected type 1 with 8")
            return self.take(int.from_bytes(payload, "big"))

        try:
            fields = decode_tolerant(body, place)
        except Malformed as err:
            raise BadFrame(f"{what} does not decode: {err}") from None
        self.finish(what)
        if not isinstance(fields, list):
            raise BadFrame(f"{what} is a {type(fields).__name__}; expected an array")
        return cast("list[Any]", fields)


def call_of_fields(fields: list[Any]) -> WireCall:
    """Shell of a call from its fully decoded fields: what arrived with chunks."""
    return of_fields(WireCall, fields, "call")


def frame(kind: int, call_id: int, body: bytes, step: int = 0) -> bytes:
    """A whole frame."""
    return pack_header(len(body), call_id, kind, 0, step, 0) + body


_DONE = _encode([0, None, [], None])

MAX_OPERATIONS = 8192
MAX_ELEMENTS = 1 << 17
MAX_CONTENT = MAX_FRAME - (1 << 20)
"""Most bytes in the operations of an outcome, beside bodies, so that it fits into a frame."""

_BODY_AT = {7: 1, 24: 1, 25: 2}
"""Where operations hold a body."""


def check_size(operations: Sequence[list[Any]]) -> None:
    """Refuses what a host would close the lane for.

    Raises:
        OverflowError: there are more operations, lists in them, or bytes beside bodies than an outcome may have.
    """
    if len(operations) > MAX_OPERATIONS:
        raise OverflowError(f"the handler made {len(operations)} operations; expected at most {MAX_OPERATIONS}")
    elements = sum(
        8 + sum(len(cast("list[Any]", part)) for part in operation[2:] if operation[0] < 40 and isinstance(part, list))
        for operation in operations
    )
    if elements > MAX_ELEMENTS:
        raise OverflowError(f"the operations have about {elements} elements; expected at most {MAX_ELEMENTS}")
    content = sum(map(_content_size, operations))
    if content > MAX_CONTENT:
        raise OverflowError(f"the operations have {content} bytes beside bodies; expected at most {MAX_CONTENT}")


def _content_size(operation: list[Any]) -> int:
    """Bytes of the texts and values of an operation, beside its body."""
    code, *parts = operation
    if code >= 40:
        return sum(len(encode_value(part)) for part in parts)
    body = _BODY_AT.get(code, 0) - 1
    size = 0
    for at, part in enumerate(parts):
        if isinstance(part, list):
            size += sum(map(len, cast("list[str | bytes]", part)))
        elif isinstance(part, (str, bytes)) and at != body:
            size += len(part)
    return size


def encode_outcome(call_id: int, outcome: Ended, step: int = 0, unused: int = 0) -> list[bytes]:
    """Frames of an outcome: chunks of its large bytes, then itself.

    Args:
        call_id: Of the call.
        outcome: How its handler ended.
        step: Number of the step in its call.
        unused: Bit mask of its prefetched answers that nobody asked for.

    Raises:
        OverflowError: it is larger than a frame may be, or has more operations than an outcome may have.
    """
    operations = outcome.operations
    if outcome.error is not None:
        code, message, detail = outcome.error
        tail = (unused,) if unused else ()
        body = encode_value([1, [code, message[:65536], detail[:262144]], [], None, *tail])
        return [pack_header(len(body), call_id, OUTCOME, 0, step, 0) + body]
    if outcome.body is None:
        if not operations and not unused:
            return [pack_header(len(_DONE), call_id, OUTCOME, 0, step, 0) + _DONE]
        if len(operations) <= MAX_OPERATIONS:
            fields = [0, None, operations, None, unused] if unused else [0, None, operations, None]
            try:
                body = _encode(fields)
            except UnicodeEncodeError:
                body = encode_value(fields)
            if len(body) <= CHUNK_SIZE:  # which holds fewer elements than are allowed
                return [pack_header(len(body), call_id, OUTCOME, 0, step, 0) + body]
    chunks: list[bytes] = []
    check_size(operations)
    for i, operation in enumerate(operations):
        at = _BODY_AT.get(operation[0])
        if at is not None and operation[at] is not None and len(operation[at]) > CHUNK_SIZE:
            operations = list(operations)
            operations[i] = [*operation[:at], _chunked(operation[at], chunks, call_id), *operation[at + 1 :]]
    replacement: Any = outcome.body
    if outcome.body is not None and len(outcome.body) > CHUNK_SIZE:
        replacement = _chunked(outcome.body, chunks, call_id)
    body = encode_value([0, None, operations, replacement, *((unused,) if unused else ())])
    if len(body) > MAX_FRAME:
        raise OverflowError(f"outcome has {len(body)} bytes; expected at most {MAX_FRAME}")
    chunks.append(frame(OUTCOME, call_id, body, step))
    return chunks


def unsendable(err: Exception) -> Outcome:
    """The failed outcome in place of one that could not be encoded: without it, the host would wait until the deadline."""
    code = TOO_LARGE if isinstance(err, OverflowError) else BAD_DATA
    return Outcome(error=(code, f"the outcome cannot be sent: {err}", ""))


def _chunked(value: bytes, chunks: list[bytes], call_id: int) -> msgspec.msgpack.Ext:
    for at in range(0, len(value), CHUNK_SIZE):
        chunks.append(frame(CHUNK, call_id, value[at : at + CHUNK_SIZE]))  # noqa: PERF401
    return msgspec.msgpack.Ext(1, struct.pack(">Q", len(value)))


def log_bytes(message: str) -> bytes:
    """Bytes of a line; a surrogate that stands for no byte becomes a question mark."""
    try:
        return message.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return message.encode("utf-8", "replace")


def encode_log(call_id: int, level: int, message: str, step: int = 0) -> bytes:
    """Frame of a log line."""
    return frame(LOG, call_id, encode_value([level, log_bytes(message)]), step)


def encode_ask(call_id: int, function: int, args: Sequence[Any], step: int = 0) -> bytes:
    """Frame of an ask."""
    return frame(ASK, call_id, encode_value([function, *args]), step)


def encode_goaway(code: str, message: str) -> bytes:
    """Frame of a goaway."""
    return frame(GOAWAY, 0, encode_value([code, message]))


def encode_hello(language: str, sdk_version: str, pid: int, features: int = FEATURES) -> bytes:
    """Frame of the server's hello."""
    return frame(HELLO, 0, encode_value([VERSION, language, sdk_version, pid, features]))


OnFrame = Callable[[int, int, bytes, int], None]
"""Takes type, call id and body of a frame."""


FRAME_SECONDS = 10.0
"""A frame that has begun arrives within this time, or its lane is closed: it holds up everything behind it."""

LATE_FRAME = f"a frame did not arrive within {FRAME_SECONDS:g} s"


class Framer:
    """Cuts a stream into frames; any split of the stream gives the same frames."""

    __slots__ = ("_need", "_rest", "frames")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._need = HEADER_SIZE  # bytes of the rest before which there is nothing to do
        self.frames = 0  # handed over

    @property
    def begun(self) -> bool:
        """Whether a frame has come in part."""
        return bool(self._rest)

    def feed(self, data: bytes, on_frame: OnFrame) -> None:
        """Hands over every frame that is complete now.

        Raises:
            BadFrame: a frame is too long.
        """
        at, end = 0, len(data)
        if self._rest:
            at = self._complete(data, on_frame)
            if self._rest:
                return
        self._need = HEADER_SIZE
        while end - at >= HEADER_SIZE:
            length, call_id, kind, _, step, _ = unpack_header(data, at)
            if length > MAX_FRAME:
                raise BadFrame(f"frame of type {kind} has {length} bytes; expected at most {MAX_FRAME}")
            stop = at + HEADER_SIZE + length
            if stop > end:
                self._need = stop - at
                break
            self.frames += 1
            on_frame(kind, call_id, data[at + HEADER_SIZE : stop], step)
            at = stop
        if at < end:
            self._rest += memoryview(data)[at:]

    def _complete(self, data: bytes, on_frame: OnFrame) -> int:
        """Adds to the frame that has begun what it lacks, hands it over when it is complete, and says where the rest of the data begins."""
        rest, at = self._rest, 0
        while True:
            lacks = self._need - len(rest)
            rest += memoryview(data)[at : at + lacks]
            if len(rest) < self._need:
                return len(data)
            at += lacks
            length, call_id, kind, _, step, _ = unpack_header(rest)
            if length > MAX_FRAME:
                raise BadFrame(f"frame of type {kind} has {length} bytes; expected at most {MAX_FRAME}")
            if self._need == HEADER_SIZE + length:
                break
            self._need = HEADER_SIZE + length  # what was complete is its header
        self._rest = bytearray()
        self.frames += 1
        on_frame(kind, call_id, bytes(memoryview(rest)[HEADER_SIZE:]), step)
        return at

    def missing(self) -> int:
        """Bytes that the frame at hand still lacks; 0 when its header is not complete."""
        if len(self._rest) < HEADER_SIZE:
            return 0
        return self._need - len(self._rest)
