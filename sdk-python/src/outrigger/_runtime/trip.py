"""What travels with a call beside its facts: answers ahead of their asks, and the steps that run after it. docs/wire.md 5.3 and 5.4."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec
from msgspec import Raw

from .values import UNREADABLE, Malformed, decode_tolerant, decode_value, encode_value
from .wire import BODY_FILTER, NIL, Answer, BadFrame, Ended, Uint, WireCall, of_fields

MAX_STEPS = 64
MAX_PREFETCHED = 16

_STOPS = frozenset({25, 26, 40, 41})
"""Operations after which the server runs no further step: response.exit and error, client.authenticate, and those that set groups."""

_STALE = frozenset({3, 12, 16})
"""Asks whose answer any operation may change: log.serialize, nginx.get_var, response.get_raw_body."""


class WirePrefetched(msgspec.Struct, array_like=True, gc=False):
    """An answer ahead of its ask."""

    function: Uint
    args: Raw
    value: Raw


class WireStep(msgspec.Struct, array_like=True, gc=False):
    """A step of a fused call after the first; its fields are those of a call."""

    instance: Uint
    timeout: Uint | None = None
    plugin: Raw = NIL
    prefetched: Raw = NIL
    trace: Raw = NIL


_decode_prefetched = msgspec.msgpack.Decoder(list[WirePrefetched] | None).decode
_decode_steps = msgspec.msgpack.Decoder(list[WireStep] | None).decode


class Prefetched:
    """The answers that came for one step, and which of them nobody asked for."""

    __slots__ = ("_answers", "unused")

    def __init__(self, items: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Takes function, arguments as one MessagePack array, and value of each.

        Raises:
            BadFrame: there are more than a step may have.
        """
        found = list(items)
        if len(found) > MAX_PREFETCHED:
            raise BadFrame(f"a step has {len(found)} prefetched answers; expected at most {MAX_PREFETCHED}")
        self._answers = {(function, args): (1 << at, value) for at, (function, args, value) in enumerate(found)}
        self.unused = (1 << len(found)) - 1

    def take(self, function: int, args: Sequence[Any], written: bool) -> Answer | None:
        """The answer to an ask, any number of times; None when it has to be asked for.

        ``written`` says whether this call has recorded an operation, in this step or one before it. Malformed: the value does not decode.
        """
        if written and function in _STALE:
            return None
        found = self._answers.get((function, encode_value(list(args))))
        if found is None:
            return None
        bit, value = found
        self.unused &= ~bit
        return Answer(value=decode_value(value))


class Trip:
    """What came with a call. ``step`` is the number of the running one; ``rest`` are those after it, with their prefetched answers."""

    __slots__ = ("prefetched", "rest", "step")

    def __init__(self, step: int, prefetched: Prefetched | None, rest: Sequence[tuple[WireStep, Prefetched | None]]) -> None:
        self.step = step
        self.prefetched = prefetched
        self.rest = rest

    @property
    def unused(self) -> int:
        """Bit mask of the prefetched answers that nobody asked for."""
        return 0 if self.prefetched is None else self.prefetched.unused


def trip_of(wire: WireCall) -> Trip | None:
    """What came with a call; None when nothing did.

    Raises:
        BadFrame: it does not decode, or is more than may come.
    """
    if wire.prefetched is NIL and wire.steps is NIL:
        return None
    prefetched = _prefetched_of(wire.prefetched)
    rest = [(step, _prefetched_of(step.prefetched)) for step in _steps_of(wire.steps)]
    if len(rest) >= MAX_STEPS:
        raise BadFrame(f"call has {len(rest) + 1} steps; expected at most {MAX_STEPS}")
    if rest and wire.phase == BODY_FILTER:
        raise BadFrame(f"call of body_filter has {len(rest) + 1} steps; expected one")
    return None if prefetched is None and not rest else Trip(0, prefetched, rest)


def _prefetched_of(raw: Raw) -> Prefetched | None:
    try:
        items = _decode_prefetched(raw)
    except UNREADABLE:
        items = [of_fields(WirePrefetched, item, "a prefetched answer") for item in _array(raw, "prefetched answers")]
    return Prefetched([(item.function, bytes(item.args), bytes(item.value)) for item in items]) if items else None


def _steps_of(raw: Raw) -> list[WireStep]:
    try:
        return _decode_steps(raw) or []
    except UNREADABLE:
        return [of_fields(WireStep, item, "a step") for item in _array(raw, "steps")]


def _array(raw: Raw, what: str) -> list[Any]:
    try:
        found = decode_tolerant(bytes(raw))
    except Malformed as err:
        raise BadFrame(f"{what} of a call do not decode: {err}") from None
    if not isinstance(found, list):
        raise BadFrame(f"{what} of a call are a {type(found).__name__}; expected an array")
    return cast("list[Any]", found)


def stops(outcome: Ended) -> bool:
    """Whether the steps after one with this outcome do not run: what they would read, only the host can tell."""
    if outcome.error is not None:
        return True
    for operation in outcome.operations:  # noqa: SIM110 - a generator costs more than the loop
        if operation[0] in _STOPS:
            return True
    return False
