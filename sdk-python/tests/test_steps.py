"""Calls of several steps and answers ahead of their asks, over both carriers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grpcdriver import GrpcLane
from hostdriver import Lane, Pending, PluginServer, call_fields

AnyLane = Lane | GrpcLane
PLUGINS = Path(__file__).parent / "plugins_steps.py"
NUMBERS = itertools.count(100)


@pytest.fixture(scope="module")
def server() -> Iterator[PluginServer]:
    with PluginServer(PLUGINS) as server:
        yield server


@pytest.fixture(params=["msgpack", "grpc"])
def lane(server: PluginServer, request: pytest.FixtureRequest) -> Iterator[AnyLane]:
    with server.lane() if request.param == "msgpack" else GrpcLane(server.channel) as lane:
        yield lane


def instance(server: PluginServer, *acts: Any, plugin: str = "acts") -> int:
    number = next(NUMBERS)
    assert server.configure(plugin, number, {"acts": [list(act) for act in acts]}) == []
    return number


def fused(first: int, *rest: int | list[Any], **extra: Any) -> list[Any]:
    steps = [[step, 1000, None, None, None] if isinstance(step, int) else step for step in rest]
    return call_fields(first, steps=steps, **extra)


def headers(outcome: list[Any]) -> dict[str, str]:
    return {operation[1]: operation[2][0].decode() for operation in outcome[2] if operation[0] == 1}


@pytest.mark.parametrize("kinds", list(itertools.product(("acts", "async-acts"), repeat=3)), ids="-".join)
def test_steps_see_what_those_before_wrote(server: PluginServer, lane: AnyLane, kinds: tuple[str, ...]) -> None:
    first, *rest = [instance(server, ["mark", str(i)], ["share", i], plugin=kind) for i, kind in enumerate(kinds)]
    for _ in range(5):
        _, pending = lane.start(fused(first, *rest, shared={"k": ["host"]}))
        found = [pending.outcome() for _ in range(3)]
        assert [outcome[0] for outcome in found] == [0, 0, 0]
        seen = ["0 after None", "1 after 0 after None", "2 after 1 after 0 after None"]
        assert [headers(outcome) for outcome in found] == [{"X-Mark": text} for text in seen]
        assert [outcome[2][1] for outcome in found] == [[50, "k", ["host", *range(i + 1)]] for i in range(3)]
        assert pending.done


def test_each_step_has_its_own_context(server: PluginServer, lane: AnyLane) -> None:
    one, two = instance(server, ["keep"]), instance(server, ["keep"])
    _, pending = lane.start(fused(one, [two, 1000, {"mine": "second"}, None, None], plugin={"mine": "first"}))
    assert [headers(pending.outcome()) for _ in range(2)] == [{"X-Kept": "first"}, {"X-Kept": "second"}]


@pytest.mark.parametrize(("act", "status"), [("fail", 1), ("leave", 0)])
@pytest.mark.parametrize("plugin", ["acts", "async-acts"])
def test_nothing_runs_after_an_end(server: PluginServer, lane: AnyLane, act: str, status: int, plugin: str) -> None:
    last = instance(server, ["mark", "never"])
    first, second = instance(server, ["mark", "a"]), instance(server, [act], plugin=plugin)
    _, pending = lane.start(fused(first, second, last))
    assert [pending.outcome()[0], pending.outcome()[0]] == [0, status]
    assert pending.done
    assert headers(lane.call(call_fields(first)))  # the lane goes on
    assert pending.events.empty()


def test_step_of_an_instance_that_is_not_here(server: PluginServer, lane: AnyLane) -> None:
    first = instance(server, ["mark", "a"])
    _, pending = lane.start(fused(first, [99999, 1000, None, [[1, [], b"x"]], None], first))
    assert pending.outcome()[0] == 0
    status, error, _, _, unused = pending.outcome()
    assert (status, error[0], unused) == (1, "unknown_instance", 1)
    assert pending.done


@pytest.mark.parametrize("act", ["body", "threaded_body"])
@pytest.mark.parametrize("plugin", ["acts", "async-acts"])
def test_ask_of_a_later_step(server: PluginServer, lane: AnyLane, act: str, plugin: str) -> None:
    if (act, plugin) == ("threaded_body", "async-acts"):
        act = "body"
    first, second, third = instance(server, ["mark", "a"]), instance(server, [act], plugin=plugin), instance(server, ["body"])
    call_id, pending = lane.start(fused(first, second, third))
    assert headers(pending.outcome()) == {"X-Mark": "a after None"}  # before the ask
    assert pending.next() == ("ask", [1])
    lane.answer(call_id, b"piece", step=1)
    assert [headers(pending.outcome()) for _ in range(2)] == [{"X-Body": "piece"}] * 2  # the third knows it from the second
    assert pending.asked == [1]


@pytest.mark.parametrize(
    "late", [{"value": b"old"}, {"value": b"o" * 70_000}, {"error": ["host_error", "no"]}, None], ids=["one", "long", "error", "none"]
)
@pytest.mark.parametrize("plugin", ["acts", "async-acts"])
def test_answer_to_what_a_step_left(server: PluginServer, lane: AnyLane, plugin: str, late: dict[str, Any] | None, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    first, second = instance(server, ["leave_ask", str(asked)], plugin=plugin), instance(server, ["body"], plugin=plugin)
    call_id, pending = lane.start(fused(first, second))
    assert pending.next() == ("ask", [1])
    asked.touch()
    assert pending.outcome()[0] == 0  # nothing waits for the answer
    assert pending.next() == ("ask", [1])
    assert pending.asked == [0, 1]
    if late is not None:
        lane.answer(call_id, **late)
    lane.answer(call_id, b"new", step=1)
    assert headers(pending.outcome()) == {"X-Body": "new"}


@pytest.mark.parametrize("plugin", ["acts", "async-acts"])
def test_outcomes_do_not_wait_behind_a_step_that_blocks(server: PluginServer, lane: AnyLane, plugin: str, tmp_path: Path) -> None:
    over = tmp_path / "over"
    first, second = instance(server, ["mark", "a"]), instance(server, ["wait_for", str(over)], plugin=plugin)
    _, pending = lane.start(fused(first, second))
    assert headers(pending.outcome()) == {"X-Mark": "a after None"}  # the second step blocks
    assert pending.events.empty()
    over.touch()
    assert pending.outcome()[0] == 0


def test_cancel_ends_the_whole_call(server: PluginServer, lane: AnyLane) -> None:
    first, second, third = instance(server, ["mark", "a"]), instance(server, ["wait", 0.5]), instance(server, ["say", "third ran"])
    call_id, pending = lane.start(fused(first, second, third))
    pending.outcome()
    lane.cancel(call_id)
    assert headers(lane.call(call_fields(first)))
    time.sleep(0.7)  # the second step ends meanwhile, and nothing follows
    assert headers(lane.call(call_fields(first)))
    assert pending.events.empty()
    assert pending.logs == []


def test_many_at_once(server: PluginServer, lane: AnyLane) -> None:
    quick = [instance(server, ["mark", str(i)], plugin=kind) for i, kind in enumerate(("acts", "async-acts", "acts"))]
    waits = instance(server, ["wait", 0.01])
    pending: list[tuple[Pending, int]] = []
    for i in range(120):
        chain = [*quick, waits, *quick] if i % 10 == 0 else quick
        pending.append((lane.start(fused(chain[0], *chain[1:]))[1], len(chain)))
    for one, size in pending:
        assert [one.outcome()[0] for _ in range(size)] == [0] * size
        assert one.done


def test_prefetched_answers(server: PluginServer, lane: AnyLane) -> None:
    reads = instance(server, ["body"], ["body"])
    _, pending = lane.start(call_fields(reads, prefetched=[[2, [], b"no"], [1, [], b"ahead"]]))
    outcome = pending.outcome()
    assert headers(outcome) == {"X-Body": "ahead"}
    assert outcome[4:] == [0b01]
    assert pending.asked == []
    assert lane.call(call_fields(instance(server, ["mark", "a"]), prefetched=[[1, [], b"x"], [3, [], b"{}"]]))[4:] == [0b11]
    assert lane.call(call_fields(reads, prefetched=[[1, [], b"x"]]))[4:] == []


def test_stale_answers_are_asked_for(server: PluginServer, lane: AnyLane) -> None:
    entry, writes = instance(server, ["entry"]), instance(server, ["serialized"])
    ahead = [[3, [], b'{"from":"ahead"}']]
    _, pending = lane.start(call_fields(entry, "log", prefetched=ahead))
    assert pending.outcome()[0] == 0
    assert b'"ahead"' in pending.logs[0][1]
    call_id, pending = lane.start(fused(writes, [entry, 1000, None, ahead, None], phase="log"))
    assert pending.outcome()[0] == 0
    assert pending.next() == ("ask", [3])
    lane.answer(call_id, b'{"from":"host"}', step=1)
    assert pending.outcome()[4:] == [1]
    assert b'"host"' in pending.logs[0][1]


@pytest.mark.parametrize(
    "extra",
    [
        {"prefetched": [[1, [], b"x"]] * 17},
        {"steps": [[1, 1000, None, None, None]] * 64},
        {"steps": [[1, 1000, None, [[1, []]], None]]},
        {"phase": "body_filter", "steps": [[1, 1000, None, None, None]]},
    ],
)
def test_more_than_may_travel_closes_the_lane(server: PluginServer, extra: dict[str, Any]) -> None:
    first = instance(server, ["mark", "a"])
    with server.lane() as lane:
        lane.start(call_fields(first, **extra))
        assert lane.ended.wait(20)
        assert lane.goaway is not None
        assert lane.goaway[0] == "bad_frame"
