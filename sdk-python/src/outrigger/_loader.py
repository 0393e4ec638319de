"""Finds plugin classes in files, directories and packages."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from ._errors import PluginError
from ._runtime.plugins import PluginSpec
from .kongcompat.adapt import adapted_module
from .kongcompat.alias import answer_imports
from .plugin import Plugin

_SKIPPED = ("test_", "_", ".")


def load(paths: Iterable[str], *, lua_style: bool = True) -> list[PluginSpec]:
    """Checked plugin classes of files, directories, packages or importable modules, in order.

    In a module with a list ``plugins`` only its classes count; else every subclass of Plugin defined there, unless its name starts with
    an underscore. A module in the shape of Kong's plugins, with ``Schema``, ``version``, ``priority`` and ``class Plugin``, is one plugin,
    named as its file; ``lua_style`` says how its PDK returns.

    Raises:
        PluginError: a file cannot be imported, a class cannot be used, nothing was found, or a name occurs twice.
    """
    answer_imports()
    specs: dict[str, PluginSpec] = {}
    for path in paths:
        found = 0
        for module in _modules(path):
            for kind in _classes(module, lua_style):
                spec = PluginSpec(kind)
                other = specs.get(spec.name)
                if other is not None and other.kind is not kind:
                    raise PluginError(f"{spec.where}: name {spec.name!r} is taken by {other.where}")
                specs[spec.name] = spec
                found += 1
        if not found:
            raise PluginError(f"{path}: found no plugin; expected a class that extends outrigger.Plugin, or a list named plugins")
    return list(specs.values())


def _modules(path: str) -> Iterator[ModuleType]:
    place = Path(path)
    if place.is_file():
        if place.suffix != ".py":
            raise PluginError(f"{path}: is no Python file; expected a file that ends with .py, a directory or a package")
        yield _import_file(place)
    elif place.is_dir():
        yield from _import_directory(place)
    elif _is_module_name(path):
        yield from _with_submodules(_import_name(path, path))
    else:
        raise PluginError(f"{path}: there is no such file or directory")


def _is_module_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _import_directory(place: Path) -> Iterator[ModuleType]:
    if (place / "__init__.py").is_file():
        _search_first(place.resolve().parent)
        yield from _with_submodules(_import_name(place.resolve().name, str(place)))
        return
    for entry in sorted(place.iterdir()):
        if entry.name.startswith(_SKIPPED) or entry.name in ("tests", "conftest.py"):
            continue
        if entry.is_dir():
            yield from _import_directory(entry)
        elif entry.suffix == ".py" and not entry.stem.endswith("_test"):
            yield _import_file(entry)


def _import_file(place: Path) -> ModuleType:
    place = place.resolve()
    _search_first(place.parent)
    name = place.stem
    loaded = sys.modules.get(name)
    if loaded is not None:
        if getattr(loaded, "__file__", None) == str(place):
            return loaded
        name = f"{place.parent.name}_{name}_{abs(hash(place)):x}"  # two files of one name in different directories
        if name in sys.modules:
            return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None:
        raise PluginError(f"{place}: cannot be imported as a module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as err:
        del sys.modules[name]
        raise PluginError(f"{place}: importing it raised {type(err).__name__}: {err}") from err
    return module


def _import_name(name: str, path: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as err:
        raise PluginError(f"{path}: importing it raised {type(err).__name__}: {err}") from err


def _with_submodules(module: ModuleType) -> Iterator[ModuleType]:
    yield module
    if hasattr(module, "plugins"):
        return
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"{module.__name__}."):
        if not found.name.rpartition(".")[2].startswith(_SKIPPED):
            yield _import_name(found.name, found.name)


def _search_first(place: Path) -> None:
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))


def _classes(module: ModuleType, lua_style: bool) -> list[type[Plugin]]:
    listed: Any = getattr(module, "plugins", None)
    if listed is not None and not inspect.ismodule(listed):
        if not isinstance(listed, (list, tuple)):
            raise PluginError(f"{module.__file__}: plugins is a {type(listed).__name__}; expected a list of classes")
        for kind in cast("list[Any]", listed):
            if not isinstance(kind, type) or not issubclass(kind, Plugin):
                raise PluginError(f"{module.__file__}: plugins has {kind!r}; expected a class that extends outrigger.Plugin")
        return list(cast("list[type[Plugin]]", listed))
    adapted = adapted_module(module, lua_style=lua_style)
    return [
        *([adapted] if adapted is not None else ()),
        *_subclasses(module),
    ]


def _subclasses(module: ModuleType) -> list[type[Plugin]]:
    return [
        kind
        for name, kind in vars(module).items()
        if isinstance(kind, type)
        and issubclass(kind, Plugin)
        and kind is not Plugin
        and kind.__module__ == module.__name__
        and not name.startswith("_")
    ]
