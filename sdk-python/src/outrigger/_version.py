"""Version of the SDK, as the host learns it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _installed() -> str:
    try:
        return version("outrigger-pdk")
    except PackageNotFoundError:  # run from a source tree
        return "0.0.0"


VERSION = _installed()
