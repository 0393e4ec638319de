"""Runs one handler and makes its outcome."""

from __future__ import annotations

import asyncio
import inspect
import sys
import traceback
from typing import Any

from .._errors import PDKError
from .._gen.pdk import PDK, AsyncPDK
from .call import Call
from .faults import emptied
from .plugins import Step
from .state import ENDED, LOCK, Exit
from .wire import HANDLER_ERROR, Ended, Outcome

MAX_MESSAGE = 4 << 10
MAX_DETAIL = 16 << 10

DONE = Outcome()
"""Of a handler that changed nothing."""


def run(call: Call, step: Step) -> Ended | None:
    """Runs a ``def`` handler. None when somebody else answers for the outcome: it was sealed by an exit or a cancel."""
    try:
        if step.body_filter:
            result = step.handler(PDK(call), call.wire.chunk or b"", bool(call.wire.last))
        else:
            result = step.handler(PDK(call))
    except BaseException as err:
        return _failed(call, step, err)
    if result is None:
        with LOCK:  # call.seal(ENDED)
            bit, call.bit = call.bit, 0
        if not bit:
            return None
        if call.spans is not None:
            return _with_spans(call, None)
        return call if call.operations else DONE
    return _finished(call, step, result)


async def run_async(call: Call, step: Step) -> Ended | None:
    """Runs an ``async def`` handler; else like ``run``."""
    try:
        if step.body_filter:
            result = await step.handler(AsyncPDK(call), call.wire.chunk or b"", bool(call.wire.last))
        else:
            result = await step.handler(AsyncPDK(call))
    except GeneratorExit:  # the event loop ends
        raise
    except BaseException as err:
        return _failed(call, step, err)
    if result is None:
        with LOCK:  # call.seal(ENDED)
            bit, call.bit = call.bit, 0
        if not bit:
            return None
        if call.spans is not None:
            return _with_spans(call, None)
        return call if call.operations else DONE
    return _finished(call, step, result)


def _finished(call: Call, step: Step, result: Any) -> Ended | None:
    if not step.body_filter:
        if not inspect.iscoroutine(result):  # a value that means nothing is no fault
            return _ended(call, None)
        result.close()
        return _failed(call, step, TypeError("the handler returned a coroutine; expected async def, or a result"))
    if not isinstance(result, (bytes, bytearray, memoryview)):
        return _failed(call, step, TypeError(f"body_filter returned a {type(result).__name__}; expected bytes or None"))
    return _ended(call, bytes(result))  # pyright: ignore[reportUnknownArgumentType]


def _ended(call: Call, body: bytes | None) -> Outcome | None:
    """The outcome of a handler that returned something; None when the call was sealed before."""
    if not call.seal(ENDED):
        return None
    return _with_spans(call, body)


def _with_spans(call: Call, body: bytes | None) -> Outcome:
    """The outcome of a handler that has just been sealed. Objects of the plugin among the attributes of spans may raise."""
    try:
        call.finish_spans()
    except Exception as err:
        return failure(err)
    return Outcome(operations=call.operations.copy(), body=body)


def _failed(call: Call, step: Step, err: BaseException) -> Outcome | None:
    """The outcome of a handler that raised; None when it was sealed before."""
    if isinstance(err, MemoryError):
        emptied(err)  # the outcome needs some
    if not call.seal(ENDED):
        if not isinstance(err, (Exit, asyncio.CancelledError)) and call.why_sealed != CANCELLED:
            text = f"the handler failed after {call.why_sealed}, which stands: {_line(err)}"
            print(f"outrigger: {step}, request {call.head.request_id}: {text}", file=sys.stderr, flush=True)
        return None
    return failure(err)


CANCELLED = "nobody waits for it any more"


def failure(err: BaseException) -> Outcome:
    """The failed outcome of an exception. An error of the PDK keeps its code."""
    code = err.code if isinstance(err, PDKError) else HANDLER_ERROR
    try:
        detail = "".join(traceback.format_exception(err))
    except Exception:  # an exception whose text cannot be made
        detail = ""
    return Outcome(error=(code, _cut(_line(err), MAX_MESSAGE), detail[-MAX_DETAIL:]))


def _line(err: BaseException) -> str:
    try:
        text = str(err)
    except Exception:
        text = "its text cannot be made"
    if isinstance(err, PDKError):
        return text
    return f"{type(err).__name__}: {text}" if text else type(err).__name__


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[:size] + "…"
