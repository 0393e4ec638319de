"""Plugins that misbehave in every way that the process tests need. One handler each; the request says what to do."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import outrigger

print("plugins are being imported")  # must not reach the handshake's descriptor


@dataclass
class ProbeConfig:
    mark: str = "default"
    level: int = outrigger.setting(default=1, minimum=0, maximum=9)


class Textless:
    """Has no text: what a span cannot report."""

    def __str__(self) -> str:
        raise ValueError("has no text")


class Probe(outrigger.Plugin):
    name = "probe"
    version = "1.2.3"
    priority = 7
    Config = ProbeConfig

    config: ProbeConfig
    kept: list[Any] = []  # noqa: RUF012 - shared by all instances on purpose
    gates: dict[str, threading.Event] = {}  # noqa: RUF012
    meetings: dict[int, threading.Barrier] = {}  # noqa: RUF012
    lock = threading.Lock()

    def configure(self) -> None:
        if self.config.mark == "refuse":
            raise ValueError("this mark is refused")

    def close(self) -> None:
        print(f"closed {self.config.mark}", file=sys.stderr, flush=True)

    def access(self, kong: outrigger.PDK) -> None:
        action = kong.request.get_header("x-do") or "mark"
        getattr(self, f"do_{action}")(kong)

    def do_mark(self, kong: outrigger.PDK) -> None:
        kong.response.set_header("X-Mark", self.config.mark)

    def do_raise(self, kong: outrigger.PDK) -> None:
        raise ValueError("before any call")

    def do_raise_after(self, kong: outrigger.PDK) -> None:
        kong.response.set_header("X-Lost", "1")
        raise ValueError("after a call")

    def do_raise_between(self, kong: outrigger.PDK) -> None:
        kong.response.set_header("X-Lost", "1")
        if kong.request.get_method():
            raise ValueError("between")
        kong.response.set_header("X-Lost", "2")

    def do_system_exit(self, kong: outrigger.PDK) -> None:
        sys.exit(3)

    def do_sleep(self, kong: outrigger.PDK) -> None:
        time.sleep(float(kong.request.get_query_arg("s") or 0.3))  # type: ignore[arg-type]
        kong.response.set_header("X-Slept", "1")

    def do_meet(self, kong: outrigger.PDK) -> None:
        size = int(str(kong.request.get_query_arg("n")))
        with self.lock:
            meeting = self.meetings.setdefault(size, threading.Barrier(size))
        meeting.wait(20)
        kong.response.set_header("X-Met", size)

    def do_compute(self, kong: outrigger.PDK) -> None:
        name = str(kong.request.get_query_arg("gate"))
        gate = self.gates.setdefault(name, threading.Event())
        until = time.monotonic() + 20
        while not gate.is_set():
            assert time.monotonic() < until
        kong.response.set_header("X-Gate", name)

    def do_gate(self, kong: outrigger.PDK) -> None:
        name = str(kong.request.get_query_arg("gate"))
        gate = self.gates.setdefault(name, threading.Event())
        assert gate.wait(20)
        kong.response.set_header("X-Gate", name)

    def do_open(self, kong: outrigger.PDK) -> None:
        self.gates.setdefault(str(kong.request.get_query_arg("gate")), threading.Event()).set()

    def do_body(self, kong: outrigger.PDK) -> None:
        body = kong.request.get_raw_body()
        kong.response.set_header("X-Length", len(body))
        kong.service.request.set_raw_body(body[::-1])

    def do_asks(self, kong: outrigger.PDK) -> None:
        names = [kong.client.load_consumer(name, True) for name in ("a", "b", "c")]
        kong.response.set_header("X-Names", ",".join("-" if one is None else one.username for one in names))

    def do_ask_error(self, kong: outrigger.PDK) -> None:
        try:
            kong.request.get_raw_body()
        except outrigger.DataError as err:
            kong.response.exit(413, err.message)

    def do_ask_threads(self, kong: outrigger.PDK) -> None:
        found: list[str] = []

        def ask(name: str) -> None:
            consumer = kong.client.load_consumer(name, True)
            found.append(f"{name}={'-' if consumer is None else consumer.username}")

        threads = [threading.Thread(target=ask, args=(f"n{i}",)) for i in range(int(str(kong.request.get_query_arg("n"))))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kong.response.set_header("X-Found", ",".join(sorted(found)))

    def do_flood(self, kong: outrigger.PDK) -> None:
        if kong.request.get_query_arg("values"):
            kong.response.set_header("X-A", ["1"] * (1 << 17))
        for _ in range(8193):
            kong.response.clear_header("X-A")

    def do_swell(self, kong: outrigger.PDK) -> None:
        kong.response.set_header("X-Large", ["x" * (8 << 20)] * 2)

    def do_textless(self, kong: outrigger.PDK) -> None:
        kong.tracing.start_span("work", {"odd": Textless()})
        if kong.request.get_query_arg("exit"):
            kong.response.exit(204)

    def do_exit(self, kong: outrigger.PDK) -> None:
        kong.response.set_header("X-Before", "1")
        kong.response.exit(403, {"message": "no"})

    def do_exit_and_stay(self, kong: outrigger.PDK) -> None:
        try:
            kong.response.exit(403)
        except BaseException:
            self.do_gate_quietly(kong)

    def do_gate_quietly(self, kong: outrigger.PDK) -> None:
        assert self.gates.setdefault("stay", threading.Event()).wait(20)

    def do_exit_in_thread(self, kong: outrigger.PDK) -> None:
        def leave() -> None:
            try:
                kong.response.exit(418)
            except BaseException:
                return

        thread = threading.Thread(target=leave)
        thread.start()
        thread.join()
        assert self.gates.setdefault("thread", threading.Event()).wait(20)

    def do_keep(self, kong: outrigger.PDK) -> None:
        self.kept.append(kong)

    def do_use_kept(self, kong: outrigger.PDK) -> None:
        try:
            self.kept.pop().request.get_header("x")
        except outrigger.PhaseError as err:
            kong.response.set_header("X-Error", str(err))

    def do_log(self, kong: outrigger.PDK) -> None:
        kong.log.debug("a debug line")
        kong.log.info("number ", 1, " ", None, " ", True)
        kong.log.err("bytes ", b"\xff")
        print("printed")

    def do_many_logs(self, kong: outrigger.PDK) -> None:
        for i in range(1000):
            kong.log.info("line ", i)

    def do_echo(self, kong: outrigger.PDK) -> None:
        kong.service.request.set_header("X-Echo", kong.request.get_header("x-raw") or "")
        kong.ctx.shared.set("copy", kong.ctx.shared.get("value"))

    def do_gateway(self, kong: outrigger.PDK) -> None:
        """What the call and the hello carry beside the request, and operations of every shape."""
        seen = [kong.plugin.get_id(), kong.cluster.get_id(), kong.node.get_version(), kong.nginx.get_tls1_version_str()]
        seen += [kong.ctx.plugin.get("count"), [group.name for group in kong.client.get_consumer_groups()]]
        seen.append(kong.client.tls.get_full_client_certificate_chain())
        seen.append(kong.vault.get("{vault://env/x}"))
        kong.service.set_upstream("pool")
        kong.client.set_authenticated_consumer_groups([outrigger.ConsumerGroup(id="g-2", name="two")], "append")
        kong.ctx.plugin.set("count", 2)
        kong.ctx.shared.set("seen", seen)
        kong.service.set_target("::1", 8080)
        kong.telemetry.log("probe", {"a": 1}, "kind", "text")
        kong.cache.set("k", {"v": b"\x00"}, 1.5)
        with kong.tracing.start_span("work", {"size": 3}):
            kong.log.notice("working")

    def do_large(self, kong: outrigger.PDK) -> None:
        kong.response.exit(200, b"z" * 5_000_000)

    def do_wait_cancelled(self, kong: outrigger.PDK) -> None:
        # Ends when the call is sealed: every use raises then.
        print("waits for the cancel", file=sys.stderr, flush=True)
        while True:
            try:
                kong.request.get_method()
            except outrigger.PhaseError as err:
                print(f"sealed: {err}", file=sys.stderr, flush=True)
                raise
            time.sleep(0.001)

    def body_filter(self, kong: outrigger.PDK, chunk: bytes, last: bool) -> bytes | None:
        if chunk == b"same":
            return None
        return chunk.upper() + (b"!" if last else b"")

    def log(self, kong: outrigger.PDK) -> None:
        kong.log.notice("status ", kong.response.get_status(), " from ", kong.response.get_source())


class Waiter(outrigger.Plugin):
    """Declares that it waits."""

    name = "waiter"
    version = "1"
    blocking = True
    meeting = threading.Barrier(16)

    def access(self, kong: outrigger.PDK) -> None:
        self.meeting.wait(20)
