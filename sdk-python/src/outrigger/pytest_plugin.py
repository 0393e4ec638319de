"""The plugin for pytest, which the package registers: fixtures for tests of Outrigger plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .testing import Gateway


@pytest.fixture
def outrigger_gateway() -> Iterator[Callable[..., Gateway]]:
    """Makes gateways in memory from plugin classes, with the arguments of ``outrigger.testing.Gateway``, and closes them at the end."""
    from .testing import Gateway

    made: list[Gateway] = []

    def make(*plugins: Any, **options: Any) -> Gateway:
        gateway = Gateway(*plugins, **options)
        made.append(gateway)
        return gateway

    yield make
    for gateway in made:
        gateway.close()
