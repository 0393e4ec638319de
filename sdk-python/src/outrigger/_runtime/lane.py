"""What every lane does, whatever its carrier and its threads: calls, entities, chunks, answers and cancels."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import msgspec

from .call import Call
from .handlers import CANCELLED
from .node import Entity, Node
from .plugins import Step
from .registry import Registry
from .shapes import fitted, text
from .state import Port
from .text import text_of
from .trip import Trip, stops, trip_of
from .values import Malformed
from .wire import (
    ANSWER,
    CALL,
    CANCEL,
    CHUNK,
    CHUNK_COST,
    ENTITY,
    ENTITY_SLOTS,
    GOAWAY,
    HELLO,
    MAX_AHEAD,
    TOO_LARGE,
    UNKNOWN_INSTANCE,
    Answer,
    BadFrame,
    CallHead,
    Ended,
    Gathered,
    HostHello,
    Outcome,
    WireCall,
    call_of_fields,
    decode_array,
    decode_head,
    decode_hello,
    unsendable,
)

LOST = "the lane was lost"

Encode = Callable[[int, Ended, int, int], list[Any]]
"""Makes the messages of an outcome, of call id, outcome, number of the step, and mask of its unused answers."""


class Waiter:
    """Waits for one answer, on a thread or in an event loop."""

    __slots__ = ("_future", "_lock", "answer", "message")

    def __init__(self, message: Any, future: asyncio.Future[Answer] | None = None) -> None:
        self.message = message
        self.answer = Answer(error=("host_error", "the lane was lost before the host answered"))
        self._future = future
        self._lock = threading.Lock() if future is None else None
        if self._lock is not None:
            self._lock.acquire()

    def set(self, answer: Answer) -> None:
        """Hands the answer over; only the first one counts."""
        future = self._future
        if future is not None:
            loop = future.get_loop()
            if loop is _running_loop():
                _resolve(future, answer)
            else:
                try:
                    loop.call_soon_threadsafe(_resolve, future, answer)
                except RuntimeError:
                    if not loop.is_closed():  # nobody can wait in one that is
                        raise
            return
        self.answer = answer
        if self._lock is not None and self._lock.locked():
            self._lock.release()

    def wait(self) -> Answer:
        """Blocks until there is an answer."""
        if self._lock is not None:
            self._lock.acquire()
        return self.answer


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _resolve(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)


class LaneState:
    """State of one lane and its reaction to every message of the host. One thread at a time feeds it.

    Calls that are ready to run gather in ``ready``. ``refuse`` sends the outcome of a call that cannot run, ``send`` the next ask of one.
    """

    def __init__(self, registry: Registry, port: Port) -> None:
        self.registry = registry
        self.port = port
        self.node: Node | None = None
        self.slots: list[Entity | None] = []
        self.calls: dict[int, Call] = {}
        self.ready: list[Call] = []
        self.watched = False
        self.refuse: Callable[[int, Outcome], None] = _nothing
        self.send: Callable[[Any], None] = _no_carrier
        self._gathered: dict[int, Gathered] = {}
        self._ahead = 0  # cost of all of them
        self.waiters: dict[Call, deque[Waiter]] = {}
        self._lock = threading.Lock()  # guards waiters, and a call's step from its cancel
        self._instances = registry.instances

    # Messages, decoded.

    def on_hello(self, hello: HostHello) -> None:
        """Takes the host's hello, the first message of the lane."""
        if self.node is not None:
            raise BadFrame("second hello; expected one")
        try:
            self.node = Node(hello)
        except ValueError as err:
            raise BadFrame(f"hello: {err}") from None

    def on_call(self, call_id: int, head: CallHead, frame: bytes = b"") -> None:
        """Makes a call ready to run, or refuses it. ``frame`` is the rest of one whose head is no WireCall."""
        if self.node is None:
            raise BadFrame("call before hello")
        if call_id in self.calls:
            raise BadFrame(f"call id {call_id} is in flight already")
        trip = trip_of(head) if isinstance(head, WireCall) else None
        step = self._step_of(head.instance, head.phase)
        if isinstance(step, Outcome):
            self.refuse(call_id, step)
            return
        call = Call(head, call_id, self.port, step, step.bit, self.slots, frame, trip)
        if isinstance(head, WireCall):
            call.check()
        self.calls[call_id] = call
        self.ready.append(call)

    def on_entity(self, slot: int, document: bytes) -> None:
        """Fills an entity slot. Calls that came before keep what they had: the list is replaced, not changed."""
        if not 0 <= slot < ENTITY_SLOTS:
            raise BadFrame(f"entity slot {slot}; expected 0 to {ENTITY_SLOTS - 1}")
        if not _starts_map(document):
            raise BadFrame(f"document for entity slot {slot} is no map")
        slots = self.slots.copy()
        if slot >= len(slots):
            slots.extend([None] * (slot + 1 - len(slots)))
        slots[slot] = Entity(document)
        self.slots = slots

    def on_chunk(self, call_id: int, piece: bytes) -> None:
        """Keeps bytes that come ahead of a call or an answer."""
        gathered = self._gathered.get(call_id)
        if gathered is None:
            limit = self.node.max_body if self.node is not None and self.node.max_body else 1 << 62
            gathered = self._gathered[call_id] = Gathered(limit)
        gathered.add(piece)
        self._ahead += len(piece) + CHUNK_COST
        if self._ahead > MAX_AHEAD:
            raise BadFrame(f"chunks of {self._ahead} bytes without their messages; at most {MAX_AHEAD} are kept for a lane")

    def take_gathered(self, call_id: int) -> Gathered | None:
        """What came ahead of the message at hand."""
        if not self._gathered:
            return None
        gathered = self._gathered.pop(call_id, None)
        if gathered is not None:
            self._ahead -= gathered.cost
        return gathered

    def on_answer(self, call_id: int, answer: Answer, step: int = 0) -> None:
        """Hands an answer to the first ask that waits. Nobody may wait any more: the call was sealed meanwhile, or runs a later step."""
        call = self.calls.get(call_id)
        if call is None or call.number != step:
            return
        with self._lock:
            waiting = self.waiters.get(call)
            waiter = waiting.popleft() if waiting else None
            following = waiting[0].message if waiting else None
        try:
            if following is not None:
                self.send(following)
        finally:
            if waiter is not None:
                waiter.set(answer)

    def on_cancel(self, call_id: int) -> None:
        """Seals a call that nobody waits for."""
        self.take_gathered(call_id)
        with self._lock:
            call = self.calls.pop(call_id, None)
        if call is not None:
            self._abandon(call, CANCELLED)

    def abandon_all(self) -> None:
        """Seals every call: the lane is lost. When it fails, it is to be called again for what is left."""
        while (call := self._taken()) is not None:
            try:
                self._abandon(call, LOST)
            except BaseException:
                self.calls[call.call_id] = call
                raise
        while self.waiters:  # of calls whose outcome could not be sent
            self.wake(next(iter(self.waiters)))
        self._gathered.clear()
        self._ahead = 0

    def _taken(self) -> Call | None:
        with self._lock:
            return self.calls.popitem()[1] if self.calls else None

    def _abandon(self, call: Call, why: str) -> None:
        if call.seal(why):
            cancel = getattr(call.runner, "cancel_call", None)
            if cancel is not None:
                cancel(call)
        self.wake(call)
        if self.watched:
            self.registry.note()

    # Asks.

    def new_waiter(self, call: Call, message: Any, future: asyncio.Future[Answer] | None) -> tuple[Waiter, bool] | None:
        """Registers an ask; None when the call is sealed.

        The second says whether its message is to be sent now: one ask of a call is on its way at a time, so that answers find their asks
        whichever thread sends first, and so that no handler asks more at once than the host takes. The others follow with the answers.
        """
        waiter = Waiter(message, future)
        with self._lock:
            if call.bit == 0:
                return None
            waiting = self.waiters.get(call)
            if waiting is None:
                waiting = self.waiters[call] = deque()
            waiting.append(waiter)
            if call.bit == 0:  # sealed meanwhile by who saw no waiter, and wakes none
                waiting.pop()
                if not waiting:
                    del self.waiters[call]
                return None
            return waiter, len(waiting) == 1

    def wake(self, call: Call) -> None:
        """Ends the asks of a sealed call."""
        if not self.waiters:
            return
        answer = sealed_answer(call)
        with self._lock:
            waiting = self.waiters.pop(call, None)
        while waiting:
            waiter = waiting.popleft()
            try:
                waiter.set(answer)
            except BaseException:  # the lane ends, and all who still wait are woken then
                waiting.appendleft(waiter)
                self.waiters[call] = waiting
                raise

    def forget(self, call: Call) -> None:
        """Drops a call whose outcome is about to leave."""
        self.calls.pop(call.call_id, None)
        if self.waiters:
            self.wake(call)
        if self.watched:
            self.registry.note()

    # Steps.

    def finish(self, call: Call, outcome: Ended, encode: Encode) -> tuple[list[Any], Call | None]:
        """Messages of how a step ended, and the next step of its call; without one that is wanted, the call is forgotten."""
        trip = call.trip or Trip(0, None, ())
        messages, outcome = _encoded(encode, call.call_id, outcome, trip.step, trip.unused)
        after: Call | Outcome | None = None
        if trip.rest and not stops(outcome):
            after = self._successor(call, trip)
            if isinstance(after, Outcome):
                (_, prefetched), number = trip.rest[0], trip.step + 1
                messages += encode(call.call_id, after, number, 0 if prefetched is None else prefetched.unused)
        if not isinstance(after, Call):
            self.forget(call)
            return messages, None
        with self._lock:
            wanted = self.calls.get(call.call_id) is call
            if wanted:
                self.calls[call.call_id] = after
        self.wake(call)
        if self.watched:
            self.registry.note()
        return messages, after if wanted else None

    def _successor(self, call: Call, trip: Trip) -> Call | Outcome:
        """The next step of a call, or the outcome of one that cannot run."""
        (wire, prefetched), *rest = trip.rest
        step = self._step_of(wire.instance, call.head.phase)
        return step if isinstance(step, Outcome) else call.successor(wire, step, Trip(trip.step + 1, prefetched, rest))

    def _step_of(self, identity: int, phase: int) -> Step | Outcome:
        """The handler of an instance for a phase, or the outcome of a call that there is none for."""
        instance = self._instances.get(identity)
        if instance is None:
            return Outcome(error=(UNKNOWN_INSTANCE, f"instance {identity} is not configured here", ""))
        steps = instance.steps
        step = steps[phase] if phase < len(steps) else None
        if step is None:
            return Outcome(error=("wrong_phase", f"plugin {instance.spec.name} does not handle phase {phase}", ""))
        return step

    # Frames of carrier msgpack.

    def on_frame(self, kind: int, call_id: int, body: bytes, step: int = 0) -> None:
        """Takes one frame. ``step`` is what its header says: that of an answer.

        Raises:
            BadFrame: it breaks the wire's rules.
            HostLeft: the host said goaway.
        """
        if kind == CALL:
            if not self._gathered or (gathered := self.take_gathered(call_id)) is None:
                self.on_call(call_id, decode_head(body), body)
            elif gathered.too_large:
                self.refuse(call_id, too_large(gathered))
            else:
                self.on_call(call_id, call_of_fields(gathered.decode(body, "call")))
        elif kind == ANSWER:
            self._answer_frame(call_id, body, step)
        elif kind == CHUNK:
            self.on_chunk(call_id, body)
        elif kind == CANCEL:
            self.on_cancel(call_id)
        elif kind == ENTITY:
            slot, document = _entity(body)
            self.on_entity(slot, document)
        elif kind == HELLO:
            self.on_hello(decode_hello(body))
        elif kind == GOAWAY:
            fields = decode_array(body, "goaway")
            raise HostLeft(": ".join(str(field) for field in fields[:2]))
        else:
            raise BadFrame(f"frame of type {kind}; a host sends hello, call, answer, chunk, cancel, entity or goaway")

    def _answer_frame(self, call_id: int, body: bytes, step: int) -> None:
        gathered = self.take_gathered(call_id) if self._gathered else None
        if gathered is None:
            fields = decode_array(body, "answer")
        elif gathered.too_large:
            self.on_answer(call_id, Answer(error=("bad_data", too_large(gathered).error[1])), step)  # type: ignore[index]
            return
        else:
            fields = gathered.decode(body, "answer")
        error = fields[0] if fields else None
        if error is not None:
            if not isinstance(error, list):
                raise BadFrame("error of an answer is no [code, message]")
            try:
                code, message = fitted(cast("list[Any]", error), (text, text))
            except Malformed as err:
                raise BadFrame(f"error of an answer: {err}") from None
            self.on_answer(call_id, Answer(error=(text_of(code), text_of(message))), step)
        else:
            self.on_answer(call_id, Answer(value=fields[1] if len(fields) > 1 else None), step)


def _encoded(encode: Encode, call_id: int, outcome: Ended, step: int, unused: int) -> tuple[list[Any], Ended]:
    """Messages of an outcome, and the outcome that they tell: a failed one when this one cannot be sent."""
    try:
        return encode(call_id, outcome, step, unused), outcome
    except Exception as err:
        outcome = unsendable(err)
        return encode(call_id, outcome, step, unused), outcome


class HostLeft(Exception):
    """The host said goaway."""


def sealed_answer(call: Call) -> Answer:
    """What an ask of a sealed call gets."""
    return Answer(error=("wrong_phase", f"called after {call.why_sealed}"))


def too_large(gathered: Gathered) -> Outcome:
    """The outcome of a call with more bytes than max_body."""
    return Outcome(error=(TOO_LARGE, f"{gathered.size} bytes came in chunks; at most {gathered.limit} (max_body) are allowed", ""))


class _EntityFrame(msgspec.Struct, array_like=True, gc=False):
    slot: int
    document: msgspec.Raw


_decode_entity = msgspec.msgpack.Decoder(_EntityFrame).decode


def _entity(body: bytes) -> tuple[int, bytes]:
    try:
        found = _decode_entity(body)
    except (msgspec.DecodeError, RecursionError) as err:
        raise BadFrame(f"entity does not decode: {err}") from None
    return found.slot, bytes(found.document)


def _starts_map(document: bytes) -> bool:
    first = document[0] if document else 0
    return 0x80 <= first <= 0x8F or first in (0xDE, 0xDF)


def _nothing(call_id: int, outcome: Outcome) -> None:
    raise NotImplementedError(f"nothing sends the outcome of call {call_id}: {outcome}")


def _no_carrier(message: Any) -> None:
    raise NotImplementedError(f"nothing sends {message!r}")
