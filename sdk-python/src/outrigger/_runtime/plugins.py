"""Checks plugin classes and makes instances of them."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from typing import Any, cast

from .._errors import PluginError
from ..plugin import Plugin
from ..schema import decode_config, schema_of
from .wire import BODY_FILTER, PHASES

NEEDS = ("request_body", "response_body")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*").fullmatch


class PluginSpec:
    """A checked plugin class.

    Raises:
        PluginError: the class cannot be used; the message names file, class, found and expected.
    """

    def __init__(self, kind: type[Plugin]) -> None:
        self.kind = kind
        module = sys.modules.get(kind.__module__)
        self.where = f"{getattr(module, '__file__', None) or kind.__module__}: class {kind.__qualname__}"
        self.name = self._text("name")
        if not _NAME(self.name):
            raise self.error(f"name is {self.name!r}; expected letters, digits, '-', '_' and '.'")
        self.version = self._text("version")
        self.priority = self._value("priority", int)
        self.authenticates = self._value("authenticates", bool)
        self.blocking = self._value("blocking", bool)
        self.needs = self._needs()
        self.handlers = {code: name for code, name in enumerate(PHASES, start=1) if self._handler(name, 3 if code == BODY_FILTER else 1)}
        if not self.handlers:
            raise self.error(f"it has no handler; expected a method such as access(self, kong), or another of {', '.join(PHASES)}")
        for hook in ("configure", "close"):
            self._handler(hook, 0)
        self.is_async = {code: inspect.iscoroutinefunction(getattr(kind, name)) for code, name in self.handlers.items()}
        try:
            self.schema: dict[str, Any] = schema_of(kind.Config)
        except PluginError as err:
            raise self.error(f"Config: {err}") from None

    def error(self, message: str) -> PluginError:
        """An error about this class."""
        return PluginError(f"{self.where}: {message}")

    def _value(self, attribute: str, kind: type[Any]) -> Any:
        value = getattr(self.kind, attribute)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(f"{attribute} is {value!r}; expected {kind.__name__}")
        return value

    def _text(self, attribute: str) -> str:
        value = cast("str", self._value(attribute, str))
        if not value:
            raise self.error(
                f"{attribute} is not set; expected a text such as {attribute} = {'my-plugin' if attribute == 'name' else '0.1.0'!r}"
            )
        return value

    def _needs(self) -> tuple[str, ...]:
        needs: Any = self.kind.needs
        if not isinstance(needs, (tuple, list)):
            raise self.error(f"needs is {needs!r}; expected a tuple of {', '.join(map(repr, NEEDS))}")
        needs = cast("tuple[Any, ...]", needs)
        for need in needs:
            if need not in NEEDS:
                raise self.error(f"needs has {need!r}; expected {' or '.join(map(repr, NEEDS))}")
        return tuple(needs)

    def _handler(self, name: str, arguments: int) -> bool:
        method = getattr(self.kind, name, None)
        if method is None:
            return False
        expected = f"def {name}({', '.join(['self', 'kong', 'chunk', 'last'][: arguments + 1])})"
        if not callable(method):
            raise self.error(f"{name} is {method!r}; expected a method {expected}")
        if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
            raise self.error(f"{name} is a generator; expected {expected} without yield")
        try:
            inspect.signature(method).bind(*range(arguments + 1))
        except TypeError:
            raise self.error(f"{name} has the signature {name}{inspect.signature(method)}; expected {expected}") from None
        return True

    def manifest(self) -> dict[str, Any]:
        """What Describe tells of the plugin."""
        return {
            "name": self.name,
            "version": self.version,
            "priority": self.priority,
            "phases": list(self.handlers.values()),
            "authenticates": self.authenticates,
            "needs": list(self.needs),
            "config_schema": self.schema,
        }

    def make(self, config: dict[str, Any]) -> Plugin:
        """A plugin object with a configuration.

        Raises:
            outrigger.schema.ConfigError: the configuration does not fit.
        """
        return self.kind(decode_config(self.kind.Config, config))


class Step:
    """A handler of one instance for one phase, with what is known of its speed."""

    __slots__ = ("always_slow", "asked", "bit", "body_filter", "handler", "instance", "is_async", "phase", "quick", "slow")

    def __init__(self, instance: Instance, phase: int, handler: Callable[..., Any], is_async: bool, blocking: bool) -> None:
        self.instance = instance
        self.phase = phase
        self.bit = 1 << phase
        self.handler = handler
        self.is_async = is_async
        self.body_filter = phase == BODY_FILTER
        self.always_slow = blocking
        self.slow = blocking
        self.quick = 0
        self.asked = False  # whether it asked the host when it ran last

    def __str__(self) -> str:
        return f"plugin {self.instance.spec.name}, instance {self.instance.id}, phase {PHASES[self.phase - 1]}"


class Instance:
    """A plugin object with the steps it handles. ``record_id`` is the id of the plugin record that it was made for."""

    __slots__ = ("id", "plugin", "record_id", "released", "spec", "steps")

    def __init__(self, identity: int, spec: PluginSpec, plugin: Plugin, record_id: str = "") -> None:
        self.id = identity
        self.record_id = record_id
        self.spec = spec
        self.plugin = plugin
        self.released = False
        steps: list[Step | None] = [None] * (len(PHASES) + 1)
        for code, name in spec.handlers.items():
            steps[code] = Step(self, code, getattr(plugin, name), spec.is_async[code], spec.blocking)
        self.steps = tuple(steps)

    def hook(self, name: str) -> Callable[[], Any] | None:
        """The ``configure`` or ``close`` of the plugin object."""
        return getattr(self.plugin, name, None)
