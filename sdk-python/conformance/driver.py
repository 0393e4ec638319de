"""The drivers of the Python SDK: plugins that make the calls of a vector and say what came of each. docs/conformance.md says how drivers
and runner talk. One has ``def`` handlers, the other ``async def`` ones.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

from calls import Caller, Results
from spelling import value_of

import outrigger

TARDINESS, DYING = 3.0, 1.0
"""Seconds that a handler takes which is late, and that one runs before it ends its process."""


@dataclass
class DriverConfig:
    """A vector, as JSON text, and where reports go: a unix socket, and the name of this run there."""

    vector: str
    socket: str
    run: str


class _Driver(outrigger.Plugin):
    version = "0.1.0"
    authenticates = True
    Config = DriverConfig

    config: DriverConfig
    vector: dict[str, Any]

    def configure(self) -> None:
        self.vector = json.loads(self.config.vector)

    @property
    def late(self) -> list[Any]:
        return self.vector.get("late", [])

    def end(self) -> float:
        """Ends the handler as the vector says; otherwise the seconds that it takes."""
        match self.vector.get("ends"):
            case "failed":
                raise RuntimeError("the vector ends so")
            case "killed":
                return DYING
            case "late":
                return TARDINESS
        return 0

    def die(self) -> None:
        """Ends the process if the vector says so."""
        if self.vector.get("ends") == "killed":
            os.kill(os.getpid(), signal.SIGKILL)

    def line(self, results: Results) -> bytes:
        return json.dumps({"run": self.config.run, "results": results}).encode() + b"\n"


class SyncDriver(_Driver):
    """The driver with ``def`` handlers."""

    name = "conformance-python"

    def rewrite(self, kong: outrigger.PDK) -> None:
        self.handle(kong)

    def access(self, kong: outrigger.PDK) -> None:
        self.handle(kong)

    def response(self, kong: outrigger.PDK) -> None:
        self.handle(kong)

    def header_filter(self, kong: outrigger.PDK) -> None:
        self.handle(kong)

    def log(self, kong: outrigger.PDK) -> None:
        self.handle(kong)

    def body_filter(self, kong: outrigger.PDK, chunk: bytes, last: bool) -> bytes | None:
        self.handle(kong)
        return value_of(self.vector.get("returns"))

    def handle(self, kong: outrigger.PDK) -> None:
        caller = Caller(kong)
        results, thrown = caller.run(self.vector)
        runner = socket.socket(socket.AF_UNIX)
        runner.connect(self.config.socket)
        runner.sendall(self.line(results))
        if self.late:
            threading.Thread(target=self.linger, args=(caller, runner)).start()
        else:
            runner.close()
        time.sleep(self.end())
        self.die()
        if thrown is not None:
            raise thrown

    def linger(self, caller: Caller, runner: socket.socket) -> None:
        """Makes the late calls once the runner says that the handler is over for it."""
        with runner:
            if runner.recv(1):
                runner.sendall(self.line(caller.all(self.late)[0]))


class AsyncDriver(_Driver):
    """The driver with ``async def`` handlers."""

    name = "conformance-python-async"

    def __init__(self, config: DriverConfig) -> None:
        super().__init__(config)
        self.lingering: set[asyncio.Task[None]] = set()

    async def rewrite(self, kong: outrigger.AsyncPDK) -> None:
        await self.handle(kong)

    async def access(self, kong: outrigger.AsyncPDK) -> None:
        await self.handle(kong)

    async def response(self, kong: outrigger.AsyncPDK) -> None:
        await self.handle(kong)

    async def header_filter(self, kong: outrigger.AsyncPDK) -> None:
        await self.handle(kong)

    async def log(self, kong: outrigger.AsyncPDK) -> None:
        await self.handle(kong)

    async def body_filter(self, kong: outrigger.AsyncPDK, chunk: bytes, last: bool) -> bytes | None:
        await self.handle(kong)
        return value_of(self.vector.get("returns"))

    async def handle(self, kong: outrigger.AsyncPDK) -> None:
        caller = Caller(kong)
        thrown: BaseException | None = None
        if self.vector.get("together"):
            made = await asyncio.gather(*map(caller.make_async, self.vector["calls"]))
            results = [result for result, _ in made]
        else:
            results, thrown = await caller.all_async(self.vector["calls"])
        reader, writer = await asyncio.open_unix_connection(self.config.socket)
        writer.write(self.line(results))
        await writer.drain()
        if self.late:
            task = asyncio.create_task(self.linger(caller, reader, writer))
            self.lingering.add(task)
            task.add_done_callback(self.lingering.discard)
        else:
            writer.close()
        await asyncio.sleep(self.end())
        self.die()
        if thrown is not None:
            raise thrown

    async def linger(self, caller: Caller, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Makes the late calls once the runner says that the handler is over for it."""
        if await reader.read(1):
            results, _ = await caller.all_async(self.late)
            writer.write(self.line(results))
            await writer.drain()
        writer.close()


plugins = [SyncDriver, AsyncDriver]
