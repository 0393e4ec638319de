"""Arguments and results in the shapes of Kong's Python PDK."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from .._values import (
    Body,
    Captures,
    Consumer,
    ConsumerGroup,
    Credential,
    MultiMap,
    Query,
    Reference,
    Route,
    Service,
    consumer_of,
    credential_of,
    entity_document,
)


def simple(value: Any) -> Any:
    """A result as dicts, lists and plain values."""
    if isinstance(value, (MultiMap, Query)):
        return value.to_dict()
    if isinstance(value, Body):
        return value.value
    if isinstance(value, Captures):
        return {"unnamed": list(value.unnamed), "named": dict(value.named)}
    if isinstance(value, Reference):
        parts = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {**parts, "config": dict(value.config)}
    if isinstance(value, Credential):
        named = {"id": value.id, "consumer_id": value.consumer_id}
        return {**dict(value.fields), **{name: text for name, text in named.items() if text}}
    if isinstance(value, (Consumer, ConsumerGroup, Route, Service)):
        document = entity_document(value)
        return {name: item for name, item in document.items() if isinstance(item, bool) or item}
    if isinstance(value, (list, tuple)):
        return [simple(item) for item in cast("Sequence[Any]", value)]
    return value


# Arguments that Kong takes in another shape.


def _consumer(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return consumer_of(cast("Mapping[str, Any]", value))


def _credential(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return credential_of(cast("Mapping[str, Any]", value))


def _group(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    fields = cast("Mapping[str, Any]", value)
    return ConsumerGroup(id=fields.get("id") or "", name=fields.get("name") or "")


def _groups(args: list[Any]) -> list[Any]:
    groups = args[0] if args else None
    listed = [_group(group) for group in cast("list[Any]", groups)] if isinstance(groups, list) else [] if groups is None else groups
    options = args[1] if len(args) > 1 else None
    mode = cast("Mapping[str, Any]", options).get("mode", "write") if isinstance(options, Mapping) else options or "write"
    return [listed, mode]


def _deprecation(args: list[Any]) -> list[Any]:
    options: Mapping[str, Any] = {}
    if args and isinstance(args[-1], Mapping):
        options = cast("Mapping[str, Any]", args.pop())
    return ["".join(str(arg) for arg in args), str(options.get("after", "")), str(options.get("removal", ""))]


def _serialize_value(args: list[Any]) -> list[Any]:
    if len(args) == 3 and (args[2] is None or isinstance(args[2], Mapping)):
        return [*args[:2], cast("Mapping[str, Any]", args[2] or {}).get("mode", "set")]
    return args


_ADAPTED: dict[str, Callable[[list[Any]], list[Any]]] = {
    "client.authenticate": lambda args: [make(arg) for make, arg in zip((_consumer, _credential), args, strict=False)],
    "client.set_authenticated_consumer_group": lambda args: [_group(arg) for arg in args],
    "client.set_authenticated_consumer_groups": _groups,
    "log.deprecation": _deprecation,
    "log.set_serialize_value": _serialize_value,
    "request.get_body": lambda args: args[:2],  # without max_file_size: no body lies in a file here
    "request.get_raw_body": lambda args: [],
    "service.response.get_body": lambda args: args[:2],
}


def arguments(function: str, args: tuple[Any, ...]) -> list[Any]:
    """Arguments of a function in our shapes. A None that ends them counts as left out, as in Kong."""
    given = list(args)
    adapt = _ADAPTED.get(function)
    if adapt is not None:
        given = adapt(given)
    if function not in _KEEP_NONE:
        while given and given[-1] is None:
            given.pop()
    return given


_KEEP_NONE = frozenset(["cache.set", "client.authenticate", "ctx.plugin.set", "ctx.shared.set", "log.set_serialize_value", "nginx.set_ctx"])
"""Functions for which None is a value."""
