"""What Kong's PDK raises, under its name there."""

from __future__ import annotations

from .._errors import PDKError as PDKException

__all__ = ["PDKException"]
