"""Runs what configures instances, each on a thread of its own: a plugin that hangs there holds up its own instance alone."""

from __future__ import annotations

import threading
from collections.abc import Callable

MAX_HANGING = 4
"""Configures of one instance that nobody waits for any more and that still run, before no other one is begun."""


class StillHanging(Exception):
    """Too many configures of an instance hang already."""


class Turn:
    """One configure of an instance. Whoever has asked for it may give it up while it runs."""

    def __init__(self, all_of_them: Configuring, identity: int) -> None:
        self._all = all_of_them
        self.identity = identity
        self.wanted = True
        self._over = False
        self._fault: BaseException | None = None

    def give_up(self) -> None:
        """Nobody waits any more: what it makes is to be closed."""
        with self._all.changed:
            self.wanted = False
            self._all.changed.notify_all()

    def run(self, work: Callable[[], None]) -> bool:
        """Does the work, after another configure of the instance that is waited for. False when it was given up before its end.

        Raises:
            StillHanging: it was not begun.
            Exception: what the work raised.
        """
        changed = self._all.changed
        with changed:
            changed.wait_for(lambda: not self.wanted or not any(turn.wanted for turn in self._all.of(self.identity)))
            if not self.wanted:
                return False
            if len(self._all.of(self.identity)) >= MAX_HANGING:
                raise StillHanging(f"{MAX_HANGING} earlier attempts to configure instance {self.identity} still hang")
            threading.Thread(target=self._work, args=(work,), name=f"outrigger-configure-{self.identity}", daemon=True).start()
            self._all.running.add(self)
            changed.wait_for(lambda: self._over or not self.wanted)
            if not self._over:
                return False
        if self._fault is not None:
            raise self._fault
        return True

    def _work(self, work: Callable[[], None]) -> None:
        with self._all.changed:
            pass  # whoever has started this has counted it by now
        try:
            work()
        except BaseException as err:
            self._fault = err
        with self._all.changed:
            self._over = True
            self._all.running.remove(self)
            self._all.changed.notify_all()


class Configuring:
    """The configures that run."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.running: set[Turn] = set()

    def of(self, identity: int) -> list[Turn]:
        """Those of one instance; the lock is held."""
        return [turn for turn in self.running if turn.identity == identity]

    def turn(self, identity: int) -> Turn:
        """A configure that is to run."""
        return Turn(self, identity)
