"""Makes the calls of a vector on a PDK and says what came of each, in the form that the runner reads (docs/conformance.md)."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias, cast

from spelling import spell, value_of

from outrigger import Consumer, ConsumerGroup, Credential, PDKError, Span

Results: TypeAlias = "list[dict[str, Any]]"
Made: TypeAlias = "tuple[dict[str, Any], BaseException | None]"
"""What the runner is told of a call, and the exit, when it was one."""


class Caller:
    """Makes the calls of one handler, on a PDK or an AsyncPDK."""

    def __init__(self, kong: Any) -> None:
        self._kong = kong
        self._spans: list[Span] = []  # that the handler started, in order

    def run(self, vector: dict[str, Any]) -> tuple[Results, BaseException | None]:
        """The calls of the handler. Beside the results there is what ended it: an exit that is to unwind it."""
        if not vector.get("together"):
            return self.all(vector["calls"])
        with ThreadPoolExecutor(max(1, len(vector["calls"]))) as pool:
            return [result for result, _ in pool.map(self.make, vector["calls"])], None

    def all(self, calls: list[Any]) -> tuple[Results, BaseException | None]:
        """Makes calls one after the other."""
        results: Results = []
        for call in calls:
            result, thrown = self.make(call)
            results.append(result)
            if thrown is not None and not call.get("swallow"):
                return results, thrown
        return results, None

    async def all_async(self, calls: list[Any]) -> tuple[Results, BaseException | None]:
        """The same for an AsyncPDK."""
        results: Results = []
        for call in calls:
            result, thrown = await self.make_async(call)
            results.append(result)
            if thrown is not None and not call.get("swallow"):
                return results, thrown
        return results, None

    def make(self, call: Any) -> Made:
        """Makes one call."""
        try:
            return {"result": self._spell(self._call(call))}, None
        except BaseException as thrown:
            return _refused(thrown)

    async def make_async(self, call: Any) -> Made:
        """Makes one call, and awaits it where there is something to await."""
        try:
            result = self._call(call)
            return {"result": self._spell(await result if inspect.isawaitable(result) else result)}, None
        except BaseException as thrown:
            return _refused(thrown)

    def _call(self, call: Any) -> Any:
        *path, name = call["fn"].split(".")
        args = arguments(call)
        holder = self._kong
        if path == ["span"]:
            holder, args = self._spans[args[0] - 1], args[1:]
        else:
            for part in path:
                holder = getattr(holder, part)
        return getattr(holder, name)(*args)

    def _spell(self, result: Any) -> Any:
        if isinstance(result, Span):
            if not any(span is result for span in self._spans):
                self._spans.append(result)
            shown = {"name": result.name, "attributes": result.attributes, "status": result.status}
            return spell({**shown, "message": result.message, "finished": result.finished})
        return spell(result)


def _refused(thrown: BaseException) -> Made:
    if isinstance(thrown, PDKError):
        return {"error": thrown.code, "function": thrown.function}, None
    if isinstance(thrown, Exception):
        return {"fault": repr(thrown)}, None
    return {"exit": True}, thrown  # an exit: Exception does not catch it


def arguments(call: Any) -> list[Any]:
    """The arguments, with entities where the function takes them. What is no document of one stays as it is."""
    args = value_of(call.get("args", []))
    match call["fn"]:
        case "client.authenticate":
            return [_credential(arg) if at else _entity(Consumer, arg) for at, arg in enumerate(args)]
        case "client.set_authenticated_consumer_group":
            return [_entity(ConsumerGroup, arg) for arg in args]
        case "client.set_authenticated_consumer_groups":
            return [_groups(args[0]), *args[1:]] if args else args
        case _:
            return args


def _entity(kind: type[Any], arg: Any) -> Any:
    return kind(**arg) if isinstance(arg, dict) else arg


def _groups(arg: Any) -> Any:
    return [_entity(ConsumerGroup, group) for group in cast("Sequence[Any]", arg)] if isinstance(arg, list) else arg


def _credential(arg: Any) -> Any:
    if not isinstance(arg, dict):
        return arg
    fields = cast("dict[str, Any]", arg)
    rest = {name: item for name, item in fields.items() if name not in ("id", "consumer_id")}
    return Credential(id=fields.get("id", ""), consumer_id=fields.get("consumer_id", ""), fields=rest)
