"""Streams of carrier grpc, in both ways, with a real server of grpcio."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, cast

import grpc
import pytest

from outrigger._gen.proto import plugin_pb2 as pb
from outrigger._gen.proto.plugin_pb2_grpc import PluginServerServicer, PluginServerStub, add_PluginServerServicer_to_server
from outrigger._runtime import grpc_stream
from outrigger._runtime.grpc_stream import DirectStream, IteratedStream, Stream, stream_of

SECONDS = 20.0


class Servicer(PluginServerServicer):
    """Hands every stream to the test."""

    def __init__(self, make: Callable[[Any, Any], Stream]) -> None:
        self.make = make
        self.streams: SimpleQueue[Stream] = SimpleQueue()

    def Dispatch(self, request: Any, context: Any) -> Iterator[pb.DispatchResponse]:  # noqa: N802 - gRPC's name
        stream = self.make(request, context)
        context.add_callback(stream.close)
        self.streams.put(stream)
        return stream.responses()


class Peer:
    """The host's end of a stream."""

    def __init__(self, make: Callable[[Any, Any], Stream]) -> None:
        self.servicer = Servicer(make)
        self.server = grpc.server(ThreadPoolExecutor(4))
        add_PluginServerServicer_to_server(self.servicer, self.server)
        port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.requests: SimpleQueue[pb.DispatchRequest | None] = SimpleQueue()
        self.call: Any = PluginServerStub(self.channel).Dispatch(iter(self.requests.get, None), timeout=SECONDS)
        self.stream = self.servicer.streams.get(timeout=SECONDS)

    def close(self) -> None:
        self.requests.put(None)
        self.channel.close()
        assert self.server.stop(0).wait(SECONDS)


@pytest.fixture(params=[lambda requests, context: IteratedStream(requests), stream_of], ids=["iterated", "direct"])
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    opened = Peer(cast("Callable[[Any, Any], Stream]", request.param))
    yield opened
    opened.close()


def echo(stream: Stream) -> None:
    """Answers every chunk with the same one."""
    while received := stream.receive():
        stream.send([pb.DispatchResponse(call_id=one.call_id, chunk=one.chunk) for one in received])
    stream.close()


def test_this_grpcio_gives_direct_streams() -> None:
    opened = Peer(stream_of)
    assert isinstance(opened.stream, DirectStream)
    opened.close()


def test_another_grpcio_gives_iterated_streams() -> None:
    assert isinstance(stream_of(iter(()), object()), IteratedStream)


def test_messages_keep_their_order(peer: Peer) -> None:
    """More than wait for a lane, some so large that no more are taken meanwhile."""
    sizes = [grpc_stream._LARGE if i % 50 == 0 else i % 7 for i in range(5 * grpc_stream._MOST_WAITING)]  # pyright: ignore[reportPrivateUsage]
    for i, size in enumerate(sizes):
        peer.requests.put(pb.DispatchRequest(call_id=i, chunk=bytes(size)))
    worker = threading.Thread(target=echo, args=(peer.stream,))
    worker.start()
    for i, size in enumerate(sizes):
        response = next(peer.call)
        assert (response.call_id, len(response.chunk)) == (i, size)
    peer.requests.put(None)
    assert list(peer.call) == []
    assert peer.call.code() is grpc.StatusCode.OK
    worker.join(SECONDS)
    assert not worker.is_alive()


def test_many_threads_send(peer: Peer) -> None:
    def send(number: int) -> None:
        for i in range(50):
            peer.stream.send([pb.DispatchResponse(call_id=number, chunk=bytes([i])), pb.DispatchResponse(call_id=number, chunk=bytes([i]))])

    senders = [threading.Thread(target=send, args=(number,)) for number in range(6)]
    for sender in senders:
        sender.start()
    seen: dict[int, list[int]] = {number: [] for number in range(6)}
    for _ in range(600):
        response = next(peer.call)
        seen[response.call_id].append(response.chunk[0])
    for sender in senders:
        sender.join()
    assert all(one == [i for i in range(50) for _ in range(2)] for one in seen.values())


def test_what_was_sent_leaves_before_the_end(peer: Peer) -> None:
    peer.stream.send([pb.DispatchResponse(call_id=i, chunk=bytes(1000)) for i in range(300)])
    peer.stream.close()
    assert [response.call_id for response in peer.call] == list(range(300))
    assert peer.call.code() is grpc.StatusCode.OK


def test_cancel_ends_the_stream(peer: Peer) -> None:
    peer.requests.put(pb.DispatchRequest(call_id=1))
    assert [one.call_id for one in peer.stream.receive()] == [1]
    peer.call.cancel()
    assert not peer.stream.receive()
    peer.stream.send([pb.DispatchResponse(call_id=1)])  # nobody gets it, and nothing breaks
    assert not peer.stream.receive()


def test_after_a_cancel_the_server_goes_on(peer: Peer) -> None:
    """Also when messages wait that nobody has taken: the operations of the stream are no longer due."""
    for i in range(3 * grpc_stream._MOST_WAITING):  # pyright: ignore[reportPrivateUsage]
        peer.requests.put(pb.DispatchRequest(call_id=i, chunk=b"x"))
    assert peer.stream.receive()
    peer.call.cancel()
    while peer.stream.receive():
        pass
    again: Any = PluginServerStub(peer.channel).Dispatch(iter([pb.DispatchRequest(call_id=7, chunk=b"y")]), timeout=SECONDS)
    worker = threading.Thread(target=echo, args=(peer.servicer.streams.get(timeout=SECONDS),))
    worker.start()
    assert [(response.call_id, response.chunk) for response in again] == [(7, b"y")]
    worker.join(SECONDS)


def test_message_that_cannot_be_sent_ends_the_stream() -> None:
    """Whoever reads must hear of it: a lane that cannot answer looks as if it were well."""
    peer = Peer(stream_of)
    stream = peer.stream
    assert isinstance(stream, DirectStream)
    received: SimpleQueue[Any] = SimpleQueue()
    reader = threading.Thread(target=lambda: received.put(stream.receive()))
    reader.start()
    peer.requests.put(pb.DispatchRequest(call_id=1))
    assert [one.call_id for one in received.get(timeout=SECONDS)] == [1]

    def refuse(*_: Any) -> None:
        raise MemoryError

    stream._begin = refuse  # pyright: ignore[reportPrivateUsage]
    stream.send([pb.DispatchResponse(call_id=1)])
    assert list(peer.call) == []
    reader = threading.Thread(target=lambda: received.put(stream.receive()))
    reader.start()
    assert not received.get(timeout=SECONDS)
    peer.close()
