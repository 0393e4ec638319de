"""Makes the calls of a vector on a PDK and says what came of each, in the form that the runner reads (docs/conformance.md)."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias, cast

from spelling import spell, value_of

import outrigger
from outrigger import Consumer, Credential, PDKError

Results: TypeAlias = "list[dict[str, Any]]"


def make_all(kong: Any, calls: list[Any]) -> tuple[Results, BaseException | None]:
    """Makes calls one after the other. Beside the results there is what ended the handler: an exit that is to unwind it."""
    results: Results = []
    for call in calls:
        result, thrown = make(kong, call)
        results.append(result)
        if thrown is not None and not call.get("swallow"):
            return results, thrown
    return results, None


async def make_all_async(kong: Any, calls: list[Any]) -> tuple[Results, BaseException | None]:
    """The same for an AsyncPDK."""
    results: Results = []
    for call in calls:
        result, thrown = await make_async(kong, call)
        results.append(result)
        if thrown is not None and not call.get("swallow"):
            return results, thrown
    return results, None


def make_together(kong: Any, calls: list[Any]) -> Results:
    """Makes calls at the same time, each on a thread of its own."""
    if not calls:
        return []
    with ThreadPoolExecutor(len(calls)) as pool:
        return [result for result, _ in pool.map(lambda call: make(kong, call), calls)]


def make(kong: Any, call: Any) -> tuple[dict[str, Any], BaseException | None]:
    """Makes one call. The second value is the exit, when it was one."""
    try:
        return {"result": spell(_function(kong, call)(*_arguments(call)))}, None
    except BaseException as thrown:
        return _refused(thrown)


async def make_async(kong: Any, call: Any) -> tuple[dict[str, Any], BaseException | None]:
    """Makes one call, and awaits it where there is something to await."""
    try:
        result = _function(kong, call)(*_arguments(call))
        return {"result": spell(await result if inspect.isawaitable(result) else result)}, None
    except BaseException as thrown:
        return _refused(thrown)


def _refused(thrown: BaseException) -> tuple[dict[str, Any], BaseException | None]:
    if isinstance(thrown, PDKError):
        return {"error": thrown.code, "function": thrown.function}, None
    if isinstance(thrown, Exception):
        return {"fault": repr(thrown)}, None
    return {"exit": True}, thrown  # an exit: Exception does not catch it


def _function(kong: Any, call: Any) -> Any:
    found = kong
    for part in call["fn"].split("."):
        found = getattr(found, part)
    return found


def _arguments(call: Any) -> list[Any]:
    """The arguments, with entities where the function takes them. What is no document of one stays as it is."""
    args = value_of(call.get("args", []))
    match call["fn"]:
        case "client.authenticate":
            return [_credential(arg) if at else _entity(Consumer, arg) for at, arg in enumerate(args)]
        case "client.set_authenticated_consumer_group":
            return [_entity(outrigger.ConsumerGroup, arg) for arg in args]
        case "client.set_authenticated_consumer_groups":
            return [_groups(arg) for arg in args]
        case _:
            return args


def _entity(kind: type[Any], arg: Any) -> Any:
    return kind(**arg) if isinstance(arg, dict) else arg


def _groups(arg: Any) -> Any:
    return [_entity(outrigger.ConsumerGroup, group) for group in cast("list[Any]", arg)] if isinstance(arg, list) else arg


def _credential(arg: Any) -> Any:
    if not isinstance(arg, dict):
        return arg
    fields = cast("dict[str, Any]", arg)
    rest = {name: item for name, item in fields.items() if name not in ("id", "consumer_id")}
    return Credential(id=fields.get("id", ""), consumer_id=fields.get("consumer_id", ""), fields=rest)
