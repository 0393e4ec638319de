"""The async twin of plugins_sync."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from dataclasses import dataclass
from typing import Any

import outrigger

seen = contextvars.ContextVar("seen", default="nothing")


@dataclass
class ProbeConfig:
    mark: str = "default"


class Textless:
    """Has no text: what a span cannot report."""

    def __str__(self) -> str:
        raise ValueError("has no text")


class Probe(outrigger.Plugin):
    name = "probe"
    version = "1.2.3"
    Config = ProbeConfig

    config: ProbeConfig

    def __init__(self, config: ProbeConfig) -> None:
        super().__init__(config)
        self.kept: list[Any] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.meetings: dict[int, asyncio.Barrier] = {}

    async def configure(self) -> None:
        await asyncio.sleep(0)
        if self.config.mark == "refuse":
            raise ValueError("this mark is refused")

    async def close(self) -> None:
        print(f"closed {self.config.mark}", file=sys.stderr, flush=True)

    async def access(self, kong: outrigger.AsyncPDK) -> None:
        action = kong.request.get_header("x-do") or "mark"
        await getattr(self, f"do_{action}")(kong)

    async def do_mark(self, kong: outrigger.AsyncPDK) -> None:
        kong.response.set_header("X-Mark", self.config.mark)

    async def do_raise(self, kong: outrigger.AsyncPDK) -> None:
        raise ValueError("before any call")

    async def do_raise_after(self, kong: outrigger.AsyncPDK) -> None:
        kong.response.set_header("X-Lost", "1")
        await asyncio.sleep(0)
        raise ValueError("after a call")

    async def do_raise_between(self, kong: outrigger.AsyncPDK) -> None:
        kong.response.set_header("X-Lost", "1")
        await asyncio.sleep(0)
        if kong.request.get_method():
            raise ValueError("between")
        kong.response.set_header("X-Lost", "2")

    async def do_system_exit(self, kong: outrigger.AsyncPDK) -> None:
        sys.exit(3)

    async def do_sleep(self, kong: outrigger.AsyncPDK) -> None:
        async with asyncio.timeout(10):
            await asyncio.sleep(float(kong.request.get_query_arg("s") or 0.3))  # type: ignore[arg-type]
        kong.response.set_header("X-Slept", "1")

    async def do_meet(self, kong: outrigger.AsyncPDK) -> None:
        size = int(str(kong.request.get_query_arg("n")))
        async with asyncio.timeout(20):
            await self.meetings.setdefault(size, asyncio.Barrier(size)).wait()
        kong.response.set_header("X-Met", size)

    async def do_gate(self, kong: outrigger.AsyncPDK) -> None:
        name = str(kong.request.get_query_arg("gate"))
        await self.gates.setdefault(name, asyncio.Event()).wait()
        kong.response.set_header("X-Gate", name)

    async def do_open(self, kong: outrigger.AsyncPDK) -> None:
        self.gates.setdefault(str(kong.request.get_query_arg("gate")), asyncio.Event()).set()

    async def do_body(self, kong: outrigger.AsyncPDK) -> None:
        body = await kong.request.get_raw_body()
        kong.response.set_header("X-Length", len(body))
        kong.service.request.set_raw_body(body[::-1])

    async def do_asks(self, kong: outrigger.AsyncPDK) -> None:
        names = await asyncio.gather(*(kong.client.load_consumer(name, True) for name in ("a", "b", "c")))
        kong.response.set_header("X-Names", ",".join("-" if one is None else one.username for one in names))

    async def do_ask_threads(self, kong: outrigger.AsyncPDK) -> None:
        names = [f"n{i}" for i in range(int(str(kong.request.get_query_arg("n"))))]
        found = await asyncio.gather(*(kong.client.load_consumer(name, True) for name in names))
        pairs = (f"{name}={'-' if one is None else one.username}" for name, one in zip(names, found, strict=True))
        kong.response.set_header("X-Found", ",".join(sorted(pairs)))

    async def do_flood(self, kong: outrigger.AsyncPDK) -> None:
        if kong.request.get_query_arg("values"):
            kong.response.set_header("X-A", ["1"] * (1 << 17))
        for _ in range(8193):
            kong.response.clear_header("X-A")

    async def do_ask_error(self, kong: outrigger.AsyncPDK) -> None:
        try:
            await kong.request.get_raw_body()
        except outrigger.DataError as err:
            kong.response.exit(413, err.message)

    async def do_swell(self, kong: outrigger.AsyncPDK) -> None:
        kong.response.set_header("X-Large", ["x" * (8 << 20)] * 2)

    async def do_textless(self, kong: outrigger.AsyncPDK) -> None:
        kong.tracing.start_span("work", {"odd": Textless()})
        if kong.request.get_query_arg("exit"):
            kong.response.exit(204)

    async def do_exit(self, kong: outrigger.AsyncPDK) -> None:
        kong.response.set_header("X-Before", "1")
        kong.response.exit(403, {"message": "no"})

    async def do_exit_and_stay(self, kong: outrigger.AsyncPDK) -> None:
        try:
            kong.response.exit(403)
        except BaseException:
            await self.gates.setdefault("stay", asyncio.Event()).wait()

    async def do_exit_in_thread(self, kong: outrigger.AsyncPDK) -> None:
        def leave() -> None:
            try:
                kong.response.exit(418)
            except BaseException:
                return

        await asyncio.to_thread(leave)
        await self.gates.setdefault("thread", asyncio.Event()).wait()

    async def do_keep(self, kong: outrigger.AsyncPDK) -> None:
        self.kept.append(kong)

    async def do_use_kept(self, kong: outrigger.AsyncPDK) -> None:
        try:
            self.kept.pop().request.get_header("x")
        except outrigger.PhaseError as err:
            kong.response.set_header("X-Error", str(err))

    async def do_log(self, kong: outrigger.AsyncPDK) -> None:
        kong.log.debug("a debug line")
        kong.log.info("number ", 1, " ", None, " ", True)
        kong.log.err("bytes ", b"\xff")
        print("printed")

    async def do_many_logs(self, kong: outrigger.AsyncPDK) -> None:
        for i in range(1000):
            kong.log.info("line ", i)

    async def do_echo(self, kong: outrigger.AsyncPDK) -> None:
        kong.service.request.set_header("X-Echo", kong.request.get_header("x-raw") or "")
        kong.ctx.shared.set("copy", kong.ctx.shared.get("value"))

    async def do_gateway(self, kong: outrigger.AsyncPDK) -> None:
        """What the call and the hello carry beside the request, and operations of every shape."""
        seen = [kong.plugin.get_id(), kong.cluster.get_id(), kong.node.get_version(), kong.nginx.get_tls1_version_str()]
        seen += [kong.ctx.plugin.get("count"), [group.name for group in kong.client.get_consumer_groups()]]
        seen.append(await kong.client.tls.get_full_client_certificate_chain())
        seen.append(await kong.vault.get("{vault://env/x}"))
        await kong.service.set_upstream("pool")
        kong.client.set_authenticated_consumer_groups([outrigger.ConsumerGroup(id="g-2", name="two")], "append")
        kong.ctx.plugin.set("count", 2)
        kong.ctx.shared.set("seen", seen)
        kong.service.set_target("::1", 8080)
        kong.telemetry.log("probe", {"a": 1}, "kind", "text")
        kong.cache.set("k", {"v": b"\x00"}, 1.5)
        with kong.tracing.start_span("work", {"size": 3}):
            kong.log.notice("working")

    async def do_large(self, kong: outrigger.AsyncPDK) -> None:
        kong.response.exit(200, b"z" * 5_000_000)

    async def do_wait_cancelled(self, kong: outrigger.AsyncPDK) -> None:
        print("waits for the cancel", file=sys.stderr, flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            try:
                kong.request.get_method()
            except outrigger.PhaseError as err:
                print(f"sealed: {err}", file=sys.stderr, flush=True)

    async def do_context(self, kong: outrigger.AsyncPDK) -> None:
        kong.response.set_header("X-Seen", seen.get())
        seen.set("somebody")

    async def body_filter(self, kong: outrigger.AsyncPDK, chunk: bytes, last: bool) -> bytes | None:
        if chunk == b"same":
            return None
        return chunk.upper() + (b"!" if last else b"")

    async def log(self, kong: outrigger.AsyncPDK) -> None:
        kong.log.notice("status ", kong.response.get_status(), " from ", kong.response.get_source())
