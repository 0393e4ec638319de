"""Threads for ``def`` handlers that wait.

A thread cannot be ended. A handler that hangs keeps its worker, even when nobody waits for its call any more: that worker is lost. Lost
workers do not count against the limit: others are started in their place, up to a hard bound. When so many hang for so long that hardly one
is left, the server says that it is not healthy, until handlers return. Handlers that are slow, and do return, are no reason for that.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from time import perf_counter_ns
from typing import Protocol

from .call import Call
from .clock import ThreadClock
from .faults import emptied, next_try, reason, say, start_thread
from .handlers import CANCELLED
from .lane import LOST
from .plugins import Step
from .state import ENDED
from .wire import PHASES

MAX_WORKERS = 16
"""Workers that count: those that are idle, or run a handler whose call somebody waits for."""

MAX_LOST = 48
"""Lost workers in whose place others are started."""

HANG_NS = 30_000_000_000
"""A handler that still runs so long after it began, though nobody waits for its call, is taken for one that hangs for ever."""

EXIT_NS = 1_000_000_000
"""A handler whose exit has left, and that still runs so long after it began, hangs. Others take a moment to unwind."""


class Lane(Protocol):
    """What runs a call on a worker's thread."""

    def run_on_worker(self, call: Call, clock: ThreadClock, desk: Desk) -> None:
        """Runs a call, and further steps of it, each of which it tells the desk of, and sends the replies."""

    def cannot_run(self, call: Call, why: str) -> None:
        """Fails a call that there is no thread for."""

    def fail(self, what: str, fault: BaseException) -> None:
        """Ends the lane after a fault of the engine."""


class Desk:
    """Where one worker gets its next call, and what it runs now. It is the runner of that call, and hears of its cancel."""

    __slots__ = ("_full", "_job", "_workers", "began", "call")

    def __init__(self, workers: Workers) -> None:
        self.call: Call | None = None
        self.began = 0
        self._full = threading.Lock()  # a semaphore wakes its thread while it still holds what that needs
        self._full.acquire()
        self._job: tuple[Lane, Call] | None = None
        self._workers = workers

    def give(self, job: tuple[Lane, Call] | None) -> None:
        """Hands a call to the worker, which waits for one; without one it ends."""
        self._job = job
        self._full.release()

    def take(self) -> tuple[Lane, Call] | None:
        """Waits for the next call; None when the worker is to end."""
        self._full.acquire()
        job, self._job = self._job, None
        return job

    def begin(self, call: Call) -> None:
        """Notes what the worker runs from now on."""
        self.call, self.began = call, perf_counter_ns()
        call.runner = self

    @property
    def lost(self) -> bool:
        """Whether the worker runs a handler whose call nobody waits for any more."""
        call = self.call
        if call is None or call.bit:
            return False
        why = call.why_sealed
        return why in (CANCELLED, LOST) or (why != ENDED and perf_counter_ns() - self.began > EXIT_NS)

    def hangs(self, now: int, patience: int) -> bool:
        """Whether the worker has been lost for so long that it most likely is for ever; nanoseconds."""
        return self.lost and now - self.began > patience

    def cancel_call(self, call: Call) -> None:
        """Hears that the call was sealed: unless its handler returns soon, the worker is lost."""
        self._workers.look()


class Workers:
    """Threads for handlers that wait, shared by all lanes of a server; started when needed."""

    def __init__(self, limit: int = MAX_WORKERS, bound: int | None = None, patience: int = HANG_NS) -> None:
        self._limit = limit
        self._bound = limit + MAX_LOST if bound is None else bound
        self._patience = patience
        self._lock = threading.Lock()
        self._backlog: deque[tuple[Lane, Call]] = deque()
        self._idle: list[Desk] = []
        self._desks: set[Desk] = set()
        self._starting = 0  # workers whose threads are being started: their places are taken, and each takes a call that waits
        self._number = 0  # of the last one
        self._exhausted = False
        self._refused = ""  # why the last one could not be started
        self._retry_ns = 0  # when it is tried again

    def submit(self, lane: Lane, call: Call) -> None:
        """Runs a call on a worker; when all are busy it waits its turn. It fails when there is none and none can be started."""
        with self._lock:
            desk = self._idle.pop() if self._idle else None
            if desk is None:
                self._backlog.append((lane, call))
        if desk is None:
            self.look()
        else:
            desk.give((lane, call))

    def look(self) -> None:
        """Starts workers for the calls that wait, also in place of lost ones. Without any worker the calls fail."""
        while self._reserve():
            if not self._start():
                break
        with self._lock:
            stranded: list[tuple[Lane, Call]] = []
            if not self._desks and not self._starting:
                stranded += self._backlog
                self._backlog.clear()
        for lane, call in stranded:
            lane.cannot_run(call, self._refused)

    def _reserve(self) -> bool:
        """Takes a place for another worker, if a call waits for one, and there may be one."""
        with self._lock:
            backlog = self._backlog
            while backlog and not backlog[0][1].bit:
                backlog.popleft()
            room = len(self._desks) + self._starting < self._bound and self._counted() + self._starting < self._limit
            if len(backlog) <= self._starting or not room or (self._refused and perf_counter_ns() < self._retry_ns):
                return False
            self._starting += 1
            self._number += 1
            return True

    def _start(self) -> bool:
        """Starts a worker in a place that was reserved; False when the system gives no thread.

        That takes long when the thread does not begin. The lock is not held meanwhile: workers finish, and lanes submit.
        """
        began = perf_counter_ns()
        desk: Desk | None = None
        try:
            desk = Desk(self)
            refused = start_thread(f"outrigger-worker-{self._number}", self._work, desk)
        except Exception as err:
            refused = f"no worker could be made: {reason(err)}"
        line = ""
        with self._lock:
            self._starting -= 1
            if refused and not self._refused:
                line = f"{refused}; calls wait for the {len(self._desks)} workers there are"
            self._refused = refused
            if refused:
                self._retry_ns = next_try(began)
            elif desk is not None:
                self._employ(desk)
        if line:
            say(line)
        return not refused

    def _employ(self, desk: Desk) -> None:
        """Counts a worker whose thread has begun, unless it is one too many: one that was lost has returned. The lock is held."""
        if self._counted() >= self._limit:
            desk.give(None)
            return
        self._desks.add(desk)
        self._occupy(desk)

    def _occupy(self, desk: Desk) -> None:
        """Gives a worker the next call, or has it wait for one. The lock is held."""
        if self._backlog:
            desk.give(self._backlog.popleft())
        else:
            self._idle.append(desk)

    def _counted(self) -> int:
        """Workers that are not lost. The lock is held."""
        return sum(not desk.lost for desk in self._desks)

    def exhausted(self) -> bool:
        """Whether no other worker may start, and fewer than a quarter of the limit are left that do not hang. Says so when it changes."""
        self.look()  # calls that nobody waits for any more are no reason, and the system may give threads again
        line = ""
        with self._lock:
            if not self._starting:
                full = len(self._desks) >= self._bound or bool(self._refused and self._backlog)
                now = perf_counter_ns()
                left = sum(not desk.hangs(now, self._patience) for desk in self._desks)
                exhausted = full and 4 * left < self._limit
                if exhausted != self._exhausted:
                    self._exhausted = exhausted
                    line = _hanging(self._desks, left, self._refused) if exhausted else "workers are free again: the server is healthy"
            found = self._exhausted
        if line:
            say(line)
        return found

    def _work(self, desk: Desk) -> None:
        """Life of a worker's thread."""
        clock = ThreadClock()
        try:
            going_on = True
            while going_on and (job := desk.take()) is not None:
                lane, call = job
                fault: BaseException | None = None
                try:
                    lane.run_on_worker(call, clock, desk)
                except BaseException as err:  # a fault of the engine must not cost a worker
                    fault = emptied(err)
                if fault is not None:
                    lane.fail("worker failed", fault)
                going_on = self._next(desk)
        finally:
            clock.close()

    def _next(self, desk: Desk) -> bool:
        """Gives a worker that is done its next call, or has it wait for one; False when it is one too many: others took its place."""
        with self._lock:
            desk.call = None
            going_on = len(self._desks) <= self._limit or self._counted() <= self._limit
            if not going_on:
                self._desks.remove(desk)
            else:
                self._occupy(desk)
        return going_on


def _hanging(desks: set[Desk], left: int, refused: str) -> str:
    """Says which handlers hang, and what is to be done."""
    running = [(call.step, desk.began) for desk in desks if desk.lost and (call := desk.call) is not None]
    count: Counter[str] = Counter()
    for step, _ in running:
        count[_name(step)] += 1
    where = ", ".join(f"{name} {times}" for name, times in count.most_common())
    longest = (perf_counter_ns() - min(began for _, began in running)) / 1e9 if running else 0.0
    bound = f" and {refused}" if refused else ""
    return (
        f"{left} workers are left: {len(running)} handlers hang whose calls nobody waits for any more ({where}),"
        f" the first one for {longest:.1f} s{bound}; the server is not healthy until some of them return,"
        " and a gateway that has started it replaces it; give what these plugins wait for a timeout"
    )


def _name(step: Step) -> str:
    return f"{step.instance.spec.name} {PHASES[step.phase - 1]}"
