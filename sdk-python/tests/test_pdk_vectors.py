"""Runs the vectors of proto/vectors/pdk, which every language runs, through the blocking PDK and through AsyncPDK."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from vectors import arguments, call_fields, check, operation, packed, raw, value_of

from outrigger import PDKError, Span
from outrigger._runtime.call import Call
from outrigger._runtime.handlers import run, run_async
from outrigger._runtime.node import Entity, Node
from outrigger._runtime.state import Exit
from outrigger._runtime.values import decode_value
from outrigger._runtime.wire import Answer, Ended, HostHello, decode_call, encode_outcome

DIRECTORY = Path(__file__).parents[2] / "proto" / "vectors" / "pdk"
RECORD_ID = "7a1f0000-0000-4000-8000-000000000001"


def load() -> Iterator[Any]:
    for path in sorted(DIRECTORY.glob("*.json")):
        for vector in json.loads(path.read_text("utf-8"))["vectors"]:
            yield pytest.param(vector, id=f"{path.stem}: {vector['name']}")


VECTORS = list(load())


class Port:
    """The host of one vector."""

    def __init__(self, vector: Any) -> None:
        usual = {"trusted_cidrs": [], "log_level": 0, "max_body": 1 << 20, "max_shared": 64 << 10, "gateway_version": "0.2.0"}
        node = {**usual, "telemetry_logs": True, **vector.get("node", {})}
        self.node = Node(HostHello(node_id="6f8b0c5e-0000-4000-8000-000000000001", hostname="gw", **node))
        self.asks: list[Any] = list(vector.get("asks", []))
        self.logs: list[tuple[int, str]] = []
        self.sealed: Ended | None = None
        self.lock = threading.Lock()

    def log(self, call: Any, level: int, message: str) -> None:
        self.logs.append((level, message))

    def deliver(self, call: Any, outcome: Ended) -> None:
        assert self.sealed is None, "two outcomes"
        self.sealed = outcome

    def lied(self, call: Any, message: str) -> None:
        raise AssertionError(message)

    def ask(self, call: Any, function: int, args: list[Any]) -> Answer:
        with self.lock:
            return self.answer(function, args)

    def answer(self, function: int, args: list[Any]) -> Answer:
        assert self.asks, f"question {function} was not expected"
        ask = self.asks.pop(0)
        assert function == ask["ask"]
        check(args, ask["args"], "args of a question")
        if "error" in ask:
            return Answer(error=(ask["error"][0], ask["error"][1]))
        return Answer(value=value_of(ask["value"]))

    async def ask_async(self, call: Any, function: int, args: list[Any]) -> Answer:
        await asyncio.sleep(0)
        return self.answer(function, args)


def call_of(vector: Any, port: Port) -> Call:
    fields, documents = call_fields(vector)
    slots = [None if document is None else Entity(document) for document in documents]
    step = SimpleNamespace(instance=SimpleNamespace(record_id=vector.get("plugin_id", RECORD_ID)))
    wire = decode_call(packed(fields))
    return Call(wire, 1, port, step, 1 << wire.phase, slots)


class Handler:
    """A handler that makes the calls of a vector, as the engine runs it."""

    def __init__(self, vector: Any, asynchronous: bool) -> None:
        self.vector = vector
        self.body_filter = vector["phase"] == "body_filter"
        self.handler = self.awaited if asynchronous else self.blocking
        self.kong: Any = None
        self.spans: list[Span] = []
        self.faults: list[BaseException] = []

    def blocking(self, kong: Any, *_: object) -> Any:
        self.kong = kong
        try:
            if self.vector.get("together"):
                threads = [threading.Thread(target=self.guarded, args=(one,)) for one in self.vector["calls"]]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(20)
            else:
                for one in self.vector["calls"]:
                    at_once(self.make(one))
        except Exception as fault:  # else the engine would make a failed outcome of it
            self.faults.append(fault)
        return self.result()

    def guarded(self, call: Any) -> None:
        try:
            at_once(self.make(call))
        except BaseException as fault:
            self.faults.append(fault)

    async def awaited(self, kong: Any, *_: object) -> Any:
        self.kong = kong
        try:
            if self.vector.get("together"):
                await asyncio.gather(*(self.make(one) for one in self.vector["calls"]))
            else:
                for one in self.vector["calls"]:
                    await self.make(one)
        except Exception as fault:
            self.faults.append(fault)
        return self.result()

    def result(self) -> Any:
        return value_of(self.vector["returns"]) if "returns" in self.vector else None

    async def make(self, call: Any) -> None:
        """One call of a function, with what it must answer or raise."""
        args = arguments(call)
        function: Any = self.kong
        if call["fn"].startswith("span."):
            function = SimpleNamespace(span=self.spans[args.pop(0) - 1])
        for part in call["fn"].split("."):
            function = getattr(function, part)
        where = f"{call['fn']}{tuple(call.get('args', ()))}"
        try:
            result = function(*args)
            if inspect.isawaitable(result):
                result = await result
        except PDKError as refused:
            check([refused.code, refused.function], [call.get("error"), call["fn"]], f"{where}: {refused}")
            return
        except Exit:
            assert "error" not in call, f"{where} should be refused"
            if not call.get("swallow"):
                raise
            return
        assert "error" not in call, f"{where} answered {result!r}"
        if call["fn"] == "tracing.start_span":
            self.spans.append(result)
        if "result" in call:
            check(result, call["result"], where)


def at_once(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("the blocking PDK gave an awaitable that waits")


@pytest.mark.parametrize("vector", VECTORS)
def test_blocking(vector: Any) -> None:
    port = Port(vector)
    handler = Handler(vector, asynchronous=False)
    outcome = run(call_of(vector, port), cast("Any", handler))
    verify(vector, port, handler, outcome)


@pytest.mark.parametrize("vector", VECTORS)
def test_async(vector: Any) -> None:
    port = Port(vector)
    handler = Handler(vector, asynchronous=True)
    outcome = asyncio.run(run_async(call_of(vector, port), cast("Any", handler)))
    verify(vector, port, handler, outcome)


def verify(vector: Any, port: Port, handler: Handler, outcome: Ended | None) -> None:
    for fault in handler.faults:
        raise fault
    assert (outcome is None) == (port.sealed is not None)
    outcome = port.sealed or outcome
    assert outcome is not None
    assert outcome.error is None, outcome.error
    for one in vector.get("late", []):
        asyncio.run(handler.make(one))
    assert not port.asks, "questions were not put"

    # What travels, not what the engine keeps.
    frames = encode_outcome(1, outcome)
    _, _, operations, body = decode_value(frames[-1][16:])
    found = [operation(one) for one in operations]
    expected = vector["ops"]
    assert len(found) == len(expected), found
    if vector.get("together"):
        found, expected = sorted(found, key=repr), sorted(expected, key=lambda one: repr(operation(value_of(one))))
    for one, other in zip(found, expected, strict=True):
        check_operation(one, other)
    check(body, vector.get("body"), "body")

    logs = vector.get("logs", [])
    assert len(port.logs) == len(logs), port.logs
    for (level, message), wanted in zip(port.logs, logs, strict=True):
        check([level, message], wanted if isinstance(wanted, list) else [wanted, message], "log")


def check_operation(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected), f"{found}, expected {expected}"
    for i, item in enumerate(expected):
        at_hand = raw(found[i]) if isinstance(found[i], str) and isinstance(value_of(item), bytes) else found[i]  # a message spelt in hex
        check(at_hand, item, f"operation {found[0]} at {i}")


def test_vectors_are_there() -> None:
    print(f"{len(VECTORS)} vectors")
    assert len(VECTORS) >= 300
