"""Runs ``async def`` handlers on one event loop.

A few long-lived tasks, the runners, take calls from a queue. A handler that never waits costs no task of its own; when one waits, another
runner goes on with the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from .call import Call
from .faults import NoThread, emptied, give_up, report, say, start_thread
from .handlers import run_async

_MAX_IDLE = 64


def new_event_loop() -> asyncio.AbstractEventLoop:
    """An event loop of uvloop when it is installed, else of asyncio."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class _Runner:
    """The task that runs a call, so that a cancel finds it."""

    __slots__ = ("_loop", "task")

    def __init__(self, loop: LoopRunner) -> None:
        self._loop = loop
        self.task: asyncio.Task[None] | None = None

    def cancel_call(self, call: Call) -> None:
        """Interrupts the handler of a sealed call."""
        if self._loop.is_current():
            self._cancel(call)
        else:
            self._loop.call(self._cancel, call)

    def _cancel(self, call: Call) -> None:
        if call.runner is self and self.task is not None:
            self.task.cancel()


def _on_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Ends the process when memory ran out in a callback of the engine: what it was to do is lost, and somebody may wait for ever."""
    fault = context.get("exception")
    if "handle" in context and isinstance(fault, MemoryError) and _of_engine(fault):
        give_up("the event loop has no memory", fault)
    loop.default_exception_handler(context)


def _of_engine(fault: BaseException) -> bool:
    """Whether a callback of the engine failed, by its first frame. One that has none beside those of asyncio may have been the engine's."""
    trace = fault.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__"))
        if module.partition(".")[0] not in ("asyncio", "uvloop"):
            return module.startswith(f"{__package__}.")
        trace = trace.tb_next
    return True


def _tell(ready: threading.Event) -> None:
    """Says that the loop runs; a callback of the engine, by its frame."""
    ready.set()


class LoopRunner:
    """An event loop on a thread of its own, started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._queue: deque[Call] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._waking = False
        self._checking = False

    def start(self) -> asyncio.AbstractEventLoop:
        """The loop, running.

        Raises:
            NoThread: the system gives none for it.
        """
        with self._lock:
            if self._loop is None:
                try:
                    loop = new_event_loop()
                except OSError as err:
                    raise NoThread(f"no event loop could be made: {err}") from None
                ready = threading.Event()
                self._loop = loop
                refused = start_thread("outrigger-loop", self._main, loop, ready)
                if refused:
                    self._loop = None
                    loop.close()
                    raise NoThread(refused)
                ready.wait()
            return self._loop

    def _main(self, loop: asyncio.AbstractEventLoop, ready: threading.Event) -> None:
        self._thread = threading.get_ident()
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(_on_error)
        loop.call_soon(_tell, ready)
        while self._loop is loop:
            try:
                loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as err:  # asyncio lets these through; what was to run is still to run
                report(f"a task of a plugin raised {type(err).__name__}; the event loop goes on", err)
            else:
                if self._loop is loop:
                    say("a plugin stopped the event loop; it goes on")
        try:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(loop.shutdown_asyncgens())
        except BaseException as err:  # of a plugin's task, which was cancelled
            report("the event loop did not end cleanly", err)
        loop.close()

    def stop(self) -> None:
        """Ends the loop."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(loop.stop)

    def is_current(self) -> bool:
        """Whether this is the loop's thread."""
        return threading.get_ident() == self._thread

    def later(self, callback: Callable[[], None]) -> None:
        """Calls back at the end of this turn of the loop; only on the loop's thread."""
        self.start().call_soon(callback)

    def call(self, callback: Callable[..., None], *args: Any) -> None:
        """Calls back on the loop, from any thread."""
        self.start().call_soon_threadsafe(callback, *args)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Runs a coroutine to its end, from another thread."""
        asyncio.run_coroutine_threadsafe(coroutine, self.start()).result()

    def submit(self, calls: list[Call]) -> None:
        """Runs calls, from another thread."""
        self.start().call_soon_threadsafe(self.accept, calls)

    def accept(self, calls: Sequence[Call]) -> None:
        """Runs calls; only on the loop's thread."""
        try:
            self._queue.extend(calls)
            self._wake()
        except BaseException as err:
            fault = emptied(err)
        else:
            return
        give_up("the event loop cannot run its calls", fault)

    def follow(self, call: Call) -> None:
        """Runs a call after the one whose outcome is being delivered; only on the loop's thread."""
        self._queue.appendleft(call)

    def _wake(self) -> None:
        if self._waking or not self._queue:
            return
        self._waking = True
        while self._idle:
            future = self._idle.pop()
            if not future.done():
                future.set_result(None)
                return
        task = asyncio.get_running_loop().create_task(self._run_calls(), context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _check(self) -> None:
        # Runs once the active runner has given way: what is still in the queue then waits behind a handler that waits.
        self._checking = False
        self.accept(())

    async def _run_calls(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        runner = _Runner(self)
        runner.task = task
        clean = contextvars.copy_context()
        queue = self._queue
        try:
            while True:
                self._waking = False
                while queue:
                    call = queue.popleft()
                    if queue and not self._checking:
                        self._checking = True
                        loop.call_soon(self._check)
                    if not call.bit:
                        continue
                    call.runner = runner
                    outcome = await run_async(call, call.step)
                    call.runner = None
                    if task is not None:
                        while task.cancelling():
                            task.uncancel()
                    if outcome is not None:
                        call.port.deliver(call, outcome)
                    if contextvars.copy_context() != clean:
                        # The handler left context variables behind: the next one must not see them.
                        self._wake()
                        return
                if len(self._idle) >= _MAX_IDLE:
                    return
                future: asyncio.Future[None] = loop.create_future()
                self._idle.append(future)
                try:
                    await future
                except asyncio.CancelledError:
                    if loop.is_running() and task is not None and self._loop is loop:
                        while task.cancelling():  # a cancel that came after its handler had ended
                            task.uncancel()
                        continue
                    raise
        except (asyncio.CancelledError, GeneratorExit):  # the event loop ends
            raise
        except BaseException as err:
            fault = emptied(err)
        else:
            return
        give_up("the event loop cannot run its calls", fault)
