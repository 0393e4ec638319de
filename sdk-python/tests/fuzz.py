"""Fuzzes the decoders of this SDK: python tests/fuzz.py [TARGET…], or a file of an input to run it once: TARGET FILE.

Environment:
    FUZZ_SECONDS: how long, for all targets together; 20 if not set.
    FUZZ_SEED: repeats a run; chosen and printed if not set.

An input that finds something is written to build/fuzz/python and printed; the exit code is 1 then. Keep it as
tests/corpus/TARGET/NAME with the fix: test_fuzz.py runs the corpus.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from faulthandler import cancel_dump_traceback_later, dump_traceback_later
from pathlib import Path
from random import Random

from fuzz_targets import MUTATORS, Targets, seeds

FOUND = Path(__file__).parents[2] / "build" / "fuzz" / "python"
SLOW_SECONDS = 10.0
"""An execution that takes longer is a finding, on a machine that is loaded too: inputs are small."""
HUNG_SECONDS = 120.0
"""After this the process is ended with the stack of what hangs."""
MAX_KEPT = 4000


class Finding(Exception):
    """An input that a target fails on. Findings of one ``place`` are taken for the same."""

    def __init__(self, target: str, data: bytes, why: str, place: str = "") -> None:
        super().__init__(why)
        self.target, self.data, self.why, self.place = target, data, why, place


def run_one(name: str, target: Callable[[bytes], list[str]], data: bytes) -> list[str]:
    """What an input meets.

    Raises:
        Finding: the target failed, or took too long.
    """
    before = time.thread_time()
    try:
        met = target(data)
    except Exception as err:
        where = traceback.extract_tb(err.__traceback__)[-1]
        raise Finding(name, data, traceback.format_exc(limit=-8), f"{where.filename}:{where.lineno}") from None
    seconds = time.thread_time() - before
    if seconds > SLOW_SECONDS:
        raise Finding(name, data, f"it took {seconds:.1f} s of processor time; expected at most {SLOW_SECONDS:g} s")
    return met


@dataclass
class Run:
    """What fuzzing a target came to."""

    executions: int = 0
    new: int = 0
    """Inputs that met something new."""
    findings: dict[str, Finding] = field(default_factory=dict)


def fuzz(name: str, target: Callable[[bytes], list[str]], rng: Random, seconds: float, most: int = sys.maxsize) -> Run:
    """Runs a target on its corpus and on changed inputs, for a time or until it has run so often."""
    corpus = seeds(name)
    known: set[str] = set()
    mutator = MUTATORS[name]
    end = time.monotonic() + seconds
    run = Run()
    first = list(corpus)
    while first or (run.executions < most and time.monotonic() < end):
        if first:
            data = first.pop()
        else:
            data = rng.choice(corpus) if rng.random() < 0.98 else b""
            for _ in range(rng.choice((1, 1, 2, 4))):
                data = mutator(rng, data, corpus)
        run.executions += 1
        dump_traceback_later(HUNG_SECONDS, exit=True)
        try:
            met = run_one(name, target, data)
        except Finding as found:
            run.findings.setdefault(found.place, found)
            continue
        finally:
            cancel_dump_traceback_later()
        if not known.issuperset(met) and len(corpus) < MAX_KEPT:
            known.update(met)
            corpus.append(data)
            run.new += 1
    return run


def main(args: list[str]) -> int:
    """Fuzzes the named targets, or all; 1 when something was found."""
    targets = Targets()
    if len(args) == 2 and args[1] not in MUTATORS:
        data = Path(args[1]).read_bytes()
        try:
            print(run_one(args[0], getattr(targets, args[0]), data))
        except Finding as found:
            print(found.why)
            return 1
        return 0
    names = args or list(MUTATORS)
    seconds = float(os.environ.get("FUZZ_SECONDS") or 20) / len(names)
    seed = int(os.environ.get("FUZZ_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"python: {len(names)} targets, {seconds:.1f} s each, FUZZ_SEED={seed}", flush=True)
    total, findings = 0, 0
    for name in names:
        run = fuzz(name, getattr(targets, name), Random(f"{seed} {name}"), seconds)
        for found in run.findings.values():
            report(found)
        findings += len(run.findings)
        total += run.executions
        print(f"python: {name}: {run.executions} executions, {run.new} inputs met something new, {len(run.findings)} findings", flush=True)
    print(f"python: {total} executions, {findings} findings", flush=True)
    return 1 if findings else 0


def report(found: Finding) -> None:
    """Writes the input to a file and prints both."""
    FOUND.mkdir(parents=True, exist_ok=True)
    path = FOUND / f"{found.target}-{hashlib.sha256(found.data).hexdigest()[:12]}"
    path.write_bytes(found.data)
    print(f"python: {found.target}: FOUND something\n{found.why}\ninput, also in {path}:\n{found.data[:2000].hex()}", flush=True)
    print(f"again: python tests/fuzz.py {found.target} {path}", flush=True)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    if threading.active_count() > 1:
        os._exit(code)  # the plugins' event loop runs on
    sys.exit(code)
