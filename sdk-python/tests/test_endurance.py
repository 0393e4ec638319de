"""What hosts and plugins may do without holding up others: frames that do not end, a configure that hangs, calls that nobody waits for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hostdriver import CALL, CHUNK, GOAWAY, HEADER, HELLO, OUTCOME, SECONDS, call_fields, frame, pack, unpack

import outrigger
from outrigger._runtime import protocol, stream, wire
from outrigger._runtime.configuring import MAX_HANGING, Configuring, StillHanging
from outrigger._runtime.lane import LaneState
from outrigger._runtime.loop import LoopRunner
from outrigger._runtime.plugins import PluginSpec
from outrigger._runtime.protocol import EventLane
from outrigger._runtime.registry import Registry
from outrigger._runtime.stream import BadGreeting, SocketCarrier, read_greeting
from outrigger._runtime.threads import ThreadLane
from outrigger._runtime.wire import BadFrame, Framer
from outrigger._runtime.workers import Workers

HOST_HELLO = frame(HELLO, 0, pack([1, "n", "h", "0", [], 0, 1 << 20, 65536]))


class Waiting(outrigger.Plugin):
    name, version = "waiting", "1"
    began = threading.Event()
    saw = threading.Event()

    def access(self, kong: outrigger.PDK) -> None:
        assert not kong.cancelled
        if kong.request.get_header("x-do") != "wait":
            return
        self.began.set()
        while not kong.cancelled:
            time.sleep(0.001)
        with contextlib.suppress(outrigger.PhaseError):
            kong.response.set_header("X-Late", "1")
            return
        self.saw.set()


class WaitingAsync(outrigger.Plugin):
    name, version = "waiting", "1"
    began = threading.Event()
    saw = threading.Event()

    async def access(self, kong: outrigger.AsyncPDK) -> None:
        assert not kong.cancelled
        if kong.request.get_header("x-do") != "wait":
            return
        self.began.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if kong.cancelled:
                self.saw.set()
            raise


class Served:
    """Lanes of one server in this process."""

    def __init__(self, kind: type[Waiting] | type[WaitingAsync]) -> None:
        self.plugin = kind
        kind.began.clear()
        kind.saw.clear()
        self._loop = LoopRunner()
        self._registry = Registry([PluginSpec(kind)], self._loop.run)
        assert self._registry.configure(1, "waiting", {}) == []
        self._workers = Workers()
        self._theirs: list[socket.socket] = []
        self.lanes: list[tuple[socket.socket, ThreadLane | EventLane]] = []

    def lane(self) -> tuple[socket.socket, ThreadLane | EventLane]:
        """The host's end of a new lane, and the server's."""
        mine, theirs = socket.socketpair()
        mine.settimeout(SECONDS)
        if self.plugin is Waiting:
            lane: ThreadLane | EventLane = ThreadLane(self._registry, SocketCarrier(theirs), self._workers, self._loop)
            lane.start()
            self._theirs.append(theirs)
        else:
            lane = EventLane(self._registry, self._loop)
            theirs.setblocking(False)

            async def attach(made: ThreadLane | EventLane = lane) -> None:
                assert isinstance(made, EventLane)
                await asyncio.get_running_loop().connect_accepted_socket(lambda: made, theirs)

            self._loop.run(attach())
        mine.sendall(HOST_HELLO)
        self.lanes.append((mine, lane))
        return mine, lane

    def close(self) -> None:
        for sock, lane in self.lanes:
            sock.close()
            assert lane.wait_ended(SECONDS)
        for sock in self._theirs:
            sock.close()
        self._loop.stop()


@pytest.fixture(params=[Waiting, WaitingAsync], ids=["def", "async"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    opened = Served(request.param)
    yield opened
    opened.close()


def frames_until(sock: socket.socket, wanted: int) -> list[object]:
    """The body of the first frame of a kind."""
    framer, found = Framer(), list[list[object]]()

    def take(kind: int, call_id: int, body: bytes, step: int = 0) -> None:
        if kind == wanted:
            found.append(unpack(body))

    while not found:
        data = sock.recv(1 << 16)
        assert data, "the lane ended"
        framer.feed(data, take)
    return found[0]


def call(call_id: int, do: str) -> bytes:
    return frame(CALL, call_id, pack(call_fields(1, headers=[("x-do", do.encode())])))


def test_a_frame_that_does_not_end(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "FRAME_SECONDS", 0.1)
    monkeypatch.setattr(protocol, "FRAME_SECONDS", 0.1)
    slow, lane = served.lane()
    other, _ = served.lane()
    slow.sendall(HEADER.pack(8 << 20, 1, CHUNK, 0, 0, 0))
    stop = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not stop.wait(0.005):
                slow.sendall(b"\0")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        goaway = frames_until(slow, GOAWAY)
        assert lane.wait_ended(SECONDS)
    finally:
        stop.set()
        thread.join(SECONDS)
    assert goaway[0] == "bad_frame"
    other.sendall(call(1, "nothing"))
    assert frames_until(other, OUTCOME)[0] == 0


def test_the_handler_sees_that_nobody_waits(served: Served) -> None:
    sock, _ = served.lane()
    sock.sendall(call(1, "wait"))
    assert served.plugin.began.wait(SECONDS)
    sock.sendall(frame(wire.CANCEL, 1, b"") + call(2, "nothing"))
    assert served.plugin.saw.wait(SECONDS)
    assert frames_until(sock, OUTCOME)[0] == 0  # of the second: the first has none


def test_the_handler_sees_that_its_lane_is_lost(served: Served) -> None:
    sock, _ = served.lane()
    sock.sendall(call(1, "wait"))
    assert served.plugin.began.wait(SECONDS)
    sock.shutdown(socket.SHUT_RDWR)
    assert served.plugin.saw.wait(SECONDS)


def test_small_pieces_of_a_large_frame_cost_their_sum() -> None:
    framer, seen = Framer(), list[int]()
    data = frame(CHUNK, 1, bytes(4 << 20)) + frame(CHUNK, 2, b"x")
    begin = time.thread_time()
    for at in range(0, len(data), 64):
        framer.feed(data[at : at + 64], lambda kind, call_id, body, step: seen.append(len(body)))
    assert seen == [4 << 20, 1]
    assert not framer.begun
    # 65537 pieces; copying what is there for each of them would take minutes.
    assert time.thread_time() - begin < 20


def test_chunks_without_messages_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outrigger._runtime.lane.MAX_AHEAD", 1000)
    state = LaneState(Registry([PluginSpec(Waiting)], lambda _: None), None)  # type: ignore[arg-type]
    for round_number in range(100):  # what is taken or dropped does not count
        state.on_chunk(round_number, bytes(500))
        if round_number % 2:
            assert state.take_gathered(round_number)
        else:
            state.on_cancel(round_number)
    state.on_chunk(1, bytes(500))
    with pytest.raises(BadFrame, match="without their messages"):
        state.on_chunk(2, bytes(500))


def test_a_frame_that_is_late_is_refused_although_more_of_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "FRAME_SECONDS", 0.0)
    mine, theirs = socket.socketpair()
    with mine, theirs:
        carrier = SocketCarrier(theirs)
        state = LaneState(Registry([PluginSpec(Waiting)], lambda _: None), None)  # type: ignore[arg-type]
        mine.sendall(HEADER.pack(100, 1, CHUNK, 0, 0, 0))
        assert carrier.read(state)
        mine.sendall(bytes(10))
        assert not carrier.read(state)
        assert frames_until(mine, GOAWAY)[0] == "bad_frame"


def test_a_greeting_takes_no_longer_than_it_may() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        mine.sendall(b"ORLN")
        with pytest.raises(TimeoutError):
            read_greeting(theirs, b"token", time.monotonic() + 0.05)
        mine.sendall(b"ORLN\0\1\xff\xff")
        with pytest.raises(BadGreeting):
            read_greeting(theirs, b"token", time.monotonic() + SECONDS)


class TestConfiguring:
    def test_one_that_hangs_holds_up_its_own_instance(self) -> None:
        configuring, gate = Configuring(), threading.Event()
        for _ in range(MAX_HANGING):
            turn = configuring.turn(1)
            given_up = threading.Timer(0.02, turn.give_up)
            given_up.start()
            assert not turn.run(lambda: wait_for(gate))
            given_up.join()
            assert configuring.turn(2).run(lambda: None)
        with pytest.raises(StillHanging, match="instance 1 still hang"):
            configuring.turn(1).run(lambda: None)
        gate.set()
        deadline = time.monotonic() + SECONDS
        while configuring.running and time.monotonic() < deadline:
            time.sleep(0.001)
        assert configuring.turn(1).run(lambda: None)

    def test_two_that_are_waited_for_do_not_overlap(self) -> None:
        configuring, gate, order = Configuring(), threading.Event(), list[int]()
        begun = threading.Event()

        def first() -> None:
            begun.set()
            wait_for(gate)
            order.append(1)

        threads = [
            threading.Thread(target=configuring.turn(1).run, args=(first,)),
            threading.Thread(target=configuring.turn(1).run, args=(lambda: order.append(2),)),
        ]
        threads[0].start()
        assert begun.wait(SECONDS)
        threads[1].start()
        gate.set()
        for thread in threads:
            thread.join(SECONDS)
        assert order == [1, 2]

    def test_what_the_work_raises(self) -> None:
        def work() -> None:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            Configuring().turn(1).run(work)


def test_an_instance_that_nobody_waits_for_is_closed() -> None:
    closed = threading.Event()

    class Closing(outrigger.Plugin):
        name, version = "closing", "1"

        def access(self, kong: outrigger.PDK) -> None: ...

        def close(self) -> None:
            closed.set()

    registry = Registry([PluginSpec(Closing)], lambda _: None)
    assert registry.configure(1, "closing", {}, wanted=lambda: False) == []
    assert closed.wait(SECONDS)
    assert registry.instances == {}


def wait_for(gate: threading.Event) -> None:
    assert gate.wait(SECONDS)
