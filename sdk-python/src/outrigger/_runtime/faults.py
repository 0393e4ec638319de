"""What the engine does when the system refuses it a thread or memory: it goes on with less, or ends a lane, or ends the process.

Nothing of it may be silent: a lane that is open but that nobody reads looks healthy, and every call on it waits until its deadline.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from time import perf_counter_ns
from types import TracebackType
from typing import Any, NoReturn

EXIT_CODE = 70
"""Of a process that cannot go on; EX_SOFTWARE of sysexits.h."""

_TRIES = 100
_PAUSE = 0.01
_MAX_CONTEXTS = 8
_BEGIN_LOOKS = 100
_BEGIN_LOOK = 0.02

LONG_NS = 1_000_000_000
BACK_OFF = 5
"""A start that took longer than this before it failed held up its lane: so many times as long, no other is tried."""


_ending = threading.Event()


class NoThread(Exception):
    """The system gives no thread, or nothing of what one needs."""


class _Begun(threading.Event):
    """Tells whoever starts a thread that it has begun. Without memory for its first frame it never does, and says so to nobody."""

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the beginning, but not for ever. Of the time that the process is stopped or frozen, one look passes at most."""
        if timeout is not None:
            return super().wait(timeout)
        for _ in range(_BEGIN_LOOKS):
            if super().wait(_BEGIN_LOOK):
                return True
        raise NoThread(f"it has not begun after {_BEGIN_LOOKS * _BEGIN_LOOK:g} s")


class EngineThread(threading.Thread):
    """A thread that calls rely on: the process ends when it dies by a fault."""

    def __init__(self, name: str, work: Callable[..., object], args: tuple[Any, ...]) -> None:
        super().__init__(name=name, daemon=True)
        self._started = _Begun()
        self.claim: list[None] = [None]  # whoever pops it decides whether the thread has begun
        self._job = (work, args)

    def run(self) -> None:
        """Works, unless it was given up before."""
        try:
            self.claim.pop()
        except IndexError:
            return
        work, args = self._job
        try:
            work(*args)
        except BaseException as err:
            fault = emptied(err)
        else:
            return
        if _ending.is_set():
            report(f"thread {self.name} failed while the plugin server ends", fault)
        else:
            give_up(f"thread {self.name} failed", fault)


def start_thread(name: str, work: Callable[..., object], *args: Any) -> str:
    """Starts a thread of the engine. Says why the system gives none; nothing when it runs."""
    try:
        thread = EngineThread(name, work, args)
    except Exception as err:
        return _refused(err)
    try:
        thread.start()
    except Exception as err:
        try:
            thread.claim.pop()
        except IndexError:  # it runs: only to wait for that has failed
            return ""
        return _refused(err)
    return ""


def next_try(began: int) -> int:
    """When to start a thread again, after a failure that began then; nanoseconds."""
    now = perf_counter_ns()
    return now + BACK_OFF * (now - began) if now - began > LONG_NS else now


def _refused(err: Exception) -> str:
    return f"no thread could be started: {reason(err)}"


def reason(err: BaseException) -> str:
    """What an exception says, or its name when it says nothing, as MemoryError does."""
    return str(err) or type(err).__name__


def emptied(fault: BaseException) -> BaseException:
    """The exception, without what its frames hold: after a MemoryError that is what the next step needs."""
    at: BaseException | None = fault
    for _ in range(_MAX_CONTEXTS):
        if at is None:
            break
        traceback.clear_frames(at.__traceback__)
        at = at.__context__
    return fault


def say(line: str) -> None:
    """Writes a line to standard error; that it cannot be written is no harm."""
    with contextlib.suppress(Exception):
        print(f"outrigger: {line}", file=sys.stderr, flush=True)


def report(what: str, fault: BaseException) -> None:
    """Writes a fault of the engine to standard error, with its traceback if there is memory for it."""
    try:
        text = "".join(traceback.format_exception(fault))
    except Exception:
        text = type(fault).__name__
    say(f"{what}:\n{text}")


def insist(step: Callable[[], object], what: str) -> None:
    """Does what must not be left out: tries for a second, then ends the process."""
    fault: BaseException | None = None
    for _ in range(_TRIES):
        try:
            step()
        except Exception as err:
            fault = emptied(err)
        else:
            return
        time.sleep(_PAUSE)
    give_up(what, fault)


def give_up(what: str, fault: BaseException | None = None) -> NoReturn:
    """Ends the process, in which something is gone that it cannot do without. The gateway starts another one."""
    try:
        if fault is not None:
            report(what, fault)
        say(f"{what}; the plugin server ends")
    finally:
        os._exit(EXIT_CODE)


def guard_process() -> None:
    """Ends the process when a thread dies that it needs: one of the engine, one of gRPC's server, or one that has not begun.

    Whoever starts a thread that dies before it has begun waits for it for ever: a thread that a plugin starts ends the process, too.
    Only for a process that is a plugin server and nothing else.
    """
    of_thread, of_unraisable = threading.excepthook, sys.unraisablehook

    def thread_died(args: threading.ExceptHookArgs) -> None:
        if not _ending.is_set() and (isinstance(args.thread, EngineThread) or _of_grpc(args.exc_traceback)):
            give_up("a thread died that the plugin server needs", args.exc_value)
        of_thread(args)

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        begins = "_bootstrap" in (args.err_msg or "") or (  # from Python 3.13 on only the text names it
            isinstance(getattr(args.object, "__self__", None), threading.Thread) and getattr(args.object, "__name__", "") == "_bootstrap"
        )
        if begins and not _ending.is_set():
            give_up("a thread died before it had begun", args.exc_value)
        of_unraisable(args)

    threading.excepthook = thread_died
    sys.unraisablehook = unraisable


def end_in_order() -> None:
    """The process is about to end by itself, in bounded time: from now on the death of a thread does not end it with a failure.

    gRPC's thread, for one, cannot hand on a call once the interpreter takes its threads down.
    """
    _ending.set()


def _of_grpc(trace: TracebackType | None) -> bool:
    """Whether the thread was the one that hears for gRPC's server: no call and no question for the health is answered without it."""
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == "grpc._server":
            return True
        trace = trace.tb_next
    return False
