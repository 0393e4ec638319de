"""Runs ``def`` handlers: a leader, a standby, and workers.

The leader reads the lane, runs the handlers of a batch itself, and answers with one send: no hand-over, no system call per call. The
standby looks every 2 ms; when the same handler still runs it takes the lead and the rest of the batch, and the blocked thread sends its
own reply later. Handlers that turn out to wait are moved to worker threads (``workers``) until 64 quick runs bring them back. A thread that
only lacks a processor waits for nothing, and keeps its lead: on a busy machine another thread would do no better.

When the system gives no thread, the leader goes on without a standby, and calls wait for the workers there are or fail. Every other fault
of the engine ends the lane, which the host opens again: nobody may be left to wait for a lane that nobody reads.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from threading import get_ident
from time import perf_counter_ns
from typing import Any, Protocol

from .call import Call
from .clock import SLOW_NS, ThreadClock, Times
from .faults import NoThread, emptied, insist, next_try, report, say, start_thread
from .handlers import run
from .lane import LaneState, sealed_answer
from .loop import LoopRunner
from .node import Node
from .plugins import Step
from .registry import Registry
from .state import ENDED
from .wire import BAD_FRAME, HANDLER_ERROR, Answer, Ended, Outcome
from .workers import Desk, Workers

QUICK_RUNS = 64
"""Quick runs in a row that bring a handler back from the workers."""

LOOK = 0.002
LOOK_AFTER_ACTING = 0.0003
ALERT_LOOKS = 200
IDLE_LOOKS = 25
MAX_LANE_THREADS = 64
"""Threads of a lane. When so many of them run handlers, the last one only reads: workers run what comes, until another one can stand by."""

FLUSH_FRAMES = 256
URGENT_LEVEL = 4
RETRY_NS = 50_000_000
"""How long a leader that no standby could be started for waits before it tries again."""


class Carrier(Protocol):
    """Reads and writes the messages of a lane. Only the leader reads; everybody writes."""

    def read(self, state: LaneState) -> bool:
        """Waits for messages and gives them to the state; False when the lane has ended."""
        ...

    def write(self, messages: list[Any]) -> None:
        """Sends messages in order. What cannot be sent ends the lane: the calls of those who wait for it end too."""
        ...

    def outcome(self, call_id: int, outcome: Ended) -> list[Any]:
        """Messages of an outcome."""
        ...

    def encode(self, call_id: int, outcome: Ended, step: int, unused: int) -> list[Any]:
        """Messages of the outcome of a step; raises when they cannot be sent."""
        ...

    def log(self, call_id: int, level: int, message: str, step: int) -> Any:
        """Message of a log line."""
        ...

    def ask(self, call_id: int, function: int, args: list[Any], step: int) -> Any:
        """Message of an ask."""
        ...

    def leave(self, code: str, message: str) -> None:
        """Says goaway."""
        ...

    def close(self) -> None:
        """Ends the lane."""
        ...


class _Lead:
    """The lead of a lane. Whoever pops the claim may change the rest; it is there only while a handler runs."""

    __slots__ = ("claim", "clock", "current", "out", "queue", "thread", "timed")

    def __init__(self, queue: deque[Call], timed: bool) -> None:
        self.clock: ThreadClock | None = None
        self.claim: list[None] = []
        self.current: Call | None = None
        self.out: list[Any] = []
        self.queue = queue
        self.thread = 0
        self.timed = timed


class ThreadLane:
    """One lane whose ``def`` handlers run on threads and whose ``async def`` handlers run on the event loop. It is the calls' port."""

    def __init__(self, registry: Registry, carrier: Carrier, workers: Workers, loop: LoopRunner) -> None:
        self.state = LaneState(registry, self)
        self.state.refuse = self._refuse
        self.state.send = self._send
        self._carrier = carrier
        self._workers = workers
        self._loop = loop
        self._lead = _Lead(deque(), False)
        self._lock = threading.Lock()  # guards the three below
        self._standby = False
        self._threads = 0
        self._vacant: _Lead | None = None
        self._closed = False
        self._taking = threading.Lock()  # held by a standby from when it takes the lead until what was gathered has left
        self._doorbell = threading.Semaphore(0)
        self._dozing = False
        self._batches = 0
        self._alone = False  # no standby could be started
        self._crowded = False  # none may be: there are MAX_LANE_THREADS
        self._retry_ns = 0  # when it is tried again
        self._alert = 0  # looks that the standby still makes at the short interval, after it had to act
        self._ended = threading.Event()
        self._refused: list[Any] = []
        self._loop_out: list[Any] = []
        # Made now: at the end there may be no memory.
        self._endings = (carrier.close, self.state.abandon_all, self._leave_registry, self._doorbell.release, self._ended.set)

    @property
    def node(self) -> Node:
        """The gateway node; known before the first call."""
        node = self.state.node
        assert node is not None
        return node

    def start(self) -> None:
        """Starts the leader and the standby. Without a leader the lane ends at once."""
        self.state.registry.add_lane(self.state)
        refused = self._start_thread(self._lead)
        if refused:
            say(f"lane closed: {refused}")
            self._end()
        else:
            self._ensure_standby()

    def wait_ended(self, seconds: float | None = None) -> bool:
        """Waits until the lane has ended."""
        return self._ended.wait(seconds)

    def close(self) -> None:
        """Ends the lane; its calls are sealed by whoever leads."""
        self._carrier.close()

    def fail(self, what: str, fault: BaseException) -> None:
        """Ends the lane after a fault of the engine, on any thread: its calls get the fail mode's answer, and the host opens it again."""
        self._end()
        report(what, fault)

    def _start_thread(self, lead: _Lead | None) -> str:
        """Starts a thread that is counted until it ends; why there is none."""
        with self._lock:
            self._threads += 1
        refused = start_thread("outrigger-lane", self._serve, lead)
        if refused:
            with self._lock:
                self._threads -= 1
        return refused

    def _serve(self, lead: _Lead | None) -> None:
        """Life of a lane's thread. Whatever fails in it ends the lane."""
        fault: BaseException | None = None
        try:
            clock = ThreadClock()
            try:
                self._lead_and_stand_by(lead, clock)
            finally:
                clock.close()
        except BaseException as err:
            fault = emptied(err)
        with self._lock:
            self._threads -= 1
        if fault is not None:
            self.fail("lane failed", fault)

    def _lead_and_stand_by(self, lead: _Lead | None, clock: ThreadClock) -> None:
        """Leads or stands by, until nobody needs the thread."""
        while True:
            if lead is None:
                lead = self._watch()
                if lead is None:
                    return
            if not self._run_lead(lead, clock):
                return
            with self._lock:
                if self._standby or self._closed:
                    return
                self._standby, self._crowded = True, False
            lead = None

    # The leader.

    def _run_lead(self, lead: _Lead, clock: ThreadClock) -> bool:
        """Leads until somebody else does (True), or the lane ends (False)."""
        state, carrier = self.state, self._carrier
        lead.thread, lead.clock = get_ident(), clock
        while True:
            if lead.queue:
                self._batches += 1  # before the look at _dozing: see _watch
                if self._dozing:
                    self._dozing = False
                    self._doorbell.release()
                size = len(lead.queue)
                started = perf_counter_ns()
                if self._alone and started > self._retry_ns:
                    self._ensure_standby()
                if not self._run_batch(lead, clock):
                    return True
                lead.timed = perf_counter_ns() - started > SLOW_NS * size
            if lead.out:
                out, lead.out = lead.out, []
                carrier.write(out)
            alive = carrier.read(state)
            if self._refused:
                lead.out, self._refused = self._refused, []
            if not alive:
                if lead.out:
                    carrier.write(lead.out)
                self._end()
                return False
            lead.queue.extend(state.ready)
            state.ready.clear()

    def _run_batch(self, lead: _Lead, clock: ThreadClock) -> bool:
        """Runs the calls of the queue; False when the lead was lost."""
        queue, claim, carrier, state = lead.queue, lead.claim, self._carrier, self.state
        calls, make_outcome, timed, crowded = state.calls, carrier.outcome, lead.timed, self._crowded
        waiting: list[Call] | None = None
        while queue:
            call = queue.popleft()
            step: Step = call.step
            if not call.bit:
                continue
            if step.is_async:
                if waiting is None:
                    waiting = []
                waiting.append(call)
                continue
            if step.slow or crowded:  # without a standby, a handler that hangs here would leave the lane unread
                self._workers.submit(self, call)
                continue
            if waiting is not None:
                self._to_loop(waiting)
                waiting = None
            call.runner = lead
            lead.current = call
            claim.append(None)
            if timed:
                before = clock.times()
                outcome = run(call, step)
                if clock.times().waits(before):
                    step.slow, step.quick = True, 0
            else:
                outcome = run(call, step)
            try:
                claim.pop()
            except IndexError:  # the lead is somebody else's: only the reply of this call is ours
                if outcome is not None:
                    self._reply(call, outcome)
                return False
            if outcome is not None:
                if call.trip is None:
                    call_id = call.call_id
                    calls.pop(call_id, None)
                    if state.waiters or state.watched:
                        state.forget(call)
                    lead.out += make_outcome(call_id, outcome)
                else:
                    self._finish_step(lead, call, outcome)
                if len(lead.out) > FLUSH_FRAMES:
                    out, lead.out = lead.out, []
                    carrier.write(out)
        lead.current = None
        if waiting is not None:
            self._to_loop(waiting)
        return True

    def _finish_step(self, lead: _Lead, call: Call, outcome: Ended) -> None:
        """Adds the outcome of a step to the batch, and puts the next one in front of the queue."""
        messages, after = self.state.finish(call, outcome, self._carrier.encode)
        lead.out += messages
        if after is None:
            return
        lead.queue.appendleft(after)
        if after.step.is_async or after.step.slow or self._crowded:  # another thread will answer it: what came before leaves before
            out, lead.out = lead.out, []
            self._carrier.write(out)
        elif self._alert:
            self._alert = ALERT_LOOKS
        else:  # from now on the standby looks often: outcomes must not wait for long behind a step that blocks
            self._alert = ALERT_LOOKS
            self._doorbell.release()

    def _reply(self, call: Call, outcome: Ended) -> None:
        """Sends an outcome that is in no batch, and has the next step of its call run."""
        if call.trip is None:
            self.state.forget(call)
            self._carrier.write(self._carrier.outcome(call.call_id, outcome))
            return
        after = self._reply_step(call, outcome)
        if after is not None:
            self._go_on(after)

    def _reply_step(self, call: Call, outcome: Ended) -> Call | None:
        messages, after = self.state.finish(call, outcome, self._carrier.encode)
        with self._taking:  # a standby that took the lead sends the outcomes of the steps before first
            self._carrier.write(messages)
        return after

    def _go_on(self, call: Call) -> None:
        """Runs a later step, from a thread that does not lead."""
        if not call.step.is_async:
            self._workers.submit(self, call)
        elif self._loop.is_current():
            self._loop.follow(call)
        else:
            self._to_loop([call])

    def _to_loop(self, calls: list[Call]) -> None:
        """Runs calls on the event loop."""
        try:
            self._loop.submit(calls)
        except NoThread as err:
            for call in calls:
                self.cannot_run(call, str(err))

    def cannot_run(self, call: Call, why: str) -> None:
        """Fails a call that there is no thread for. The lane goes on."""
        if call.seal(ENDED):
            self._reply(call, Outcome(error=(HANDLER_ERROR, f"the handler did not run: {why}", "")))

    def _wait_turn(self, call: Call) -> None:
        """Waits until the outcomes of the steps before have left: a thread of the handler's own has something to send."""
        lead = call.runner
        if call.number and isinstance(lead, _Lead):
            while self._lead is lead and lead.current is call and lead.out:
                time.sleep(LOOK_AFTER_ACTING)
            with self._taking:
                return

    def _send(self, message: Any) -> None:
        self._carrier.write([message])

    def _refuse(self, call_id: int, outcome: Ended) -> None:
        self._refused += self._carrier.outcome(call_id, outcome)

    def _end(self) -> None:
        """Ends the lane and seals its calls, on any thread, once or more often."""
        self._closed = True
        for ending in self._endings:
            insist(ending, "a lane could not be ended")

    def _leave_registry(self) -> None:
        self.state.registry.remove_lane(self.state)

    # The standby.

    def _ensure_standby(self, forced: bool = False) -> bool:
        """Has a thread stand by. Without one the leader goes on alone, and tries again with a later batch."""
        with self._lock:
            if self._standby or self._closed:
                self._alone = False
                return True
            if self._threads >= MAX_LANE_THREADS and not forced:
                self._crowded = True
                return False
            self._standby, self._crowded = True, False
        began = perf_counter_ns()
        refused = self._start_thread(None)
        if refused:
            with self._lock:
                self._standby = False
            if not self._alone:
                say(f"{refused}; until there is one, a handler that blocks holds up its lane")
            self._retry_ns = max(began + RETRY_NS, next_try(began))
        self._alone = bool(refused)
        return not refused

    def _watch(self) -> _Lead | None:
        """Looks whether one handler keeps the lead too long. Gives the lead that it took, or None when the lane has ended."""
        seen: Call | None = None
        before: Times | None = None
        quiet = 0
        batches = -1
        while True:
            if self._batches == batches:
                quiet += 1
            else:
                quiet, batches = 0, self._batches
            look = LOOK_AFTER_ACTING if self._alert else LOOK
            if quiet > IDLE_LOOKS and self._lead.current is None:
                # Nothing flows: sleep until the leader rings. It counts its batch before it looks at _dozing, and this looks the other
                # way round, so one of the two sees the other.
                self._dozing = True
                if self._batches == batches:
                    self._doorbell.acquire()
                self._dozing = False
                quiet = 0
            else:
                if self._doorbell.acquire(timeout=look):
                    seen = None  # rung before the look was over: the handler's time starts anew
                self._alert -= self._alert > 0
            if self._closed:
                with self._lock:
                    self._standby = False
                return None
            vacant = self._take_vacant()
            if vacant is not None:
                return self._take_over(vacant)
            lead = self._lead
            call, clock = lead.current, lead.clock
            if call is None or clock is None or not lead.claim:
                seen = None
                continue
            now = clock.times()
            if call is not seen or before is None:
                seen, before = call, now
            elif now.held_up(before) or (2 * now.computed(before) < now.wall - before.wall and clock.runnable()):
                before = now  # it has no processor; taking over would give it none
            else:
                with self._taking:
                    try:
                        lead.claim.pop()
                    except IndexError:
                        seen = None
                        continue
                    # The rest of the batch is ours. A handler that has used less than half of the time waits for something.
                    step: Step = call.step
                    if lead.current is call and 2 * now.computed(before) < now.wall - before.wall:
                        step.slow, step.quick = True, 0
                    self._alert = ALERT_LOOKS
                    taken = _Lead(lead.queue, True)
                    taken.out = lead.out
                    return self._take_over(taken)

    def _take_vacant(self) -> _Lead | None:
        with self._lock:
            vacant, self._vacant = self._vacant, None
            return vacant

    def _take_over(self, lead: _Lead) -> _Lead:
        """The standby becomes the leader, and another thread the standby."""
        self._lead = lead
        if lead.out:
            out, lead.out = lead.out, []
            self._carrier.write(out)
        with self._lock:
            self._standby = False
        self._ensure_standby()
        return lead

    # Workers.

    def run_on_worker(self, call: Call, clock: ThreadClock, desk: Desk) -> None:
        """Runs a call on the current worker thread and sends its reply."""
        following: Call | None = call
        while following is not None:
            following = self._work_on(following, clock, desk)

    def _work_on(self, call: Call, clock: ThreadClock, desk: Desk) -> Call | None:
        """Runs a call and sends its reply; the next step of it, if that is for this thread, too."""
        desk.begin(call)  # before the look whether it is sealed: the desk hears of a cancel from here on
        if not call.bit:
            return None
        step: Step = call.step
        if step.always_slow or step.asked:  # who asked will ask again, most likely: the clocks cost more than what they would tell
            step.asked = False
            outcome = run(call, step)
        else:
            before = clock.times()
            outcome = run(call, step)
            if clock.times().waits(before):
                step.quick = 0
            else:
                step.quick += 1
                if step.quick >= QUICK_RUNS:
                    step.slow, step.quick = False, 0
        if outcome is None:
            return None
        if call.trip is None:
            self._reply(call, outcome)
            return None
        after = self._reply_step(call, outcome)
        if after is None or not after.step.is_async:
            return after
        self._go_on(after)
        return None

    # The port of the calls.

    def log(self, call: Call, level: int, message: str) -> None:
        """Sends a log line: with the reply, or at once from level err on."""
        self._emit(call, [self._carrier.log(call.call_id, level, message, call.number)], level >= URGENT_LEVEL)

    def lied(self, call: Call, message: str) -> None:
        """Closes the lane: what the host sent does not decode."""
        say(f"lane closed: {message}")
        self._carrier.leave(BAD_FRAME, message)
        self.close()

    def deliver(self, call: Call, outcome: Ended) -> None:
        """Sends the outcome of a call that an exit or the event loop has sealed."""
        try:
            if call.trip is None:
                self.state.forget(call)
                self._emit(call, self._carrier.outcome(call.call_id, outcome), False)
                return
            messages, after = self.state.finish(call, outcome, self._carrier.encode)
            self._emit(call, messages, False)
            if after is not None:
                if not after.step.is_async:  # another thread will answer it: what came before leaves before
                    self._flush_loop()
                self._go_on(after)
        except BaseException as err:  # nobody else has the outcome
            fault = emptied(err)
        else:
            return
        self.fail("outcome lost", fault)

    def _emit(self, call: Call, messages: list[Any], urgent: bool) -> None:
        lead = call.runner
        if isinstance(lead, _Lead):
            if lead.thread == get_ident() and self._with_lead(lead, messages, urgent):
                return
        elif call.step.is_async:
            if self._loop.is_current():
                self._send_from_loop(messages)
                return
            if call.trip is not None:  # behind the outcomes of the steps before
                self._loop.call(self._send_from_loop, messages)
                return
        self._wait_turn(call)
        self._carrier.write(messages)

    def _send_from_loop(self, messages: list[Any]) -> None:
        if not self._loop_out:
            self._loop.later(self._flush_loop)
        self._loop_out += messages

    def _with_lead(self, lead: _Lead, messages: list[Any], urgent: bool) -> bool:
        """Adds messages of the running handler to the batch; False when the lead was lost."""
        try:
            lead.claim.pop()
        except IndexError:
            return False
        try:
            lead.out += messages
            if urgent or len(lead.out) > FLUSH_FRAMES:
                out, lead.out = lead.out, []
                self._carrier.write(out)
        finally:
            lead.claim.append(None)
        return True

    def _flush_loop(self) -> None:
        out, self._loop_out = self._loop_out, []
        if not out:
            return
        try:
            self._carrier.write(out)
        except BaseException as err:  # the loop would go on without them
            fault = emptied(err)
        else:
            return
        self.fail("outcomes lost", fault)

    def ask(self, call: Call, function: int, args: list[Any]) -> Answer:
        """Asks the host and blocks. A leader gives up the lead first, since somebody has to read the answer."""
        message = self._carrier.ask(call.call_id, function, args, call.number)
        step: Step = call.step
        # Who asks waits; before the question leaves, so that the next call already finds it.
        step.slow, step.quick, step.asked = True, 0, True
        lead = call.runner
        leads = isinstance(lead, _Lead) and lead.thread == get_ident()
        if leads and not self._standby and lead.claim and not self._ensure_standby(forced=True):
            return Answer(error=("host_error", "cannot ask: no thread could be started that reads the answer"))
        registered = self.state.new_waiter(call, message, None)
        if registered is None:
            return sealed_answer(call)
        waiter, now = registered
        messages = [message] if now else []
        try:
            handed_over = leads and self._hand_over(lead, messages)
            if messages and not handed_over:
                if step.is_async:
                    self._emit(call, messages, False)
                else:
                    self._wait_turn(call)
                    self._carrier.write(messages)
        except BaseException as err:  # nobody would lead, or later asks would wait for the answer to this one
            self.fail("question lost", err)
            raise
        return waiter.wait()

    def _hand_over(self, lead: _Lead, messages: list[Any]) -> bool:
        """Gives up the lead; False when it was lost. Somebody stands by: who does so leaves only with the lead."""
        vacant = _Lead(lead.queue, lead.timed)
        try:
            lead.claim.pop()
        except IndexError:
            return False
        out, lead.out = lead.out, []
        out += messages
        with self._lock:
            self._vacant = vacant
        self._carrier.write(out)
        self._doorbell.release()
        return True

    async def ask_async(self, call: Call, function: int, args: list[Any]) -> Answer:
        """Asks the host and waits, in the event loop."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        message = self._carrier.ask(call.call_id, function, args, call.number)
        registered = self.state.new_waiter(call, message, future)
        if registered is None:
            return sealed_answer(call)
        if registered[1]:
            try:
                self._emit(call, [message], False)
            except BaseException as err:
                self.fail("question lost", err)
                raise
        return await future
