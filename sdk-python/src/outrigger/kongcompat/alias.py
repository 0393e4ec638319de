"""Answers imports of ``kong_pdk`` where Kong's package is not installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_THEIRS = "kong_pdk"
_OURS = __name__.rpartition(".")[0]


class _Alias(MetaPathFinder, Loader):
    """Stands last among the finders, so that an installed package wins."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec of a module of ours under its name in Kong's package."""
        if fullname != _THEIRS and not fullname.startswith(f"{_THEIRS}."):
            return None
        ours = _OURS + fullname.removeprefix(_THEIRS)
        try:
            importlib.import_module(ours)
        except ModuleNotFoundError:
            return None
        return ModuleSpec(fullname, self, origin=ours, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A module of its own with the names of ours."""
        module = ModuleType(spec.name)
        ours = sys.modules[str(spec.origin)]
        vars(module).update({name: value for name, value in vars(ours).items() if not name.startswith("__")})
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to do."""


_ALIAS = _Alias()


def answer_imports() -> None:
    """From now on ``import kong_pdk`` finds this package, unless Kong's is installed."""
    if _ALIAS not in sys.meta_path:
        sys.meta_path.append(_ALIAS)
