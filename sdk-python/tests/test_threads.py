"""The leader, the standby and the workers, in one process."""

from __future__ import annotations

import itertools
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hostdriver import ANSWER, ASK, CALL, HELLO, OUTCOME, call_fields, frame, pack, unpack

import outrigger
from outrigger._runtime import threads, workers
from outrigger._runtime.clock import ThreadClock, Times
from outrigger._runtime.loop import LoopRunner
from outrigger._runtime.plugins import PluginSpec, Step
from outrigger._runtime.registry import Registry
from outrigger._runtime.stream import SocketCarrier
from outrigger._runtime.threads import ThreadLane
from outrigger._runtime.wire import Framer
from outrigger._runtime.workers import Workers
from outrigger._runtime.writer import Writer

SECONDS = 20.0


class Case(outrigger.Plugin):
    name, version = "case", "1"
    work: Callable[[outrigger.PDK], object]

    def access(self, kong: outrigger.PDK) -> None:
        self.work(kong)


class Host:
    """The host's end of a lane that runs in this process."""

    def __init__(self, workers: int = 16) -> None:
        mine, theirs = socket.socketpair()
        mine.settimeout(SECONDS)
        self.sock = mine
        registry = Registry([PluginSpec(Case)], LoopRunner().run)
        assert registry.configure(1, "case", {}) == []
        instance = registry.instances[1]
        plugin = instance.plugin
        assert isinstance(plugin, Case)
        self.plugin = plugin
        step = instance.steps[2]
        assert step is not None
        self.step: Step = step
        self._theirs = theirs
        self.lane = ThreadLane(registry, SocketCarrier(theirs), Workers(workers), LoopRunner())
        mine.sendall(frame(HELLO, 0, pack([1, "n", "h", "0", [], 0, 1 << 20, 65536])))
        self.lane.start()
        self._framer = Framer()
        self._next = 0
        self.got: list[tuple[int, int, Any]] = []

    def send(self, count: int = 1) -> list[int]:
        """Starts calls in one batch."""
        ids = list(range(self._next + 1, self._next + 1 + count))
        self._next += count
        self.sock.sendall(b"".join(frame(CALL, call_id, pack(call_fields(1))) for call_id in ids))
        return ids

    def receive(self) -> None:
        """Takes what has come."""
        data = self.sock.recv(1 << 16)
        assert data, "the lane ended"
        self._framer.feed(data, lambda kind, call_id, body, step=0: self.got.append((kind, call_id, unpack(body))))

    def outcomes(self, count: int) -> list[int]:
        """The ids of the next outcomes in the order in which they came."""
        found: list[int] = []
        while len(found) < count:
            while not any(kind == OUTCOME for kind, _, _ in self.got):
                self.receive()
            for one in [one for one in self.got if one[0] == OUTCOME]:
                self.got.remove(one)
                assert one[2][0] == 0, one
                found.append(one[1])
        return found

    def call(self, count: int = 1) -> list[int]:
        self.send(count)
        return self.outcomes(count)

    def question_of(self, call_id: int) -> None:
        """Waits until a call asks for the request body."""
        while not any(kind == ASK for kind, _, _ in self.got):
            self.receive()
        assert self.got[-1] == (ASK, call_id, [1])

    def answer(self, call_id: int) -> None:
        """Answers that question; the call ends."""
        self.sock.sendall(frame(ANSWER, call_id, pack([None, b"x"])))
        assert self.outcomes(1) == [call_id]

    def close(self) -> None:
        self.sock.close()
        assert self.lane.wait_ended(SECONDS)
        self._theirs.close()


@pytest.fixture
def host() -> Iterator[Host]:
    opened = Host()
    opened.plugin.work = lambda kong: None
    yield opened
    opened.close()


def test_batch_keeps_its_order(host: Host) -> None:
    assert host.call(100) == list(range(1, 101))


def test_waiting_step_goes_to_workers_and_comes_back(host: Host) -> None:
    host.plugin.work = lambda kong: time.sleep(0.005)
    deadline = time.monotonic() + SECONDS
    while not host.step.slow:
        assert time.monotonic() < deadline
        host.call()
    host.plugin.work = lambda kong: None
    host.call(threads.QUICK_RUNS - 1)
    assert host.step.slow
    # Workers count side by side, and on a busy machine a quick run can look like a waiting one: some more runs may be needed.
    while host.step.slow:
        assert time.monotonic() < deadline
        host.call(threads.QUICK_RUNS)
    assert host.call(10)


def test_short_waits_are_found_too(host: Host) -> None:
    """Waits that the standby is too slow to see: the batch's average tells."""
    host.plugin.work = lambda kong: time.sleep(0.0005)
    deadline = time.monotonic() + SECONDS
    while not host.step.slow:
        assert time.monotonic() < deadline
        host.call(3)


class ToldClock(ThreadClock):
    """A thread whose time goes where the test says: every look finds a millisecond more by the wall."""

    goes_to = "cpu"

    def __init__(self) -> None:
        super().__init__()
        self._looks = itertools.count(1)

    def times(self) -> Times:
        wall = next(self._looks) * 1_000_000
        return Times(wall, wall if self.goes_to == "cpu" else 0, wall if self.goes_to == "queue" else 0)

    def runnable(self) -> bool:
        return self.goes_to != "nothing"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> type[ToldClock]:
    """The clock of all threads, before a host is made."""
    clock = type("ToldClock", (ToldClock,), {})
    monkeypatch.setattr(threads, "ThreadClock", clock)
    monkeypatch.setattr(workers, "ThreadClock", clock)
    return clock


def test_computing_step_stays_inline(told: type[ToldClock], host: Host) -> None:
    host.plugin.work = lambda kong: time.sleep(0.005)
    for _ in range(5):
        host.call(3)
    assert not host.step.slow


def test_preempted_step_stays_inline_and_keeps_the_lead(told: type[ToldClock], host: Host) -> None:
    told.goes_to = "queue"
    lead = host.lane._lead  # pyright: ignore[reportPrivateUsage]
    host.plugin.work = lambda kong: time.sleep(0.02)
    for _ in range(3):
        host.call(3)
    assert not host.step.slow
    assert host.lane._lead is lead  # pyright: ignore[reportPrivateUsage]


def test_thread_that_has_no_processor_now_keeps_the_lead(told: type[ToldClock], host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Linux counts as queued, it counts when the thread runs again. Until then its state tells."""
    told.goes_to = "nothing"
    monkeypatch.setattr(told, "runnable", lambda self: True)
    lead = host.lane._lead  # pyright: ignore[reportPrivateUsage]
    host.plugin.work = lambda kong: time.sleep(0.02)
    host.call(1)
    assert host.lane._lead is lead  # pyright: ignore[reportPrivateUsage]


def test_worker_that_was_preempted_was_quick(told: type[ToldClock], host: Host) -> None:
    told.goes_to = "nothing"
    deadline = time.monotonic() + SECONDS
    while not host.step.slow:
        assert time.monotonic() < deadline
        host.plugin.work = lambda kong: time.sleep(0.005)
        host.call()
    told.goes_to = "queue"
    host.plugin.work = lambda kong: None
    while host.step.slow:
        assert time.monotonic() < deadline
        host.call(threads.QUICK_RUNS)


class TestClock:
    def test_sleeping_is_waiting(self) -> None:
        clock = ThreadClock()
        before = clock.times()
        time.sleep(0.01)
        assert clock.times().waited(before) > 5_000_000
        assert clock.times().waits(before)
        clock.close()

    def test_another_thread_is_seen(self) -> None:
        clocks: list[ThreadClock] = []
        go, done = threading.Semaphore(0), threading.Event()

        def work() -> None:
            clocks.append(ThreadClock())
            go.acquire()
            end = time.thread_time_ns() + 20_000_000
            while time.thread_time_ns() < end:
                pass
            done.set()
            go.acquire()

        thread = threading.Thread(target=work)
        thread.start()
        wait_for(lambda: clocks)
        before = clocks[0].times()
        if sys.platform == "linux":
            wait_for(lambda: not clocks[0].runnable())  # it waits at the gate
        go.release()
        assert done.wait(SECONDS)
        assert 20_000_000 <= clocks[0].times().computed(before) < 100_000_000
        go.release()
        thread.join()
        wait_for(lambda: not clocks[0].runnable() and clocks[0].times().queued == 0)  # the system ends it a moment later
        clocks[0].close()

    def test_without_the_figures_of_linux_nothing_was_queued(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = ThreadClock()
        monkeypatch.setattr(clock, "_task", "/nonexistent")
        before = clock.times()
        time.sleep(0.01)
        after = clock.times()
        assert before.queued == after.queued == 0
        assert after.waits(before)
        assert not after.held_up(before)
        assert not clock.runnable()

    def test_files_are_closed(self) -> None:
        clock = ThreadClock()
        clock.times()
        opened = clock._file  # pyright: ignore[reportPrivateUsage]
        clock.close()
        assert clock.times().queued == 0
        if opened >= 0:
            with pytest.raises(OSError, match="Bad file"):
                os.fstat(opened)

    @pytest.mark.parametrize(
        ("used", "waits", "held_up"),
        [
            (Times(1_000_000, 1_000_000, 0), False, False),
            (Times(1_000_000, 10_000, 980_000), False, True),
            (Times(1_000_000, 10_000, 0), True, False),
            (Times(1_000_000, 10_000, 300_000), True, False),
            (Times(100_000, 0, 0), False, False),
        ],
        ids=["computed", "preempted", "waited", "both", "short"],
    )
    def test_judgement(self, used: Times, waits: bool, held_up: bool) -> None:
        since = Times(0, 0, 0)
        assert (used.waits(since), used.held_up(since)) == (waits, held_up)


def test_the_rest_of_a_batch_does_not_wait(host: Host) -> None:
    gate, first = threading.Event(), threading.Event()

    def work(kong: outrigger.PDK) -> None:
        if not first.is_set():
            first.set()
            assert gate.wait(SECONDS)

    host.plugin.work = work
    first_id = min(ids := host.send(50))
    assert sorted(host.outcomes(49)) == [one for one in ids if one != first_id]
    gate.set()
    assert host.outcomes(1) == [first_id]


def test_many_blocked_in_one_batch(host: Host) -> None:
    """More handlers wait than there are workers: those that could start hold nobody else up, the others take their turn."""
    gate = threading.Event()
    host.plugin.work = lambda kong: gate.wait(SECONDS)
    ids = host.send(40)
    wait_for(lambda: host.step.slow)
    gate.set()
    assert sorted(host.outcomes(40)) == ids


def test_after_idling_the_standby_still_looks(host: Host) -> None:
    host.call()
    wait_for(lambda: host.lane._dozing)  # pyright: ignore[reportPrivateUsage]
    test_the_rest_of_a_batch_does_not_wait(host)


def test_asking_step_goes_to_workers(host: Host) -> None:
    host.plugin.work = lambda kong: kong.request.get_raw_body()
    (call_id,) = host.send()
    host.question_of(call_id)
    assert host.step.slow
    host.answer(call_id)


def test_asking_step_that_lost_the_lead_goes_to_workers(told: type[ToldClock], host: Host) -> None:
    before: list[bool] = []

    def work(kong: outrigger.PDK) -> None:
        lead = host.lane._lead  # pyright: ignore[reportPrivateUsage]
        wait_for(lambda: host.lane._lead is not lead)  # pyright: ignore[reportPrivateUsage]
        before.append(host.step.slow)
        kong.request.get_raw_body()

    host.plugin.work = work
    (call_id,) = host.send()
    host.question_of(call_id)
    assert before == [False]
    assert host.step.slow
    host.answer(call_id)


def test_lane_threads_end_with_the_lane() -> None:
    before = set(threading.enumerate())
    opened = Host()
    gate = threading.Event()
    opened.plugin.work = lambda kong: gate.wait(SECONDS)
    opened.send(3)
    wait_for(lambda: opened.step.slow)
    opened.close()
    gate.set()
    wait_for(lambda: not [thread for thread in set(threading.enumerate()) - before if thread.name == "outrigger-lane"])


def test_workers_bound() -> None:
    running, most, lock, gate = 0, 0, threading.Lock(), threading.Event()
    done = threading.Semaphore(0)

    class Lane:
        def run_on_worker(self, call: Any, clock: Any, desk: Any) -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            assert gate.wait(SECONDS)
            with lock:
                running -= 1
            done.release()

    workers, lane, call = Workers(4), Lane(), SimpleNamespace(bit=1)
    for _ in range(40):
        workers.submit(lane, call)  # type: ignore[arg-type]
    wait_for(lambda: running == 4)
    gate.set()
    for _ in range(40):
        assert done.acquire(timeout=SECONDS)
    assert most == 4


class TestWriter:
    def test_frames_of_many_threads_stay_whole_and_in_order(self) -> None:
        left, right = socket.socketpair()
        writer = Writer(left, lambda: None)
        count, size = 50, 8

        def write(number: int) -> None:
            for i in range(count):
                large = [frame(6, number, bytes([number]) * 32768)] * 6 if i % 10 == 0 else []
                writer.write([*large, frame(3, number, i.to_bytes(4, "big"))])

        threads_ = [threading.Thread(target=write, args=(number,)) for number in range(size)]
        for thread in threads_:
            thread.start()
        seen: dict[int, list[int]] = {number: [] for number in range(size)}
        chunks = 0

        def take(kind: int, number: int, body: bytes, step: int = 0) -> None:
            nonlocal chunks
            if kind == 3:
                seen[number].append(int.from_bytes(body, "big"))
            else:
                assert body == bytes([number]) * 32768
                chunks += 1

        framer = Framer()
        right.settimeout(SECONDS)
        while sum(map(len, seen.values())) < count * size:
            framer.feed(right.recv(1 << 16), take)
        for thread in threads_:
            thread.join()
        assert all(one == list(range(count)) for one in seen.values())
        assert chunks == size * 5 * 6
        left.close()
        right.close()

    def test_broken_connection_is_told_once(self) -> None:
        left, right = socket.socketpair()
        right.close()
        errors: list[bool] = []
        writer = Writer(left, lambda: errors.append(True))
        for _ in range(3):
            writer.write([frame(3, 1, b"x")])
        left.close()
        assert len(errors) == 1


def wait_for(true: Callable[[], Any], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.001)


def test_who_asks_again_and_again_is_not_timed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the clocks lets other threads run, which costs a call that only waits for an answer a good part of its time."""
    host.plugin.work = lambda kong: kong.request.get_raw_body()
    for _ in range(2):  # the first one on the leader
        host.question_of(host.send()[0])
        host.answer(host._next)
        host.got.clear()
    reads: list[str] = []
    times = ThreadClock.times

    def counted(clock: ThreadClock) -> Times:
        reads.append(threading.current_thread().name)
        return times(clock)

    monkeypatch.setattr(ThreadClock, "times", counted)
    for _ in range(3):
        host.question_of(host.send()[0])
        host.answer(host._next)
        host.got.clear()
    assert not [name for name in reads if name.startswith("outrigger-worker")]
    assert host.step.slow
    host.plugin.work = lambda kong: None
    while host.step.slow:  # once it asks no more, it is timed, and comes back
        host.call()
    assert [name for name in reads if name.startswith("outrigger-worker")]
