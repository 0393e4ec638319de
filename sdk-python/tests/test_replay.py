"""Calls as they travel, in the test gateway. The vectors run through it too, by make conformance."""

from __future__ import annotations

from typing import Any, cast

import msgpack
import pytest

from outrigger import PDK, Plugin
from outrigger.testing import Gateway


class Echo(Plugin):
    name = "echo"
    version = "1"

    def access(self, kong: PDK) -> None:
        kong.log.warn(kong.request.get_http_version())
        consumer = kong.client.get_consumer()
        if consumer is None:
            raise ValueError("nobody")
        kong.service.request.set_raw_body(b"x" * 40000)
        kong.response.exit(200, {"id": consumer.id})


def packed(value: Any) -> bytes:
    return cast("bytes", msgpack.packb(value))


def call_of(phase: int, consumer: int | None) -> bytes:
    request = ["GET", "http", "gw.test", 8000, 20, b"/", None, ["x-a", b"1"], None]
    fields: list[Any] = [1, phase, 1000, "r", 1, request, ["10.0.0.9", 40000, None, None, False], None, None, None, consumer]
    return packed(fields)


def test_outcome_travels() -> None:
    replay = Gateway(Echo).replay(call_of(2, 3), {3: packed({"id": "c"})})
    failed, error, operations, body = msgpack.unpackb(replay.outcome)
    assert (failed, error, body) == (0, None, None)
    assert [operation[0] for operation in operations] == [7, 25]
    assert operations[1][2] == b'{"id":"c"}'
    assert b"".join(replay.bodies) == b"x" * 40000
    assert [(line.level, line.message, line.plugin, line.phase) for line in replay.logs] == [("warn", "2", "echo", "access")]


def test_failure_travels() -> None:
    replay = Gateway(Echo).replay(call_of(2, None))
    failed, error, operations, _ = msgpack.unpackb(replay.outcome)
    assert (failed, error[0], operations) == (1, "handler_error", [])
    assert "nobody" in error[1]


@pytest.mark.parametrize(("call", "message"), [(b"\xc1", "decode"), (call_of(6, None), "phase 6"), (call_of(9, None), "phase 9")])
def test_calls_that_cannot_run(call: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Gateway(Echo).replay(call)
