"""Outrigger's plugin development kit for Python.

A plugin is a class with a method per phase::

    import outrigger

    class Hello(outrigger.Plugin):
        name = "hello"
        version = "0.1.0"
        priority = 500

        def access(self, kong: outrigger.PDK) -> None:
            kong.response.set_header("X-Hello", kong.request.get_header("X-Name") or "world")

``python -m outrigger serve hello.py`` hosts it; ``outrigger.testing`` runs it without a gateway.
"""

from __future__ import annotations

from ._errors import ArgError, DataError, HostError, PDKError, PhaseError, PluginError
from ._gen.pdk import PDK, AsyncPDK
from ._values import (
    Body,
    Captures,
    Consumer,
    ConsumerGroup,
    ConsumerGroups,
    Credential,
    ExitBody,
    HeaderMap,
    HeaderValue,
    MultiMap,
    Query,
    QueryMap,
    QueryParam,
    QueryValue,
    Ref,
    Reference,
    Route,
    Service,
    Span,
)
from .plugin import Plugin
from .schema import ConfigError, rules, setting

__all__ = [
    "PDK",
    "ArgError",
    "AsyncPDK",
    "Body",
    "Captures",
    "ConfigError",
    "Consumer",
    "ConsumerGroup",
    "ConsumerGroups",
    "Credential",
    "DataError",
    "ExitBody",
    "HeaderMap",
    "HeaderValue",
    "HostError",
    "MultiMap",
    "PDKError",
    "PhaseError",
    "Plugin",
    "PluginError",
    "Query",
    "QueryMap",
    "QueryParam",
    "QueryValue",
    "Ref",
    "Reference",
    "Route",
    "Service",
    "Span",
    "rules",
    "setting",
]
