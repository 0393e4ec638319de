"""Runs what configures instances, each on a thread of its own: a plugin that hangs there holds up its own instance alone."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Turn:
    """One configure of an instance. Whoever has asked for it may give it up while it runs."""

    def __init__(self, queue: Configuring, identity: int) -> None:
        self._queue = queue
        self._identity = identity
        self.wanted = True
        self._over = False
        self._fault: BaseException | None = None

    def give_up(self) -> None:
        """Nobody waits any more: what it makes is to be closed."""
        with self._queue.changed:
            self.wanted = False
            self._queue.changed.notify_all()

    def run(self, work: Callable[[], None]) -> bool:
        """Waits until no other configure of the instance runs, then for the work; False when it was given up before.

        Raises:
            Exception: what the work raised.
        """
        queue = self._queue
        with queue.changed:
            queue.changed.wait_for(lambda: self._identity not in queue.busy or not self.wanted)
            if not self.wanted:
                return False
            queue.busy.add(self._identity)
        try:
            threading.Thread(target=self._work, args=(work,), name=f"outrigger-configure-{self._identity}", daemon=True).start()
        except RuntimeError:  # no thread can be had
            self._end()
            raise
        with queue.changed:
            queue.changed.wait_for(lambda: self._over or not self.wanted)
            if not self._over:
                return False
        if self._fault is not None:
            raise self._fault
        return True

    def _work(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as err:
            self._fault = err
        finally:
            self._end()

    def _end(self) -> None:
        with self._queue.changed:
            self._over = True
            self._queue.busy.discard(self._identity)
            self._queue.changed.notify_all()


class Configuring:
    """The instances that are being configured, each once at a time: a host that asks again for one that hangs starts no second."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.busy: set[int] = set()

    def turn(self, identity: int) -> Turn:
        """A configure that is to run."""
        return Turn(self, identity)
