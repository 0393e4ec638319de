"""Header lines of a message with the writes of a handler: all of them, and the first of each name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from .._values import header_key, known_keys
from .text import text_of
from .values import Malformed

SET, ADD, CLEAR = 1, 2, 3
"""Operations on request headers; those on response headers have codes 20 higher. docs/wire.md section 6."""

RESPONSE: Final = 20


class HeaderLines:
    """Header lines in order. They never change: writing makes new lines, so that reading needs no lock.

    Attributes:
        names: Of every line, in comparing form: lower case with dashes.
        values: Of every line, as they travel.
        seen: How many of the call's operations they show.
    """

    __slots__ = ("names", "seen", "values")

    def __init__(self, names: list[str], values: list[Any], seen: int = 0) -> None:
        self.names = names
        self.values = values
        self.seen = seen

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
        key = header_key(name)
        return text_of(self.values[self.names.index(key)]) if key in self.names else None

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

    def after(self, operations: Sequence[list[Any]], family: int) -> HeaderLines:
        """The lines after operations; those of other families change nothing. ``family`` is 0 for a request, RESPONSE for a response."""
        lines = self
        for operation in operations:
            code = operation[0] - family
            if code == SET:
                values = _values_of(operation, family)
                lines = lines.with_set(operation[1], values) if values else lines.without(operation[1])
            elif code == ADD and not family and header_key(operation[1]) == "host":
                lines = lines.with_set(operation[1], operation[2][-1:])
            elif code == ADD:
                lines = lines.with_added(operation[1], operation[2])
            elif code == CLEAR:
                lines = lines.without(operation[1])
        return lines


def _values_of(operation: list[Any], family: int) -> Sequence[bytes]:
    """The values that an operation sets. A request has one Host: the last wins."""
    values = operation[2]
    return values[-1:] if len(values) > 1 and not family and header_key(operation[1]) == "host" else values


UNSOUGHT: Final = object()
"""Marks a header that nobody has asked for."""


class FirstValues:
    """The first value of each header, which is what most handlers want: a write changes one of them, and no list.

    Attributes:
        found: Values by comparing name, None for a header without lines: those that were asked for or written. Whoever asks for another
            adds it; nobody but ``follow`` changes one.
        seen: How many of the call's operations they show.
    """

    __slots__ = ("_lines", "found", "seen")

    def __init__(self, lines: HeaderLines, before: Sequence[list[Any]] = (), family: int = 0) -> None:
        """Of lines that show none of the call's operations. ``before`` are those of the steps before."""
        self.found: dict[str | None, Any] = {}
        self.seen = 0
        self._lines = lines
        if before:
            self.follow(before, family)
            self.seen = 0

    def handed(self) -> FirstValues:
        """The values for the next step, which has no operations yet. This one's step has ended: nobody writes to it any more."""
        after = FirstValues(self._lines)
        after.found = self.found
        return after

    def get(self, name: str) -> str | None:
        """First value of a name."""
        key = known_keys.get(name) or header_key(name)
        text = self.found.get(key, UNSOUGHT)
        if text is UNSOUGHT:
            names = self._lines.names
            if key not in names:
                return self.found.setdefault(key, None)
            value = self._lines.values[names.index(key)]
            text = self.found.setdefault(key, value if type(value) is str else value.decode("utf-8", "surrogateescape"))
        return text

    def follow(self, operations: Sequence[list[Any]], family: int) -> None:
        """Takes in the operations of the call that it has not seen; family as for HeaderLines. Under the lock of the calls."""
        found, seen = self.found, len(operations)
        for operation in operations[self.seen : seen]:
            code = operation[0] - family
            if code == CLEAR:
                found[header_key(operation[1])] = None
            elif code in (SET, ADD):
                name, values = operation[1], operation[2]
                key = known_keys.get(name) or header_key(name)
                if key == "host" and not family and values:  # a request has one: the last wins
                    found[key] = text_of(values[-1])
                elif code == SET:
                    found[key] = text_of(values[0]) if values else None
                elif values and self.get(name) is None:
                    found[key] = text_of(values[0])
        self.seen = seen


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
