"""Instances of a server, and the calls that run, so that releasing and draining can wait for them."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ..schema import ConfigError
from .faults import insist, report, say, start_thread
from .plugins import Instance, PluginSpec


class CallTable(Protocol):
    """The calls in flight of one lane."""

    @property
    def calls(self) -> dict[int, Any]:
        """Calls by call id."""
        ...

    watched: bool


_CLOSE_SECONDS = 1.0
"""How long a release waits for the plugins' ``close``; one that takes longer goes on by itself."""

RunAsync = Callable[[Any], None]
"""Runs a coroutine to its end on the event loop."""


class Registry:
    """Plugin classes and instances of one server."""

    def __init__(self, specs: Iterable[PluginSpec], run_async: RunAsync) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self.instances: dict[int, Instance] = {}
        self._run_async = run_async
        self._lanes: set[CallTable] = set()
        self._changed = threading.Condition()
        self._table = threading.Lock()  # of those who change instances, and of the next one
        self._late: list[Instance] = []  # calls used these too long while the system gave no thread: the next release closes them

    def configure(
        self,
        identity: int,
        plugin: str,
        config: dict[str, Any],
        record_id: str = "",
        wanted: Callable[[], bool] = lambda: True,
    ) -> list[tuple[str, str]]:
        """Creates or replaces an instance of a plugin record; what it answers are the faults, ``(path, message)``.

        An instance that is not ``wanted`` any more when its ``configure`` returns is closed.
        """
        spec = self.specs.get(plugin)
        if spec is None:
            return [("", f"plugin {plugin!r} is not hosted here; this server has {', '.join(sorted(self.specs)) or 'none'}")]
        try:
            instance = Instance(identity, spec, spec.make(config), record_id)
            self._run_hook(instance, "configure")
        except ConfigError as err:
            return err.errors
        except Exception as err:
            report(f"plugin {plugin}: configuring instance {identity}", err)
            return [("", f"{type(err).__name__}: {err}")]
        with self._table:
            kept = wanted()
            old = self.instances.get(identity) if kept else instance
            if kept:
                self.instances[identity] = instance
        if old is not None:
            self._retire([old])
        return []

    def release(self, identities: Iterable[int]) -> None:
        """Closes instances once their running calls are done."""
        with self._table:
            released = [self.instances.pop(identity, None) for identity in identities]
        self._retire([instance for instance in released if instance is not None])

    def close(self) -> None:
        """Closes every instance now."""
        instances = list(self.instances.values())
        self.instances.clear()
        with self._table:
            late, self._late = self._late, []
        for instance in instances + late:
            self._close(instance)

    def _run_hook(self, instance: Instance, name: str) -> None:
        hook = instance.hook(name)
        if hook is None:
            return
        result = hook()
        if inspect.iscoroutine(result):
            self._run_async(result)

    def _retire(self, instances: list[Instance]) -> None:
        """Closes instances; waits a moment for those that no call uses. Without a thread it does so here, and waits for their calls."""
        with self._table:
            left, self._late = instances + self._late, []
        for instance in left:
            instance.released = True
        deadline = time.monotonic() + _CLOSE_SECONDS
        closings: list[threading.Event] = []
        late: list[Instance] = []
        try:
            while left:
                if not self._begin_to_close(left[0], closings, deadline):
                    late.append(left[0])
                del left[0]
        finally:
            with self._table:
                self._late += late + left
        for closed in closings:
            closed.wait(max(0.0, deadline - time.monotonic()))

    def _begin_to_close(self, instance: Instance, closings: list[threading.Event], deadline: float) -> bool:
        """Has an instance closed, here if there is no thread; False when its calls run too long for that. Adds what is worth a wait."""
        closed = threading.Event()
        if not self._used(instance):
            closings.append(closed)
        refused = start_thread("outrigger-close", self._close_when_idle, instance, closed)
        if refused:
            if self._used(instance) and not self._wait_until(lambda: not self._used(instance), deadline - time.monotonic()):
                say(f"plugin {instance.spec.name}: instance {instance.id} is closed with a later release, since calls use it and {refused}")
                return False
            self._close(instance)
            closed.set()
        return True

    def _used(self, instance: Instance) -> bool:
        return self._runs(lambda call: call.step is not None and call.step.instance is instance)

    def _close_when_idle(self, instance: Instance, closed: threading.Event) -> None:
        if self._used(instance):  # lanes that are watched tell each end of a call from then on
            insist(lambda: self._wait_until(lambda: not self._used(instance), None), "an instance could not be closed")
        self._close(instance)
        closed.set()

    def _close(self, instance: Instance) -> None:
        try:
            self._run_hook(instance, "close")
        except BaseException as err:  # whatever a plugin raises: the thread is the engine's
            report(f"plugin {instance.spec.name}: closing instance {instance.id}", err)

    # Waiting for calls.

    def add_lane(self, lane: CallTable) -> None:
        """Lets release and drain see the calls of a lane."""
        with self._changed:
            self._lanes.add(lane)

    def remove_lane(self, lane: CallTable) -> None:
        """Forgets a lane that has ended."""
        with self._changed:
            self._lanes.discard(lane)
            self._changed.notify_all()

    def note(self) -> None:
        """Says that a call ended on a watched lane."""
        with self._changed:
            self._changed.notify_all()

    def drain(self, seconds: float) -> bool:
        """Waits until no call runs; whether that came true in time."""
        return self._wait_until(lambda: not self._runs(lambda _: True), seconds)

    def _runs(self, wanted: Callable[[Any], bool]) -> bool:
        with self._changed:
            lanes = list(self._lanes)
        return any(wanted(call) for lane in lanes for call in list(lane.calls.values()))

    def _wait_until(self, done: Callable[[], bool], seconds: float | None) -> bool:
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            with self._changed:
                for lane in self._lanes:
                    lane.watched = True
            if done():
                return True
            with self._changed:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                # A call may have ended between the look and the wait: look again after 50 ms at most.
                self._changed.wait(0.05 if left is None else min(left, 0.05))
