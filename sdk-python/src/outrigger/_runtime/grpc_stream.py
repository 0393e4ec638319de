"""The stream under a lane of carrier grpc, in two ways.

The public way of grpcio hands every message from thread to thread: the one that polls wakes the one that iterates the requests, and another
iterates the responses and sleeps until each is sent. ``DirectStream`` starts the operations of the stream itself, as grpcio's own server
does, so that messages that come together are read together and no thread waits for a send: a third of the processor time. It uses what
grpcio does not promise, so ``stream_of`` takes it only with releases of grpcio that it was tested with, and ``IteratedStream`` elsewhere.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from importlib import import_module
from queue import SimpleQueue
from typing import Any, Protocol, cast

import grpc

from .._gen.proto import plugin_pb2 as pb

_MOST_WAITING = 128
_LARGE = 64 << 10
"""So many messages, or one of so many bytes, wait for the lane before no more are taken from the peer."""

_BUFFER_HINT = 1
"""Flag of a message that need not leave before the next one."""

_TESTED = ("1.85.",)
"""Releases of grpcio whose inner workings are what ``DirectStream`` expects. Add one when test_grpc_stream passes with it."""

_DRAIN_SECONDS = 5.0
"""How long the end of a stream waits for what was written before."""


class Stream(Protocol):
    """One thread at a time receives; any thread sends."""

    def receive(self) -> Sequence[pb.DispatchRequest]:
        """Waits for messages; none at the end of the stream."""
        ...

    def send(self, messages: Sequence[pb.DispatchResponse]) -> None:
        """Sends messages in order. What cannot be sent ends the stream."""
        ...

    def close(self) -> None:
        """Ends the stream behind what was sent."""
        ...

    def responses(self) -> Iterator[pb.DispatchResponse]:
        """What gRPC itself has to send; it ends with the stream."""
        ...


def stream_of(requests: Iterator[pb.DispatchRequest], context: Any) -> Stream:
    """The stream of a call."""
    if not grpc.__version__.startswith(_TESTED):
        return IteratedStream(requests)
    try:
        return DirectStream(context)
    except (AttributeError, ImportError):
        return IteratedStream(requests)


class IteratedStream:
    """A stream by iterators, as grpcio offers it."""

    def __init__(self, requests: Iterator[pb.DispatchRequest]) -> None:
        self._requests = requests
        self._out: SimpleQueue[pb.DispatchResponse | None] = SimpleQueue()

    def receive(self) -> Sequence[pb.DispatchRequest]:
        """Waits for one message."""
        try:
            return (next(self._requests),)
        except Exception:  # the stream ended, or broke in one of gRPC's ways
            return ()

    def send(self, messages: Sequence[pb.DispatchResponse]) -> None:
        """Leaves messages to gRPC."""
        try:
            for message in messages:
                self._out.put(message)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the responses."""
        self._out.put(None)

    def responses(self) -> Iterator[pb.DispatchResponse]:
        """Everything that is sent."""
        while (response := self._out.get()) is not None:
            yield response


class DirectStream:
    """A stream by operations of gRPC's core. Their ends are told on the thread of the server that polls, which must never wait.

    An operation that has begun is among the call's ``due``: gRPC does not end the call before. None begins when the call is not active.
    """

    def __init__(self, context: Any) -> None:
        server, core = import_module("grpc._server"), import_module("grpc._cython.cygrpc")
        self._context = context
        self._state: Any = context._state
        self._begin: Any = context._rpc_event.call.start_server_batch
        self._finish: Any = server._possibly_finish_call
        self._receiving: Any = core.ReceiveMessageOperation
        self._sending: Any = core.SendMessageOperation
        _ = self._state.condition, self._state.due  # AttributeError: this grpcio is another one
        self._in: SimpleQueue[bytes | None] = SimpleQueue()
        self._paused = True  # no receive is due
        self._out: deque[bytes] = deque()  # guarded, as the next, by the call's condition
        self._busy = False
        self._closed = threading.Event()
        self._drained = threading.Event()
        self._drained.set()
        context.send_initial_metadata(())

    def receive(self) -> Sequence[pb.DispatchRequest]:
        """Waits for messages, and takes all that have come."""
        if self._paused:
            self._receive_next()
        found: list[pb.DispatchRequest] = []
        data = self._in.get()
        while data is not None:
            found.append(pb.DispatchRequest.FromString(data))
            if not self._in.qsize():
                return found
            data = self._in.get()
        self._in.put(None)  # for the next time
        return found

    def _receive_next(self) -> None:
        self._paused = False
        if not self._start(self._receiving(0), self._received):
            self._in.put(None)

    def _received(self, event: Any) -> Any:
        data = cast("bytes | None", event.batch_operations[0].message())
        more = data is not None and len(data) < _LARGE and self._in.qsize() < _MOST_WAITING
        ended = self._end_of(self._received)
        self._paused = not more
        if more and not self._start(self._receiving(0), self._received):
            self._paused = True
        self._in.put(data)
        return ended

    def send(self, messages: Sequence[pb.DispatchResponse]) -> None:
        """Sends messages; those that come while one leaves are sent behind it."""
        try:
            found = [message.SerializeToString() for message in messages]
            with self._state.condition:
                self._out.extend(found)
                if not self._busy:
                    self._send_next()
        except BaseException:
            self.close()
            raise

    def _send_next(self) -> None:
        """Sends the first message that waits, if there is one. The caller holds the condition."""
        self._busy = bool(self._out)
        if self._busy:
            self._drained.clear()
            data = self._out.popleft()
            self._busy = self._start(self._sending(data, _BUFFER_HINT if self._out else 0), self._sent)
            if not self._busy:  # what is lost, nobody may wait for
                self.close()
        if not self._busy:
            self._out.clear()
            self._drained.set()

    def _sent(self, event: Any) -> Any:
        with self._state.condition:
            ended = self._end_of(self._sent)
            self._send_next()
        return ended

    def _start(self, operation: Any, told: Any) -> bool:
        """Begins an operation; False when the call is not active any more."""
        with self._state.condition:
            if not self._context.is_active():
                return False
            self._state.due.add(told)
            try:
                self._begin((operation,), told)
            except Exception:  # the core's ways to say that the call is over
                self._state.due.discard(told)
                return False
        return True

    def _end_of(self, told: Any) -> Any:
        """Tells gRPC that an operation has ended; what its poll wants to know."""
        with self._state.condition:
            return self._finish(self._state, told)

    def close(self) -> None:
        """Ends the stream behind what was sent."""
        self._closed.set()
        self._in.put(None)

    def responses(self) -> Iterator[pb.DispatchResponse]:
        """Nothing; it ends when all is sent after the stream was closed."""
        self._closed.wait()
        self._drained.wait(_DRAIN_SECONDS)
        return iter(())
