"""Values that a call keeps under keys: ``ctx.shared`` and ``ctx.plugin``."""

from __future__ import annotations

import msgspec

from .values import decode_map_of_values


class Kept:
    """Keys with their values, each still one MessagePack value.

    Attributes:
        entries: The values by key.
        size: Bytes of all of them as max_shared counts them: encoded keys and values.
    """

    __slots__ = ("entries", "size")

    def __init__(self, raw: bytes | msgspec.Raw) -> None:
        """Takes a MessagePack map or nil; Malformed if it is neither."""
        self.entries = decode_map_of_values(raw)
        self.size = sum(_size(key, value) for key, value in self.entries.items())

    def size_with(self, key: str, value: bytes | None) -> int:
        """The size after a value has been put under a key; None removes it."""
        old = self.entries.get(key)
        return self.size - (0 if old is None else _size(key, old)) + (0 if value is None else _size(key, value))

    def put(self, key: str, value: bytes | None, size: int) -> None:
        """Puts a value under a key, or removes it; ``size`` is what size_with answered."""
        self.size = size
        if value is None:
            self.entries.pop(key, None)
        else:
            self.entries[key] = value


def _size(key: str, value: bytes) -> int:
    size = len(key) if key.isascii() else len(key.encode("utf-8", "surrogateescape"))
    return len(value) + size + (1 if size < 32 else 2 if size < 1 << 8 else 3 if size < 1 << 16 else 5)
