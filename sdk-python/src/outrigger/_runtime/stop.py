"""The wish that a server ends: of its host, or of a signal."""

from __future__ import annotations

import os
import signal

_ASKED = 0
"""No signal has this number."""


class StopRequest:
    """Waits for the wish that the server ends.

    A signal writes its number into a pipe before Python looks at it, whichever thread it interrupts. A thread that waits for a lock instead
    sleeps on when the signal has interrupted another one.
    """

    def __init__(self) -> None:
        self._signals: set[int] = set()
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def listen(self, *numbers: signal.Signals) -> None:
        """Takes signals as the wish; on the main thread."""
        for number in numbers:
            self._signals.add(number)
            signal.signal(number, lambda number, frame: None)  # without a handler nothing is written
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def ask(self) -> None:
        """Wishes the end, from any thread."""
        os.write(self._write, bytes([_ASKED]))

    def wait(self) -> None:
        """Returns when the end is wished. Signals of plugins are passed over."""
        while True:
            number = os.read(self._read, 1)[0]
            if number == _ASKED or number in self._signals:
                return
