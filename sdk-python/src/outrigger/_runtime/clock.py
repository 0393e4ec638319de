"""Where the time of a thread goes: into computing, into waiting for a processor, or into waiting for something.

On a busy machine a handler that never waits can take long, since its thread is preempted. Linux counts that time apart.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import Self

SLOW_NS = 200_000
"""A handler that waits longer than this goes to a worker."""


@dataclass(frozen=True, slots=True)
class Times:
    """What a thread has used so far, in nanoseconds: time by the wall, on a processor, and ready to run but without one."""

    wall: int
    cpu: int
    queued: int

    def waited(self, since: Self) -> int:
        """Nanoseconds that the thread neither computed nor was ready to."""
        return (self.wall - since.wall) - (self.cpu - since.cpu) - (self.queued - since.queued)

    def computed(self, since: Self) -> int:
        """Nanoseconds on a processor."""
        return self.cpu - since.cpu

    def waits(self, since: Self) -> bool:
        """Whether what ran mostly waited, and for long."""
        return self.waited(since) > max(SLOW_NS, self.computed(since))

    def held_up(self, since: Self) -> bool:
        """Whether the thread was mostly ready to run, but did not."""
        wall, cpu = self.wall - since.wall, self.cpu - since.cpu
        return 2 * cpu < wall <= 2 * (cpu + self.queued - since.queued)


class ThreadClock:
    """Times of the thread that makes it, which any thread may read. Where the system does not tell, nothing was ``queued``."""

    def __init__(self) -> None:
        self._thread = threading.get_native_id()
        self._task = f"/proc/self/task/{self._thread}"
        self._cpu: int | None = None
        if sys.platform != "win32" and hasattr(time, "pthread_getcpuclockid"):
            self._cpu = time.pthread_getcpuclockid(threading.get_ident())
        self._lock = threading.Lock()  # guards the file: a number that was closed may be another file's
        self._file = -1
        self._closed = False

    def times(self) -> Times:
        """What the thread has used until now."""
        queued = self._queued()  # first: what is queued between the reads counts as waiting, not twice
        return Times(time.perf_counter_ns(), self._computed(), queued)

    def runnable(self) -> bool:
        """Whether the thread runs now, or would if it had a processor."""
        try:
            with open(f"{self._task}/stat", "rb") as file:  # noqa: PTH123 - a Path costs more than the read
                return file.read(512).rpartition(b")")[2][:2] == b" R"
        except OSError:
            return False

    def close(self) -> None:
        """Ends the use of the clock, with its thread."""
        with self._lock:
            self._closed = True
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _computed(self) -> int:
        if self._cpu is None:
            return time.thread_time_ns() if threading.get_native_id() == self._thread else 0
        try:
            return time.clock_gettime_ns(self._cpu)
        except OSError:  # the thread has ended
            return 0

    def _queued(self) -> int:
        with self._lock:
            if self._closed:
                return 0
            try:
                if self._file < 0:
                    self._file = os.open(f"{self._task}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
                return int(os.pread(self._file, 64, 0).split()[1])
            except (OSError, ValueError, IndexError):  # no Linux, a kernel without these figures, or the thread has ended
                self._closed = self._file < 0
                return 0
