"""The fuzz targets on their corpus, in which the inputs are that once found something, and for a moment on changed inputs."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from fuzz import fuzz, run_one
from fuzz_targets import ANY_CALL, CORPUS, MUTATORS, Lane, Port, Targets, seeds

from outrigger._runtime import wire
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


@pytest.mark.parametrize(
    ("body", "error"), [("c0", None), ("90", None), ("9190", ("", "")), ("9192a161c0", ("a", "")), ("9192c401ffa162", ("\udcff", "b"))]
)
def test_short_answers(targets: Targets, body: str, error: tuple[str, str] | None) -> None:
    """A reader takes nil or the zero value for what is missing."""
    lane = Lane(targets.registry, True, Port())
    lane.state.on_frame(wire.CALL, 1, ANY_CALL)
    registered = lane.state.new_waiter(lane.state.ready[0], b"", None)
    assert registered is not None
    lane.state.on_frame(wire.ANSWER, 1, bytes.fromhex(body))
    assert registered[0].wait() == wire.Answer(error=error)


def test_codes_are_text(targets: Targets) -> None:
    with pytest.raises(wire.BadFrame, match="expected text"):
        Lane(targets.registry, True, Port()).state.on_frame(wire.ANSWER, 1, bytes.fromhex("919207a162"))
