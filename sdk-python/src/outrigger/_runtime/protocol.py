"""A lane on the event loop, for servers whose handlers are all ``async def``: nothing is handed between threads."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Any, cast

from .call import Call
from .faults import emptied, insist, report, say
from .lane import HostLeft, LaneState, sealed_answer
from .loop import LoopRunner
from .node import Node
from .registry import Registry
from .stream import outcome_frames, server_hello
from .wire import (
    BAD_FRAME,
    FRAME_SECONDS,
    LATE_FRAME,
    Answer,
    BadFrame,
    Ended,
    Framer,
    encode_ask,
    encode_goaway,
    encode_log,
    encode_outcome,
)

_BULK = 8
"""An outcome of more frames than this leaves a few at a time, so that frames of other calls pass between them."""


class EventLane(asyncio.Protocol):
    """One lane of carrier msgpack. Everything runs on the loop's thread, except what handlers do in threads of their own."""

    def __init__(self, registry: Registry, runner: LoopRunner) -> None:
        self.state = LaneState(registry, self)
        self.state.refuse = self._refuse
        self.state.send = self._send_one
        self._runner = runner
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._bulk: deque[bytes] = deque()
        self._paused = False
        self._scheduled = False
        self._frame_timer: asyncio.TimerHandle | None = None
        self._ended = threading.Event()
        # Made now: at the end there may be no memory.
        self._endings = (self.state.abandon_all, self._leave_registry, self._ended.set)

    @property
    def node(self) -> Node:
        """The gateway node; known before the first call."""
        node = self.state.node
        assert node is not None
        return node

    def wait_ended(self, seconds: float | None = None) -> bool:
        """Waits until the lane has ended."""
        return self._ended.wait(seconds)

    def close(self) -> None:
        """Ends the lane, from any thread."""
        self._runner.call(self._close)

    def fail(self, what: str, fault: BaseException) -> None:
        """Ends the lane after a fault of the engine, from any thread: the host opens it again."""
        insist(self._ask_for_abort, "a lane could not be ended")
        report(what, fault)

    def _ask_for_abort(self) -> None:
        self._runner.call(self._abort)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def leave(self, code: str, message: str) -> None:
        """Says goaway, from any thread."""
        self._runner.call(self._send, [encode_goaway(code, message)])

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _give_up(self, message: str) -> None:
        """Ends a lane whose host broke the wire's rules. Nothing leaves after the goaway."""
        say(f"lane closed: {message}")
        self._flush()
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.write(encode_goaway(BAD_FRAME, message))
            transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop has the connection."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses of it
        self.state.registry.add_lane(self.state)
        self._transport.write(server_hello())

    def data_received(self, data: bytes) -> None:
        """Takes bytes; runs what they complete."""
        state = self.state
        try:
            self._framer.feed(data, state.on_frame)
        except HostLeft:
            self._close()
            return
        except BadFrame as err:
            self._give_up(str(err))
            return
        if self._framer.begun and self._frame_timer is None:
            self._bound_frame()
        if state.ready:
            self._runner.accept(state.ready)
            state.ready.clear()

    def _bound_frame(self) -> None:
        """Looks later whether the frame that has begun is complete. One timer is enough: it finds a frame after twice its time at most."""
        self._frame_timer = asyncio.get_running_loop().call_later(FRAME_SECONDS, self._check_frame, self._framer.frames)

    def _check_frame(self, number: int) -> None:
        self._frame_timer = None
        if not self._framer.begun:
            return
        if self._framer.frames == number:
            self._give_up(LATE_FRAME)
        else:
            self._bound_frame()

    def connection_lost(self, exc: Exception | None) -> None:
        """Seals the calls: the lane has ended."""
        self._transport = None
        if self._frame_timer is not None:
            self._frame_timer.cancel()
        for ending in self._endings:
            insist(ending, "a lane could not be ended")

    def _leave_registry(self) -> None:
        self.state.registry.remove_lane(self.state)

    def pause_writing(self) -> None:
        """The socket is full: large bytes wait."""
        self._paused = True

    def resume_writing(self) -> None:
        """The socket takes bytes again."""
        self._paused = False
        self._flush()

    # Sending: what one turn of the loop brings leaves in one write.

    def _send(self, frames: list[bytes]) -> None:
        if not self._scheduled:
            self._runner.later(self._flush)
            self._scheduled = True
        if len(frames) > _BULK:
            self._bulk.extend(frames)
        else:
            self._out += frames

    def _flush(self) -> None:
        self._scheduled = False
        transport = self._transport
        if transport is None:
            self._out.clear()
            self._bulk.clear()
            return
        try:
            out, self._out = self._out, []
            if self._bulk and not self._paused:
                out += [self._bulk.popleft() for _ in range(min(_BULK, len(self._bulk)))]
                if self._bulk:
                    self._runner.later(self._flush)
                    self._scheduled = True
            if out:
                transport.write(b"".join(out))
        except BaseException as err:  # the host would wait for what is lost
            fault = emptied(err)
        else:
            return
        self.fail("outcomes lost", fault)

    def _emit(self, messages: list[bytes]) -> None:
        if self._runner.is_current():
            self._send(messages)
        else:
            self._runner.call(self._send, messages)

    def _send_one(self, frame: bytes) -> None:
        self._send([frame])

    def _refuse(self, call_id: int, outcome: Ended) -> None:
        self._send(outcome_frames(call_id, outcome))

    def _put(self, question: bytes) -> None:
        """Sends an ask. Later ones of its call would wait for the answer to one that is lost."""
        try:
            self._emit([question])
        except BaseException as err:
            self.fail("question lost", err)
            raise

    # The port of the calls.

    def log(self, call: Call, level: int, message: str) -> None:
        """Sends a log line in order."""
        self._emit([encode_log(call.call_id, level, message, call.number)])

    def lied(self, call: Call, message: str) -> None:
        """Closes the lane: what the host sent does not decode."""
        if self._runner.is_current():
            self._give_up(message)
        else:
            self._runner.call(self._give_up, message)

    def deliver(self, call: Call, outcome: Ended) -> None:
        """Sends the outcome of a sealed call."""
        try:
            if call.trip is None:
                self.state.forget(call)
                self._emit(outcome_frames(call.call_id, outcome))
                return
            frames, after = self.state.finish(call, outcome, encode_outcome)
            self._emit(frames)
            if after is not None:
                self._runner.follow(after)
        except BaseException as err:  # nobody else has the outcome
            fault = emptied(err)
        else:
            return
        self.fail("outcome lost", fault)

    def ask(self, call: Call, function: int, args: list[Any]) -> Answer:
        """Asks from a thread of the handler's own."""
        message = encode_ask(call.call_id, function, args, call.number)
        registered = self.state.new_waiter(call, message, None)
        if registered is None:
            return sealed_answer(call)
        if registered[1]:
            self._put(message)
        return registered[0].wait()

    async def ask_async(self, call: Call, function: int, args: list[Any]) -> Answer:
        """Asks the host and waits."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        message = encode_ask(call.call_id, function, args, call.number)
        registered = self.state.new_waiter(call, message, future)
        if registered is None:
            return sealed_answer(call)
        if registered[1]:
            self._put(message)
        return await future
