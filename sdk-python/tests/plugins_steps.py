"""Plugins whose calls travel together, for test_steps.py. What a step does stands in its configuration."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import outrigger


@dataclass
class ActsConfig:
    """Names of methods with their arguments, each a list."""

    acts: list[Any] = outrigger.setting(default=[], description="what the handler does")


class Acts(outrigger.Plugin):
    """Does the things that ``acts`` lists, in order."""

    name = "acts"
    version = "1"
    Config = ActsConfig

    config: ActsConfig

    def access(self, kong: outrigger.PDK) -> None:
        for act, *args in self.config.acts:
            getattr(self, act)(kong, *args)

    def log(self, kong: outrigger.PDK) -> None:
        self.access(kong)

    def mark(self, kong: Any, value: str) -> None:
        kong.service.request.set_header("X-Mark", f"{value} after {kong.request.get_header('x-mark')}")

    def share(self, kong: Any, value: str) -> None:
        kong.ctx.shared.set("k", [*(kong.ctx.shared.get("k") or []), value])

    def keep(self, kong: Any) -> None:
        kong.service.request.set_header("X-Kept", str(kong.ctx.plugin.get("mine")))
        kong.ctx.plugin.set("mine", "written")

    def body(self, kong: Any) -> None:
        kong.service.request.set_header("X-Body", kong.request.get_raw_body())

    def threaded_body(self, kong: Any) -> None:
        thread = threading.Thread(target=self.body, args=(kong,))
        thread.start()
        thread.join()

    def leave_ask(self, kong: Any, asked: str) -> None:
        threading.Thread(target=self.ask_alone, args=(kong,)).start()
        while not Path(asked).exists():
            time.sleep(0.005)

    def ask_alone(self, kong: Any) -> None:
        with contextlib.suppress(outrigger.PDKError):
            kong.request.get_raw_body()

    def entry(self, kong: Any) -> None:
        kong.log.warn(kong.log.serialize())

    def serialized(self, kong: Any) -> None:
        kong.log.set_serialize_value("a", 1)

    def say(self, kong: Any, text: str) -> None:
        kong.log.err(text)

    def wait(self, kong: Any, seconds: float) -> None:
        time.sleep(seconds)

    def wait_for(self, kong: Any, path: str) -> None:
        while not Path(path).exists():
            time.sleep(0.005)

    def fail(self, kong: Any) -> None:
        raise ValueError("on purpose")

    def leave(self, kong: Any) -> None:
        kong.response.exit(418)


class AsyncActs(outrigger.Plugin):
    """Like Acts, on the event loop."""

    name = "async-acts"
    version = "1"
    Config = ActsConfig

    config: ActsConfig

    async def access(self, kong: outrigger.AsyncPDK) -> None:
        for act, *args in self.config.acts:
            if act == "body":
                kong.service.request.set_header("X-Body", await kong.request.get_raw_body())
            elif act == "leave_ask":
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(kong.request.get_raw_body(), 0.01)
            elif act == "wait":
                await asyncio.sleep(args[0])
            elif act == "wait_for":
                while not Path(args[0]).exists():
                    await asyncio.sleep(0.005)
            else:
                getattr(Acts, act)(cast("Acts", self), kong, *args)
