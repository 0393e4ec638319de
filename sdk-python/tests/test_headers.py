"""The first values of headers against all lines: two ways to the same answer."""

from __future__ import annotations

import random
from typing import Any

import pytest

from outrigger._runtime.headers import RESPONSE, FirstValues, HeaderLines

NAMES = ["Host", "X-One", "x_one", "X-Two", "Accept", "Ünïcode"]


def operations(chance: random.Random, family: int, count: int) -> list[list[Any]]:
    """Writes of headers, and others that change none."""
    made: list[list[Any]] = []
    for _ in range(count):
        name, values = chance.choice(NAMES[:5]), [b"%d" % chance.randrange(100) for _ in range(chance.randrange(3))]
        match chance.randrange(4):
            case 0:
                made.append([family + 1, name, values])
            case 1:
                made.append([family + 2, name, values or [b"added"]])
            case 2:
                made.append([family + 3, name])
            case _:
                made.append([(21 if family == 0 else 1), name, [b"of the other side"]])
    return made


@pytest.mark.parametrize("family", [0, RESPONSE])
@pytest.mark.parametrize("seed", range(60))
def test_first_values(family: int, seed: int) -> None:
    chance = random.Random(seed)
    flat = [part for _ in range(chance.randrange(6)) for part in (chance.choice(NAMES).lower(), b"%d" % chance.randrange(9))]
    lines = HeaderLines.of_flat(flat)
    values = FirstValues(lines)
    done: list[list[Any]] = []
    for _ in range(12):
        for name in chance.sample(NAMES, chance.randrange(len(NAMES))):
            assert values.get(name) == lines.get(name), (name, done)
        more = operations(chance, family, chance.randrange(3))
        done += more
        lines = lines.after(more, family)
        values.follow(done, family)
        assert values.seen == len(done)
    for name in NAMES:
        assert values.get(name) == lines.get(name), (name, done)


def test_query_arguments_are_found_at_every_look() -> None:
    from outrigger._runtime.text import first_args, query_arg

    for raw in ("", "a=1&a=2&b", "=x&b=%41+c&b=2", "&".join(f"k{i}=v{i}" for i in range(120))):
        known = first_args(raw)
        for name in ("a", "b", "", "k0", "k99", "k100", "absent"):
            assert known.get(name) == query_arg(raw, name), (raw, name)
