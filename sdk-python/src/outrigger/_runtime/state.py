"""State of one call: the facts that came with it, the writes made so far, and the seal that ends it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from copy import copy
from typing import Any, Final, NoReturn, Protocol, Self, cast

import msgspec

from .._errors import ArgError, HostError, PhaseError
from .._gen.functions import FUNCTIONS
from .._span import Span
from .._values import Consumer, ConsumerGroup, Credential, QueryValue
from . import shapes
from .headers import RESPONSE, FirstValues, HeaderLines
from .kept import Kept
from .node import Entity, Node
from .trip import Trip, WireStep
from .values import Malformed, decode_value
from .wire import (
    NIL,
    PHASES,
    Answer,
    BadFrame,
    CallHead,
    Ended,
    WireCall,
    WireClient,
    WireRequest,
    decode_client,
    decode_request,
    whole_call,
)

LOCK: Final = threading.Lock()
"""Guards the seal of every call and what must change together. One for all: it is held for less than a microsecond."""


class Unset:
    """Marks what has not been looked at or written."""


UNSET: Final = Unset()


class Exit(BaseException):
    """Unwinds a handler after ``response.exit`` or ``response.error``. Private: the outcome is sealed before it is raised."""


class Port(Protocol):
    """What a call needs of the lane that it came on."""

    @property
    def node(self) -> Node:
        """The gateway node."""
        ...

    def log(self, call: Any, level: int, message: str) -> None:
        """Sends a log line, in order with those before it."""

    def deliver(self, call: Any, outcome: Ended) -> None:
        """Sends the outcome of a call that has just been sealed."""

    def ask(self, call: Any, function: int, args: list[Any]) -> Answer:
        """Asks the host and waits for its answer."""
        ...

    async def ask_async(self, call: Any, function: int, args: list[Any]) -> Answer:
        """Asks the host and waits for its answer, in an event loop."""
        ...

    def lied(self, call: Any, message: str) -> None:
        """Closes the lane: what the host sent does not decode."""


ENDED: Final = "its handler has ended"
"""Why most calls are sealed."""


class CallState(msgspec.Struct, eq=False):
    """State of one call. Functions of the PDK live in subclasses; engines use ``seal``, ``head``, ``wire`` and ``port``.

    A struct, since it is made for every call: msgspec makes one with all its defaults in C.
    """

    head: CallHead
    call_id: int
    port: Port
    step: Any
    bit: int
    _slots: list[Entity | None]
    _frame: bytes = b""
    trip: Trip | None = None
    operations: list[list[Any]] = []
    error: tuple[str, str, str] | None = None
    body: bytes | None = None
    why_sealed: str = ENDED
    runner: Any = None
    spans: list[Span] | None = None
    spans_refused: bool = False
    _args: tuple[str, dict[str, QueryValue] | None] | None = None  # of a query, once somebody has looked for one
    _cache: dict[str, Any] | None = None
    _client: WireClient | None = None
    _client_body: bytes | None = None
    _consumer: Consumer | Unset | None = UNSET
    _credential: Credential | Unset | None = UNSET
    _firsts: FirstValues | None = None
    _forwarded: list[Any] | Unset | None = UNSET
    _groups: list[ConsumerGroup] | None = None
    _headers: HeaderLines | None = None
    _method: str | None = None
    _path: str | None = None
    _raw_query: str | None = None  # as it was written
    _received_lines: HeaderLines | None = None
    _request: WireRequest | None = None
    _response: list[Any] | Unset | None = UNSET
    _response_firsts: FirstValues | None = None
    _response_lines: HeaderLines | None = None
    _response_status: int | None = None
    _sent_lines: HeaderLines | None = None
    _sent_query: str | None = None
    _service_lines: HeaderLines | None = None
    _service_response: list[Any] | Unset | None = UNSET
    _shared: Kept | None = None
    _plugin: Kept | None = None
    _request_body: bytes | None = None
    _response_body: bytes | None = None
    _wire: WireCall | None = None
    _before: Sequence[list[Any]] = ()  # operations of the steps before

    def seal(self, why: str) -> bool:
        """Ends the call for the PDK. True for the one who sealed it: who does that answers for the outcome."""
        with LOCK:
            if self.bit == 0:
                return False
            self.bit = 0
        self.why_sealed = why
        return True

    @property
    def sealed(self) -> bool:
        """Whether the call has ended for the PDK."""
        return self.bit == 0

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the call any more; ``PDK.cancelled``."""
        return self.bit == 0

    @property
    def wire(self) -> WireCall:
        """All fields of the call. Those behind the head are decoded when the first of them is asked for."""
        wire = self._wire
        if wire is None:
            try:
                wire = self.check()
            except BadFrame as err:
                self.lied("call", err)
        return wire

    def check(self) -> WireCall:
        """Decodes all fields of the call.

        Raises:
            BadFrame: they do not decode, or name an entity slot that was never filled.
        """
        wire = whole_call(self.head, self._frame)
        slots = self._slots
        for slot in (wire.route, wire.service, wire.consumer):
            if slot is not None and (slot >= len(slots) or slots[slot] is None):
                raise BadFrame(f"call names entity slot {slot}, which was never filled")
        self._wire = wire
        return wire

    @property
    def number(self) -> int:
        """Number of the step in its call."""
        return 0 if self.trip is None else self.trip.step

    def successor(self, wire: WireStep, step: Any, trip: Trip) -> Self:
        """The state of the next step: what this one wrote, it reads; the rest is its own."""
        whole = msgspec.structs.replace(
            self.wire, instance=wire.instance, timeout=wire.timeout, plugin=wire.plugin, trace=wire.trace, prefetched=NIL, steps=NIL
        )
        after = copy(self)  # in C: most of it is the same
        after.head = after._wire = whole
        after.step, after.bit, after.trip = step, step.bit, trip
        after._before = [*self._before, *self.operations]
        after.operations = []
        after.error = after.body = after.runner = after.spans = after._cache = after._plugin = after._headers = after._response_lines = None
        after.why_sealed, after.spans_refused = ENDED, False
        if self._firsts is not None:
            after._firsts = self._followed(self._firsts, 0).handed()
        if self._response_firsts is not None:
            after._response_firsts = self._followed(self._response_firsts, RESPONSE).handed()
        return after

    def ask(self, function: int, args: list[Any]) -> Answer:
        """The answer of the host, which may have travelled with the call."""
        answer = None if self.trip is None else self._ahead(self.trip, function, args)
        return self.port.ask(self, function, args) if answer is None else answer

    async def ask_async(self, function: int, args: list[Any]) -> Answer:
        """Like ask, in an event loop."""
        answer = None if self.trip is None else self._ahead(self.trip, function, args)
        return await self.port.ask_async(self, function, args) if answer is None else answer

    def _ahead(self, trip: Trip, function: int, args: list[Any]) -> Answer | None:
        if trip.prefetched is None:
            return None
        try:
            return trip.prefetched.take(function, args, bool(self.operations or self._before))
        except Malformed as err:
            self.lied("prefetched answer", err)

    # What every function uses.

    def refuse(self, function: str) -> NoReturn:
        """Raises the PhaseError of a function that may not be called now."""
        if self.bit == 0:
            raise PhaseError(f"called after {self.why_sealed}", function=function)
        row = FUNCTIONS[function]
        allowed = [name for i, name in enumerate(PHASES) if row.phases & 2 << i]
        raise PhaseError(f"called in {PHASES[self.head.phase - 1]}; allowed in {', '.join(allowed)}", function=function)

    def record(self, mask: int, function: str, operation: list[Any]) -> None:
        """Keeps a write; refuses it when the call ended meanwhile. One that ends right now leaves with its own copy of the list."""
        if not self.bit & mask:
            self.refuse(function)
        self.operations.append(operation)

    def bad_argument(self, function: str, err: Exception) -> NoReturn:
        """Raises the ArgError of a refused argument."""
        raise ArgError(str(err), function=function) from None

    def lied(self, function: str, err: Exception) -> NoReturn:
        """Ends the lane, whose facts do not decode, and raises the HostError of the read that found it."""
        message = f"the host sent facts that do not decode: {err}"
        self.port.lied(self, message)
        raise HostError(message, function=function) from err

    # Facts, decoded when they are first asked for. Two threads may both decode: they come to the same.

    def request(self) -> WireRequest:
        """Request line and headers as they came."""
        request = self._request
        if request is None:
            try:
                request = self._request = decode_request(self.head.request)
            except BadFrame as err:
                self.lied("request", err)
        return request

    def client(self) -> WireClient:
        """Addresses of the client."""
        client = self._client
        if client is None:
            try:
                client = self._client = decode_client(self.head.client)
            except BadFrame as err:
                self.lied("client", err)
        return client

    def array(self, raw: Any, what: str, shape: Sequence[shapes.Position] | None = None) -> list[Any] | None:
        """A small array of the call, with the positions of the shape if one is given; or None."""
        try:
            value = decode_value(raw)
            if value is not None and not isinstance(value, list):
                raise Malformed(f"{type(value).__name__}; expected an array")
            fields = cast("list[Any] | None", value)
            return fields if fields is None or shape is None else shapes.fitted(fields, shape)
        except Malformed as err:
            self.lied(what, err)

    def entity(self, slot: int, what: str) -> Entity:
        """The entity in a slot."""
        found = self._slots[slot] if 0 <= slot < len(self._slots) else None
        if found is None:
            self.lied(what, Malformed(f"entity slot {slot} is empty"))
        return found

    def request_headers(self) -> HeaderLines:
        """Request headers with the writes so far."""
        lines = self._headers
        if lines is None:
            lines = self._sent().after(self._before, 0)
        self._headers = lines = self._written_lines(lines, 0)
        return lines

    def _sent(self) -> HeaderLines:
        """Request headers as they came."""
        lines = self._sent_lines
        if lines is None:
            try:
                lines = self._sent_lines = HeaderLines.of_wire(self.request().headers)
            except Malformed as err:
                self.lied("request", err)
        return lines

    def _written_lines(self, lines: HeaderLines, family: int) -> HeaderLines:
        """The lines after all operations of this call."""
        operations = self.operations
        seen = len(operations)
        if seen != lines.seen:
            lines = lines.after(operations[lines.seen : seen], family)
            lines.seen = seen
        return lines

    def request_firsts(self) -> FirstValues:
        """The first values of the request headers, with the writes so far."""
        values = self._firsts
        if values is None:
            values = self._firsts = FirstValues(self._sent(), self._before, 0)
        return self._followed(values, 0)

    def _followed(self, values: FirstValues, family: int) -> FirstValues:
        """The values, with all operations of this call."""
        if values.seen != len(self.operations):
            with LOCK:
                values.follow(self.operations, family)
        return values

    def response_fact(self) -> list[Any] | None:
        """``[status, headers, source]`` as it came; None before there is a response."""
        response = self._response
        if isinstance(response, Unset):
            response = self._response = self.array(self.wire.response, "response", shapes.RESPONSE)
        return response

    def response_headers(self) -> HeaderLines:
        """Response headers with the writes so far."""
        lines = self._response_lines
        if lines is None:
            lines = self._received().after(self._before, RESPONSE)
        self._response_lines = lines = self._written_lines(lines, RESPONSE)
        return lines

    def _received(self) -> HeaderLines:
        """Response headers as they came."""
        lines = self._received_lines
        if lines is None:
            response = self.response_fact()
            lines = self._received_lines = HeaderLines.of_flat((response[1] or []) if response else [])
        return lines

    def response_firsts(self) -> FirstValues:
        """The first values of the response headers, with the writes so far."""
        values = self._response_firsts
        if values is None:
            values = self._response_firsts = FirstValues(self._received(), self._before, RESPONSE)
        return self._followed(values, RESPONSE)

    def service_response_fact(self) -> list[Any] | None:
        """``[status, headers or None]`` that the upstream sent; None when the request was not proxied."""
        response = self._service_response
        if isinstance(response, Unset):
            response = self._service_response = self.array(self.wire.service_response, "service.response", shapes.SERVICE_RESPONSE)
        return response

    def service_response_headers(self) -> HeaderLines:
        """Headers that the upstream sent."""
        lines = self._service_lines
        if lines is None:
            response = self.service_response_fact()
            flat: list[Any] | None = None
            if response is not None:
                flat = response[1] if len(response) > 1 else None
                if flat is None:
                    fact = self.response_fact()
                    flat = fact[1] if fact else None
            lines = self._service_lines = HeaderLines.of_flat(flat or [])
        return lines
