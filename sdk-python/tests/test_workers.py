"""Workers whose handlers hang: others take their place, and the health tells when none is left."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hostdriver import CALL, CANCEL, call_fields, frame, pack
from test_threads import SECONDS, Host, wait_for

import outrigger
from outrigger._runtime import health as health_module
from outrigger._runtime import threads, workers
from outrigger._runtime.faults import start_thread
from outrigger._runtime.handlers import CANCELLED
from outrigger._runtime.health import Health
from outrigger._runtime.state import ENDED
from outrigger._runtime.workers import Workers

# pyright: reportPrivateUsage=false

LONGER = 6 * SECONDS
"""For handlers: none may return by itself while a test waits for what happens without it."""

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


class Hanging:
    """A handler that hangs while it is told to, each time at a gate of its own."""

    def __init__(self) -> None:
        self.hangs = True
        self.gates: list[threading.Event] = []

    def __call__(self, kong: outrigger.PDK) -> None:
        if self.hangs:
            gate = threading.Event()
            self.gates.append(gate)
            gate.wait(LONGER)

    def hanging(self, count: int) -> None:
        """Waits until so many have begun to hang."""
        wait_for(lambda: len(self.gates) == count)

    def open(self) -> None:
        """Lets all that hang return."""
        self.hangs = False
        for gate in self.gates:
            gate.set()


class HangingHost(Host):
    """A host whose plugin hangs on workers."""

    def __init__(self) -> None:
        super().__init__()
        self.health = Health(lambda: self.workers.exhausted())
        self.work = self.plugin.work = Hanging()
        self.step.slow = self.step.always_slow = True

    @property
    def workers(self) -> Workers:
        return self.lane._workers

    def bound(self, limit: int, bound: int, patience: int = 0) -> None:
        """Has other workers, before the first call."""
        self.lane._workers = Workers(limit, bound, patience)

    def hang(self, count: int) -> list[int]:
        """Calls whose handlers hang on workers."""
        before = len(self.work.gates)
        ids = self.send(count)
        self.work.hanging(before + count)
        return ids

    def cancel(self, ids: list[int]) -> None:
        """Nobody waits for these any more."""
        self.sock.sendall(b"".join(frame(CANCEL, one, b"") for one in ids))

    def lose(self, count: int) -> None:
        """Has handlers hang whose calls are cancelled, and waits until the server knows of the cancels."""
        before = self.lost()
        self.cancel(self.hang(count))
        wait_for(lambda: self.lost() == before + count)

    def lost(self) -> int:
        return sum(desk.lost for desk in list(self.workers._desks))

    def answered(self) -> None:
        """A call is answered."""
        self.work.hangs = False
        assert self.call() == [self._next]
        self.work.hangs = True

    def status(self) -> bytes:
        return self.health._check(b"", None)

    def close(self) -> None:
        self.work.open()
        super().close()


@pytest.fixture
def host() -> Iterator[HangingHost]:
    opened = HangingHost()
    yield opened
    opened.close()


class TestLost:
    def test_calls_after_as_many_as_there_are_workers_are_answered(self, host: HangingHost) -> None:
        host.lose(workers.MAX_WORKERS)
        host.answered()

    def test_calls_that_wait_already_are_answered_when_workers_are_lost(self, host: HangingHost) -> None:
        ids = host.hang(workers.MAX_WORKERS)
        host.work.hangs = False
        waiting = host.send(5)
        wait_for(lambda: len(host.workers._backlog) == 5)
        host.cancel(ids)
        assert sorted(host.outcomes(5)) == waiting

    def test_those_that_wait_in_vain_start_no_worker(self, host: HangingHost) -> None:
        host.bound(1, 8)
        ids = host.hang(1)
        given_up = host.send(3)
        wait_for(lambda: len(host.workers._backlog) == 3)
        host.cancel([*given_up, *ids])
        wait_for(lambda: not host.workers._backlog)
        assert len(host.workers._desks) == 1
        host.answered()

    def test_handlers_that_are_waited_for_count(self, host: HangingHost) -> None:
        host.bound(2, 8)
        ids = host.hang(2)
        waiting = host.send(3)
        wait_for(lambda: len(host.workers._backlog) == 3)
        host.cancel(ids[:1])
        host.work.hanging(3)
        assert len(host.workers._desks) == 3
        host.work.open()
        assert sorted(host.outcomes(4)) == sorted([*ids[1:], *waiting])

    def test_an_exit_that_hangs_is_lost(self, host: HangingHost, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(workers, "EXIT_NS", 0)
        host.bound(2, 8)
        work = host.work

        def leave(kong: outrigger.PDK) -> None:
            try:
                kong.response.exit(403)
            finally:
                work(kong)

        host.plugin.work = leave
        ids = host.hang(2)
        assert sorted(host.outcomes(2)) == ids
        host.answered()

    def test_the_lanes_end_loses_them_too(self, host: HangingHost) -> None:
        other = HangingHost()
        other.bound(2, 8)
        host.lane._workers = other.workers
        other.hang(2)
        host.work.hangs = False
        (waiting,) = host.send()
        wait_for(lambda: other.workers._backlog)
        Host.close(other)
        assert host.outcomes(1) == [waiting]
        other.work.open()

    def test_those_that_return_end_when_others_took_their_place(self, host: HangingHost) -> None:
        host.bound(2, 8)
        host.lose(2)
        host.lose(2)
        ids = host.hang(2)
        assert len(host.workers._desks) == 6
        host.work.open()
        assert sorted(host.outcomes(2)) == ids
        wait_for(lambda: len(host.workers._desks) == 2 and len(host.workers._idle) == 2)
        assert len(host.call(20)) == 20
        assert len(host.workers._desks) == 2

    def test_one_that_returns_while_there_is_room_goes_on(self, host: HangingHost) -> None:
        host.bound(2, 8)
        host.lose(2)
        host.work.open()
        wait_for(lambda: len(host.workers._idle) == 2)
        assert len(host.call(5)) == 5
        assert len(host.workers._desks) == 2


class TestBound:
    def test_health_follows(self, host: HangingHost, capfd: pytest.CaptureFixture[str]) -> None:
        host.bound(2, 4)
        host.lose(2)
        host.lose(1)
        assert host.status() == SERVING
        host.lose(1)
        wait_for(lambda: host.status() == NOT_SERVING)
        host.work.hangs = False
        (waiting,) = host.send()
        wait_for(lambda: host.workers._backlog)
        assert len(host.workers._desks) == 4
        host.work.gates[0].set()
        assert host.outcomes(1) == [waiting]
        assert host.status() == SERVING
        said = capfd.readouterr().err
        assert said.count("4 handlers hang whose calls nobody waits for any more (case access 4), the first one for") == 1
        assert said.count("the server is healthy") == 1

    def test_one_that_is_waited_for_is_enough(self, host: HangingHost) -> None:
        host.bound(2, 4)
        host.lose(2)
        host.lose(1)
        (last,) = host.hang(1)
        assert host.status() == SERVING
        host.cancel([last])
        wait_for(lambda: host.status() == NOT_SERVING)

    def test_a_few_of_many_are_not_enough(self, host: HangingHost) -> None:
        host.bound(8, 12)
        host.lose(8)
        host.lose(2)
        waited_for = host.hang(2)
        assert host.status() == SERVING
        host.cancel(waited_for[:1])
        wait_for(lambda: host.status() == NOT_SERVING)

    def test_slow_handlers_do_not_hang(self, host: HangingHost, capfd: pytest.CaptureFixture[str]) -> None:
        """Callers that give up soon have lost all workers, but only a moment ago."""
        host.bound(2, 4, workers.HANG_NS)
        host.lose(2)
        host.lose(2)
        assert host.lost() == 4
        host.send(3)
        wait_for(lambda: len(host.workers._backlog) == 3)
        assert host.status() == SERVING
        assert "hang" not in capfd.readouterr().err

    def test_a_higher_limit_leaves_room(self) -> None:
        assert Workers(200)._bound == 200 + workers.MAX_LOST

    def test_a_system_that_gives_no_thread_is_a_bound(self, host: HangingHost, monkeypatch: pytest.MonkeyPatch) -> None:
        host.bound(2, 8)
        host.lose(2)
        monkeypatch.setattr(workers, "start_thread", lambda *args: "no thread could be started: none is left")
        host.work.hangs = False
        (waiting,) = host.send()
        wait_for(lambda: host.status() == NOT_SERVING)
        host.work.gates[0].set()
        assert host.outcomes(1) == [waiting]
        assert host.status() == SERVING

    def test_who_watches_hears_of_both(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(health_module, "WATCH_SECONDS", 0.01)
        exhausted = threading.Event()
        health, ends = Health(exhausted.is_set), list[Callable[[], None]]()

        class Context:
            def add_callback(self, callback: Callable[[], None]) -> bool:
                ends.append(callback)
                return True

        context: Any = Context()
        told: queue.Queue[bytes | None] = queue.Queue()

        def watch() -> None:
            for status in health._watch(b"", context):
                told.put(status)
            told.put(None)

        threading.Thread(target=watch, daemon=True).start()
        assert told.get(timeout=SECONDS) == SERVING
        for change, status in (
            (exhausted.set, NOT_SERVING),
            (exhausted.clear, SERVING),
            (health.leave, NOT_SERVING),
        ):
            change()
            assert told.get(timeout=SECONDS) == status
        exhausted.set()
        ends[0]()
        assert told.get(timeout=SECONDS) is None
        assert not health.watched


def test_lane_with_all_its_threads_is_still_read(host: HangingHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers that hang on threads of the lane, before their steps are known to wait."""
    monkeypatch.setattr(threads, "MAX_LANE_THREADS", 3)
    host.step.always_slow = False
    hung: list[int] = []
    for _ in range(4):
        host.step.slow = False
        hung += host.hang(1)
        wait_for(lambda: host.lane._crowded or host.step.slow)
    assert host.lane._threads == 3
    assert len(host.workers._desks) == 2
    host.step.slow = False
    host.answered()
    host.work.open()
    assert sorted(host.outcomes(4)) == hung
    wait_for(lambda: host.lane._standby and not host.lane._crowded)


def test_async_handlers_that_hang_take_no_place(host: HangingHost) -> None:
    """They are cancelled."""
    begun, ended = threading.Semaphore(0), threading.Semaphore(0)

    async def handler(kong: Any) -> None:
        if host.work.hangs:
            begun.release()
            try:
                await asyncio.Event().wait()
            finally:
                ended.release()

    host.step.is_async, host.step.handler = True, handler
    ids = host.send(2 * (workers.MAX_WORKERS + workers.MAX_LOST))
    for _ in ids:
        assert begun.acquire(timeout=SECONDS)
    host.cancel(ids)
    for _ in ids:
        assert ended.acquire(timeout=SECONDS)
    host.answered()
    assert not host.workers._desks
    host.lane._loop.stop()


def test_further_steps_are_lost_too(host: HangingHost) -> None:
    """The later steps of a fused call run on the worker of the first one."""
    host.bound(1, 4)
    host.work.hangs = False
    first = threading.Event()

    def work(kong: outrigger.PDK) -> None:
        host.work.hangs = first.is_set()
        first.set()
        host.work(kong)

    host.plugin.work = work
    host.sock.sendall(frame(CALL, 700, pack(call_fields(1, steps=[[1, 1000, None, None, None]]))))
    host.work.hanging(1)
    host.outcomes(1)
    host.cancel([700])
    wait_for(lambda: host.lost() == 1)
    host.plugin.work = lambda kong: None
    host.call(2)


class Calls:
    """A lane whose calls are functions: what a worker runs, and what could not run."""

    def __init__(self) -> None:
        self.refused: list[Any] = []

    def call(self, work: Callable[[], object]) -> Any:
        return SimpleNamespace(work=work, bit=1, why_sealed="", runner=None)

    def run_on_worker(self, call: Any, clock: Any, desk: workers.Desk) -> None:
        desk.begin(call)
        call.work()
        call.bit = 0
        call.why_sealed = ENDED

    def cannot_run(self, call: Any, why: str) -> None:
        self.refused.append(call)

    def fail(self, what: str, fault: BaseException) -> None:
        raise AssertionError(what) from fault


class SlowStart:
    """Threads of workers that take long to start, once it is told so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slow, self.why = False, ""
        self.starts = 0
        self.gate = threading.Event()
        monkeypatch.setattr(workers, "start_thread", self._start)

    def _start(self, *args: Any) -> str:
        self.starts += 1
        if self.slow:
            assert self.gate.wait(LONGER)
        return self.why or start_thread(*args)


class TestSlowStart:
    """A thread that does not begin is waited for, but by its own lane alone."""

    @pytest.fixture
    def start(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowStart]:
        slow = SlowStart(monkeypatch)
        yield slow
        slow.gate.set()

    @pytest.fixture
    def lane(self) -> Calls:
        return Calls()

    def submitted(self, pool: Workers, lane: Calls, call: Any) -> threading.Thread:
        """Submits on a thread of its own."""
        thread = threading.Thread(target=pool.submit, args=(lane, call), daemon=True)
        thread.start()
        return thread

    def test_meanwhile_workers_finish_and_lanes_submit(self, start: SlowStart, lane: Calls) -> None:
        pool = Workers(2, 4)
        go, second, third = threading.Event(), threading.Event(), threading.Event()
        pool.submit(lane, lane.call(lambda: go.wait(LONGER)))
        start.slow = True
        submitting = self.submitted(pool, lane, lane.call(second.set))
        wait_for(lambda: start.starts == 2)
        go.set()
        assert second.wait(SECONDS)
        later = self.submitted(pool, lane, lane.call(third.set))
        assert third.wait(SECONDS)
        later.join(SECONDS)
        assert submitting.is_alive()
        start.gate.set()
        submitting.join(SECONDS)
        wait_for(lambda: len(pool._idle) == 2)
        assert len(pool._desks) == 2
        assert not lane.refused

    @pytest.mark.parametrize(("limit", "bound"), [(1, 8), (1, 1)])
    def test_places_are_taken_meanwhile(self, start: SlowStart, lane: Calls, limit: int, bound: int) -> None:
        pool = Workers(limit, bound)
        start.slow = True
        done = [threading.Event(), threading.Event()]
        first = self.submitted(pool, lane, lane.call(done[0].set))
        wait_for(lambda: start.starts == 1)
        second = self.submitted(pool, lane, lane.call(done[1].set))
        second.join(SECONDS)  # its call waits for the one that is being started
        assert not second.is_alive()
        start.gate.set()
        assert all(event.wait(SECONDS) for event in done)
        first.join(SECONDS)
        assert start.starts == len(pool._desks) == 1

    def test_calls_of_all_who_waited_for_it_fail_with_it(self, start: SlowStart, lane: Calls) -> None:
        pool, other = Workers(1, 8, 0), Calls()
        start.slow, start.why = True, "no thread could be started: none is left"
        first = self.submitted(pool, lane, lane.call(print))
        wait_for(lambda: start.starts == 1)
        self.submitted(pool, other, other.call(print)).join(SECONDS)
        assert not lane.refused
        assert not other.refused
        start.gate.set()
        first.join(SECONDS)
        assert len(lane.refused) == len(other.refused) == 1
        assert not pool._desks
        assert not pool._starting
        assert not pool.exhausted()  # no handler hangs
        start.slow, start.why = False, ""
        done = threading.Event()
        pool.submit(lane, lane.call(done.set))
        assert done.wait(SECONDS)

    def test_one_too_many_ends(self, start: SlowStart, lane: Calls) -> None:
        """A worker that was lost returns while another one is started in its place."""
        pool = Workers(1, 8)
        go, done = threading.Event(), threading.Event()
        lost = lane.call(lambda: go.wait(LONGER))
        pool.submit(lane, lost)
        wait_for(lambda: lost.runner is not None)
        lost.bit, lost.why_sealed = 0, CANCELLED
        start.slow = True
        submitting = self.submitted(pool, lane, lane.call(done.set))
        wait_for(lambda: start.starts == 2)
        go.set()
        assert done.wait(SECONDS)
        start.gate.set()
        submitting.join(SECONDS)
        assert len(pool._desks) == 1
        again = threading.Event()
        pool.submit(lane, lane.call(again.set))
        assert again.wait(SECONDS)
