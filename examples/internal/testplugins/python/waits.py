"""Plugins that wait until nobody waits for them, and that may hang while they are configured."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import outrigger


@dataclass
class WaitsConfig:
    """Where the marks are made, and whether configure hangs until there is one."""

    dir: str = ""
    hang: bool = False


def begin(kong: outrigger.PDK | outrigger.AsyncPDK, directory: str) -> str:
    """Says that the handler waits, unless it has nothing to wait for; the name of what it waits as."""
    name = kong.request.get_header("X-Hold")
    if name is None:
        kong.response.set_header("X-Waits", "served")
        return ""
    kong.service.request.set_header("X-Fault", "left")
    Path(directory, f"began-{name}").touch()
    return name


def stop(kong: outrigger.PDK | outrigger.AsyncPDK, directory: str, name: str) -> None:
    """Says that it has stopped, and what became of a late write."""
    try:
        kong.service.request.set_header("X-Fault", "late")
    except outrigger.PhaseError:
        Path(directory, f"stopped-{name}").write_text("refused")
    else:
        Path(directory, f"stopped-{name}").write_text("taken")


class Waits(outrigger.Plugin):
    """Looks at kong.cancelled."""

    name = "waits-python"
    version = "0.1.0"
    priority = 1000
    Config = WaitsConfig

    config: WaitsConfig

    def configure(self) -> None:
        while self.config.hang and not Path(self.config.dir, "release").exists():
            time.sleep(0.005)

    def access(self, kong: outrigger.PDK) -> None:
        if name := begin(kong, self.config.dir):
            while not kong.cancelled:
                time.sleep(0.005)
            stop(kong, self.config.dir, name)


class WaitsAsync(outrigger.Plugin):
    """Is cancelled, as tasks are."""

    name = "waits-async-python"
    version = "0.1.0"
    priority = 1000
    Config = WaitsConfig

    config: WaitsConfig

    async def configure(self) -> None:
        while self.config.hang and not Path(self.config.dir, "release").exists():
            await asyncio.sleep(0.005)

    async def access(self, kong: outrigger.AsyncPDK) -> None:
        if name := begin(kong, self.config.dir):
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                if kong.cancelled:
                    stop(kong, self.config.dir, name)
