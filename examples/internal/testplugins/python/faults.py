"""Plugins that misbehave as the tests of the whole gateway ask for. See README.md beside this directory."""

import asyncio
import contextlib
import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import outrigger


@dataclass
class Behaviour:
    """Configuration of the plugins that fail."""

    do: str = "nothing"
    phase: str = "access"
    ms: int = 0
    dir: str = ""


@dataclass
class ResponseBehaviour(Behaviour):
    """The same for the response phase."""

    phase: str = "response"


def mark(kong: outrigger.PDK | outrigger.AsyncPDK, phase: str) -> None:
    """Writes what can be seen, where the phase allows it."""
    if phase in ("access", "rewrite"):
        kong.service.request.set_header("X-Fault", "left")
    if phase not in ("log", "body_filter"):
        kong.response.set_header("X-Fault", "left")


def act(kong: outrigger.PDK | outrigger.AsyncPDK, config: Behaviour, phase: str) -> float:
    """Does what the configuration says; the seconds to wait after it."""
    if phase != config.phase:
        return 0
    match config.do:
        case "raise":
            raise RuntimeError("boom")
        case "raise-after-read":
            kong.request.get_header("Host")
            raise RuntimeError("boom")
        case "raise-between":
            mark(kong, phase)
            if kong.request.get_header("Host"):
                raise RuntimeError("boom")
            mark(kong, phase)
        case "raise-after-write":
            mark(kong, phase)
            raise RuntimeError("boom")
        case "raise-odd":
            raise SystemExit(3)
        case "raise-loud":
            raise RuntimeError("boom\udcff" * (1 << 18))
        case "sleep":
            return config.ms / 1000
        case "edit":
            kong.response.set_status(299)
            kong.response.set_header("X-Fault", "left")
            kong.response.add_header("X-Up", "more")
            kong.response.clear_header("X-Gone")
        case "hold":
            Path(config.dir, kong.request.get_header("X-Hold") or "").touch()
            return 0.005
        case "exit":
            kong.response.exit(418, "exited")
        case "exit-swallowed" | "exit-raise" | "exit-sleep":
            return swallow(kong, config, phase)
        case "log":
            log = kong.log
            for write in (log.debug, log.info, log.notice, log.warn, log.err, log.crit, log.alert, log.emerg):
                write("a line ", 1, " é\udcff\nof two")
        case "print":
            print("printed to stdout\nin two lines", flush=True)
            os.write(2, b"printed \xff to stderr\n")
        case "die":
            os._exit(3)
    return 0


def held(config: Behaviour) -> bool:
    """Whether nobody has released it yet."""
    return config.do == "hold" and not Path(config.dir, "release").exists()


def swallow(kong: outrigger.PDK | outrigger.AsyncPDK, config: Behaviour, phase: str) -> float:
    """Catches the exit."""
    with contextlib.suppress(BaseException):
        kong.response.exit(418, "exited")
    if config.do == "exit-raise":
        raise RuntimeError("boom")
    if config.do == "exit-sleep":
        return config.ms / 1000
    try:
        mark(kong, phase)
    except outrigger.PhaseError:
        return 0
    raise RuntimeError("a write after the exit was taken")


class Fault(outrigger.Plugin):
    """Fails in one phase."""

    name = "fault-python"
    version = "0.1.0"
    priority = 1000
    Config = Behaviour

    config: Behaviour

    def act(self, kong: outrigger.PDK, phase: str) -> None:
        """Acts, and waits in this thread."""
        wait = act(kong, self.config, phase)
        if wait:
            time.sleep(wait)
            while held(self.config):
                time.sleep(wait)
            if self.config.do in ("sleep", "hold"):
                mark(kong, phase)

    def rewrite(self, kong: outrigger.PDK) -> None:
        self.act(kong, "rewrite")

    def access(self, kong: outrigger.PDK) -> None:
        self.act(kong, "access")

    def header_filter(self, kong: outrigger.PDK) -> None:
        self.act(kong, "header_filter")

    def body_filter(self, kong: outrigger.PDK, chunk: bytes, last: bool) -> bytes | None:
        if last:
            self.act(kong, "body_filter")

    def log(self, kong: outrigger.PDK) -> None:
        self.act(kong, "log")


class FaultAsync(outrigger.Plugin):
    """The same on the event loop."""

    name = "fault-async-python"
    version = "0.1.0"
    priority = 1000
    Config = Behaviour

    config: Behaviour

    async def act(self, kong: outrigger.AsyncPDK, phase: str) -> None:
        """Acts, and waits in this task."""
        wait = act(kong, self.config, phase)
        if wait:
            await asyncio.sleep(wait)
            while held(self.config):
                await asyncio.sleep(wait)
            if self.config.do in ("sleep", "hold"):
                mark(kong, phase)

    async def rewrite(self, kong: outrigger.AsyncPDK) -> None:
        await self.act(kong, "rewrite")

    async def access(self, kong: outrigger.AsyncPDK) -> None:
        await self.act(kong, "access")

    async def header_filter(self, kong: outrigger.AsyncPDK) -> None:
        await self.act(kong, "header_filter")

    async def body_filter(self, kong: outrigger.AsyncPDK, chunk: bytes, last: bool) -> bytes | None:
        if last:
            await self.act(kong, "body_filter")

    async def log(self, kong: outrigger.AsyncPDK) -> None:
        await self.act(kong, "log")


class FaultResponse(outrigger.Plugin):
    """Fails in the response phase."""

    name = "fault-response-python"
    version = "0.1.0"
    priority = 1000
    Config = ResponseBehaviour

    config: ResponseBehaviour

    def response(self, kong: outrigger.PDK) -> None:
        wait = act(kong, self.config, "response")
        if wait:
            time.sleep(wait)


@dataclass
class LoginConfig:
    """Configuration of the plugins that authenticate."""

    do: str = "nothing"


def authenticate(kong: outrigger.PDK, config: LoginConfig) -> None:
    """Sets the consumer that a header names."""
    name = kong.request.get_header("X-User")
    if name is None:
        kong.response.exit(401, "who is there?")
    consumer = kong.client.load_consumer(name, by_username=True)
    if consumer is None:
        kong.response.exit(401, "unknown")
    kong.client.authenticate(consumer)
    if config.do == "raise":
        raise RuntimeError("boom")
    kong.service.request.set_header("X-Who", consumer.username)


class Login(outrigger.Plugin):
    """Says that it authenticates."""

    name = "login-python"
    version = "0.1.0"
    priority = 1100
    authenticates = True
    Config = LoginConfig

    config: LoginConfig

    def access(self, kong: outrigger.PDK) -> None:
        authenticate(kong, self.config)


class Sneak(outrigger.Plugin):
    """Authenticates without saying so."""

    name = "sneak-python"
    version = "0.1.0"
    priority = 1100
    Config = LoginConfig

    config: LoginConfig

    def access(self, kong: outrigger.PDK) -> None:
        authenticate(kong, self.config)


class Body(outrigger.Plugin):
    """Looks at the request body."""

    name = "body-python"
    version = "0.1.0"
    priority = 1000

    def access(self, kong: outrigger.PDK) -> None:
        try:
            body = kong.request.get_raw_body()
        except outrigger.PDKError as err:
            if kong.request.get_header("X-Catch") is None:
                raise
            kong.service.request.set_header("X-Body", err.code)
            return
        kong.service.request.set_header("X-Body", f"{hashlib.sha256(body).hexdigest()} {len(body)}")
        size = kong.request.get_header("X-Replace")
        if size is not None:
            kong.service.request.set_raw_body(b"r" * int(size))
        if kong.request.get_header("X-Raise") is not None:
            raise RuntimeError("boom")


class Need(Body):
    """The same; the body travels with the call when it is small."""

    name = "need-python"
    needs = ("request_body",)


class Sample(outrigger.Plugin):
    """Puts the JSON of a header into ctx.shared."""

    name = "sample-python"
    version = "0.1.0"
    priority = 990

    def access(self, kong: outrigger.PDK) -> None:
        kong.ctx.shared.set("sample", json.loads(kong.request.get_header("X-Sample") or ""))


class Relay(outrigger.Plugin):
    """Reads it and puts it back under another key."""

    name = "relay-python"
    version = "0.1.0"
    priority = 980

    def access(self, kong: outrigger.PDK) -> None:
        kong.ctx.shared.set("relayed", kong.ctx.shared.get("sample"))


class Show(outrigger.Plugin):
    """Sends what relay left to the upstream."""

    name = "show-python"
    version = "0.1.0"
    priority = 970

    def access(self, kong: outrigger.PDK) -> None:
        kong.service.request.set_header("X-Sample-Out", json.dumps(kong.ctx.shared.get("relayed")))
