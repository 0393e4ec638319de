"""``import outrigger.kongcompat.pdk.kong as kong``: the type of what handlers get, under Kong's name, ``kong.kong``."""

from __future__ import annotations

from ..handle import Kong as kong  # noqa: N813 - Kong's name

__all__ = ["kong"]
