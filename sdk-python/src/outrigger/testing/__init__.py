"""Runs plugins on requests in memory, without a gateway and with the engine that serves real ones.

    from outrigger.testing import Gateway

    def test_hello():
        result = Gateway(Hello, config={"greeting": "hi"}).send(headers={"X-Name": "bob"})
        assert result.headers.get("X-Hello") == "hi, bob"
        assert result.upstream is not None
        assert result.upstream.headers.get("X-Hello") == "hi, bob"

The gateway runs rewrite (for plugins configured globally), access, the upstream, response, header_filter, body_filter and log. With pytest
the fixture ``outrigger_gateway`` makes gateways and closes them when the test ends::

    def test_hello(outrigger_gateway):
        assert outrigger_gateway(Hello).send().status == 200

A handler that fails raises ``HandlerFailed`` out of ``send``, unless the gateway is told a fail mode.
"""

from __future__ import annotations

from .gateway import Gateway
from .values import (
    LEVELS,
    TLS,
    HandlerFailed,
    Headers,
    LogLine,
    NodeFacts,
    Replay,
    Reply,
    Result,
    SpanRecord,
    Target,
    TelemetryRecord,
    UpstreamRequest,
)

__all__ = [
    "LEVELS",
    "TLS",
    "Gateway",
    "HandlerFailed",
    "Headers",
    "LogLine",
    "NodeFacts",
    "Replay",
    "Reply",
    "Result",
    "SpanRecord",
    "Target",
    "TelemetryRecord",
    "UpstreamRequest",
]
