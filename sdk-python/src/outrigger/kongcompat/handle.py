"""What handlers of Kong's plugins get: the PDK with Kong's way to return."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .._errors import DataError, HostError
from .._gen.pdk import PDK
from .values import arguments, simple


class Kong:
    """The PDK of one call. Its names are those of ``outrigger.PDK``."""

    def __init__(self, pdk: PDK, lua_style: bool = True) -> None:
        self._pdk = pdk
        self._lua_style = lua_style

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = _found(self._pdk, self._pdk, name, name, self._lua_style)
        self.__dict__[name] = found
        return found


class Namespace:
    """One namespace, such as ``kong.service.request``. That of the log may be called: ``kong.log(...)`` writes at level notice."""

    def __init__(self, pdk: PDK, inner: Any, path: str, lua_style: bool) -> None:
        self._pdk = pdk
        self._inner = inner
        self._path = path
        self._lua_style = lua_style

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = _found(self._pdk, self._inner, name, f"{self._path}.{name}", self._lua_style)
        self.__dict__[name] = found
        return found

    def __call__(self, *args: Any) -> Any:
        if self._path in ("log", "log.inspect"):
            return getattr(self, "notice" if self._path == "log" else "inspect")(*args)
        raise TypeError(f"kong.{self._path} is no function")


class Missing:
    """A name that this PDK does not have. Calling it answers an error, whatever is behind it."""

    def __init__(self, pdk: PDK, path: str, lua_style: bool) -> None:
        self._pdk = pdk
        self._path = path
        self._lua_style = lua_style

    def __getattr__(self, name: str) -> Missing:
        if name.startswith("_"):
            raise AttributeError(name)
        return Missing(self._pdk, f"{self._path}.{name}", self._lua_style)

    def __call__(self, *args: Any) -> Any:
        message = f"kong.{self._path}: this gateway has no such function"
        if not self._lua_style:
            raise AttributeError(message)
        self._pdk.log.warn(message)
        return None, message


def _found(pdk: PDK, inner: Any, name: str, path: str, lua_style: bool) -> Any:
    value = getattr(inner, name, None)
    if inspect.ismethod(value):
        return _function(value, path, lua_style)
    if value is None:
        return Missing(pdk, path, lua_style)
    return Namespace(pdk, value, path, lua_style)


def _function(method: Callable[..., Any], path: str, lua_style: bool) -> Callable[..., Any]:
    if not lua_style:
        return lambda *args: simple(method(*arguments(path, args)))

    def call(*args: Any) -> tuple[Any, str | None]:
        try:
            return simple(method(*arguments(path, args))), None
        except (DataError, HostError) as err:
            return None, str(err)

    return call
