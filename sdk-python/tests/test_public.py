"""What the package promises: names, types, and agreement of the surface with the engine."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import outrigger
from outrigger._gen import backend
from outrigger._gen.functions import FUNCTIONS
from outrigger._runtime import call as engine

SOURCE = Path(outrigger.__file__).parent


def test_exported_names_are_sorted_and_there() -> None:
    public = outrigger.__all__
    assert sorted(public, key=lambda name: (not name.isupper(), not name[0].isupper(), name)) == list(public)
    for name in public:
        assert getattr(outrigger, name).__doc__ or not inspect.isclass(getattr(outrigger, name))


def test_py_typed() -> None:
    assert (SOURCE / "py.typed").is_file()


def test_engine_answers_every_function() -> None:
    """One method for each of the definition's functions, with the arguments of the generated protocol."""
    for name, method in vars(backend.Backend).items():
        if name.startswith("_"):
            continue
        mine = getattr(engine.Call, name)
        if isinstance(method, property):  # what is no function, such as cancelled
            assert isinstance(mine, property), name
            continue
        assert inspect.iscoroutinefunction(mine) == inspect.iscoroutinefunction(method), name
        wanted = [parameter.kind is parameter.VAR_POSITIONAL for parameter in inspect.signature(method).parameters.values()]
        found = [parameter.kind is parameter.VAR_POSITIONAL for parameter in inspect.signature(mine).parameters.values()]
        assert wanted == found, name


def test_every_function_checks_its_phases_under_its_own_name() -> None:
    """Each method refuses with the canonical name of its function: a typo would raise KeyError only in the wrong phase."""
    named: set[str] = set()
    for kind in (kind for kind in engine.Call.__mro__ if kind.__module__.startswith("outrigger.")):
        for node in ast.walk(ast.parse(inspect.getsource(inspect.getmodule(kind) or engine))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in FUNCTIONS:
                named.add(node.value)
    assert named == set(FUNCTIONS)


def test_no_machine_paths_or_leftovers() -> None:
    for file in SOURCE.rglob("*.py"):
        if "_gen" not in file.parts:
            assert "TODO" not in file.read_text(), file
