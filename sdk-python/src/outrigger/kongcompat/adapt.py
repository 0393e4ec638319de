"""Makes plugin classes of plugins in Kong's shape."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from .._errors import PluginError
from .._gen.pdk import PDK
from .._runtime.wire import PHASES
from ..plugin import Plugin
from .handle import Kong

_ELSEWHERE = ("certificate", "preread")


def adapt(
    name: str,
    plugin: type[Any],
    version: str | None = None,
    priority: int | None = 0,
    schema: Sequence[Mapping[str, Any]] | None = None,
    *,
    lua_style: bool = True,
) -> type[Plugin]:
    """Makes a plugin class of a class in Kong's shape.

    Args:
        name: How configurations name the plugin.
        plugin: Class whose objects are made with a configuration, a dict, and have a method per phase.
        version: Version of the plugin; 0.0.0 when it has none.
        priority: Plugins with a higher one run first.
        schema: Fields of the configuration in Kong's style.
        lua_style: Functions of the PDK return ``(value, err)``; else they raise.
    """
    where = f"plugin {name}: class {plugin.__qualname__}"
    phases = [phase for phase in PHASES if callable(getattr(plugin, phase, None))]
    for phase in _ELSEWHERE:
        if callable(getattr(plugin, phase, None)):
            print(f"outrigger: {where}: the phase {phase} does not exist here; it is not called", file=sys.stderr, flush=True)
    for phase in phases:
        if inspect.iscoroutinefunction(getattr(plugin, phase)):
            raise PluginError(f"{where}: {phase} is async; Kong's plugins are not: extend outrigger.Plugin for that")

    def make(self: Any, config: dict[str, Any]) -> None:
        Plugin.__init__(self, config)
        self.adapted = plugin(config)

    methods: dict[str, Any] = {
        "__init__": make,
        "__doc__": plugin.__doc__,
        "__module__": plugin.__module__,
        "name": name,
        "version": version or "0.0.0",
        "priority": priority or 0,
        "Config": () if schema is None else schema,
        **{phase: _handler(phase, lua_style) for phase in phases},
    }
    return type(plugin.__name__, (Plugin,), methods)


def _handler(phase: str, lua_style: bool) -> Callable[..., Any]:
    if phase == "body_filter":

        def body_filter(self: Any, kong: PDK, chunk: bytes, last: bool) -> Any:
            return self.adapted.body_filter(Kong(kong, lua_style), chunk, last)

        return body_filter

    def handler(self: Any, kong: PDK) -> None:
        getattr(self.adapted, phase)(Kong(kong, lua_style))

    return handler


@functools.cache
def adapted_module(module: ModuleType, *, lua_style: bool) -> type[Plugin] | None:
    """The plugin of a module in Kong's shape, named as its file; None when the module has another shape."""
    plugin = getattr(module, "Plugin", None)
    if not isinstance(plugin, type) or issubclass(plugin, Plugin):
        return None
    kind = cast("type[Any]", plugin)
    if not any(callable(getattr(kind, phase, None)) for phase in (*PHASES, *_ELSEWHERE)):
        return None
    file = Path(module.__file__ or module.__name__)
    name = file.parent.name if file.stem == "__init__" else file.stem
    version, priority = getattr(module, "version", None), getattr(module, "priority", 0)
    if version is not None and not isinstance(version, str):
        raise PluginError(f"{file}: version is {version!r}; expected a text such as '0.1.0'")
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise PluginError(f"{file}: priority is {priority!r}; expected an integer")
    return adapt(name, kind, version, priority, getattr(module, "Schema", ()), lua_style=lua_style)
