"""The fuzz targets on their corpus, in which the inputs are that once found something, and for a moment on changed inputs."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from fuzz import fuzz, run_one
from fuzz_targets import CORPUS, MUTATORS, Targets, seeds

from outrigger._runtime.wire import Gathered


@pytest.fixture(scope="module")
def targets() -> Targets:
    return Targets()


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}: {path.name}")
def test_corpus(targets: Targets, path: Path) -> None:
    name = path.parent.name
    run_one(name, getattr(targets, name), path.read_bytes())


@pytest.mark.parametrize("name", MUTATORS)
def test_changed_inputs(targets: Targets, name: str) -> None:
    run = fuzz(name, getattr(targets, name), Random(1), 30, most=len(seeds(name)) + 200)
    assert not run.findings, [found.why for found in run.findings.values()]
    assert run.new > 1


def test_chunks_without_bytes_are_not_kept() -> None:
    gathered = Gathered(10)
    for _ in range(1000):
        gathered.add(b"")
    gathered.add(b"abc")
    assert gathered.pieces == [b"abc"]
