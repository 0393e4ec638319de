"""The engine, when the system refuses it threads, memory or descriptors: nobody may wait for ever for what nobody does."""

from __future__ import annotations

import asyncio
import errno
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from hostdriver import CALL, OUTCOME, call_fields, frame, pack
from test_threads import SECONDS, Host, wait_for

import outrigger
from outrigger._runtime import faults, registry, server
from outrigger._runtime.faults import EngineThread, NoThread, insist, start_thread
from outrigger._runtime.lane import LaneState, Waiter
from outrigger._runtime.loop import LoopRunner
from outrigger._runtime.plugins import Instance, PluginSpec
from outrigger._runtime.registry import Registry
from outrigger._runtime.server import ControlThreads, Server
from outrigger._runtime.threads import ThreadLane
from outrigger._runtime.wire import Answer
from outrigger._runtime.writer import Writer

# pyright: reportPrivateUsage=false


class Refusal:
    """Refuses threads whose names begin like this, until it is lifted."""

    def __init__(self) -> None:
        self.name = "nothing is refused"
        self.count = 0

    def of(self, name: str) -> None:
        self.name = name

    def lift(self) -> None:
        self.name = "nothing is refused"


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Refusal:
    refusal = Refusal()
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith(refusal.name):
            refusal.count += 1
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    return refusal


@pytest.fixture
def host() -> Iterator[Host]:
    opened = Host()
    opened.plugin.work = lambda kong: None
    yield opened
    opened.close()


def outcome_of(host: Host, call_id: int) -> list[Any]:
    """The outcome of a call."""
    while True:
        for one in host.got:
            if one[:2] == (OUTCOME, call_id):
                host.got.remove(one)
                return one[2]
        host.receive()


def ended(host: Host) -> None:
    """Sees the end of the lane, with whatever comes before it."""
    while host.sock.recv(1 << 16):
        pass
    assert host.lane.wait_ended(SECONDS)
    assert not host.lane.state.calls
    assert not host.lane.state.waiters


class Gate:
    """A handler that blocks when it runs first."""

    def __init__(self) -> None:
        self.first, self.open = threading.Event(), threading.Event()

    def __call__(self, kong: outrigger.PDK) -> None:
        if not self.first.is_set():
            self.first.set()
            assert self.open.wait(SECONDS)


def lead_without_standby(host: Host, refused: Refusal) -> Gate:
    """Lets the standby take the lead while no other one can be started. Calls run on the leader."""
    gate = Gate()
    host.plugin.work = gate
    refused.of("outrigger-lane")
    host.send()
    wait_for(lambda: host.lane._alone)
    host.step.slow = False
    return gate


class TestStandby:
    def test_leader_goes_on_without_one_and_gets_one_later(self, host: Host, refused: Refusal, capsys: pytest.CaptureFixture[str]) -> None:
        gate = lead_without_standby(host, refused)
        assert host.call(3) == [2, 3, 4]
        host.lane._retry_ns = 0
        assert host.call() == [5]
        assert refused.count >= 2
        assert capsys.readouterr().err.count("no thread could be started: can't start new thread") == 1
        refused.lift()
        host.lane._retry_ns = 0
        host.call()
        assert host.lane._standby
        assert not host.lane._alone
        second = Gate()
        host.plugin.work = second
        ids = host.send(5)
        assert sorted(host.outcomes(4)) == ids[1:]
        second.open.set()
        gate.open.set()
        assert sorted(host.outcomes(2)) == [1, ids[0]]
        wait_for(lambda: host.lane._threads == 2)
        assert host.lane._standby

    def test_thread_that_lost_the_lead_becomes_it(self, host: Host, refused: Refusal) -> None:
        lead_without_standby(host, refused).open.set()
        assert host.outcomes(1) == [1]
        wait_for(lambda: host.lane._standby)
        assert host.lane._threads == 2
        host.call(3)

    def test_ask_of_a_leader_without_one_fails_and_a_later_one_does_not(self, host: Host, refused: Refusal) -> None:
        gate = lead_without_standby(host, refused)
        messages: list[str] = []

        def work(kong: outrigger.PDK) -> None:
            try:
                kong.request.get_raw_body()
            except outrigger.HostError as err:
                messages.append(str(err))
                refused.lift()
                assert kong.request.get_raw_body() == b"x"

        host.plugin.work = work
        host.question_of(host.send()[0])
        host.answer(host._next)
        assert ["no thread could be started" in message for message in messages] == [True]
        host.plugin.work = lambda kong: None
        host.call(3)
        gate.open.set()
        assert host.outcomes(1) == [1]

    def test_ask_of_a_leader_without_one_fails_its_call_alone(self, host: Host, refused: Refusal) -> None:
        gate = lead_without_standby(host, refused)
        host.plugin.work = lambda kong: kong.request.get_raw_body()
        (call_id,) = host.send()
        assert "no thread could be started" in outcome_of(host, call_id)[1][1]
        host.plugin.work = lambda kong: None
        host.call(3)
        gate.open.set()
        assert host.outcomes(1) == [1]

    def test_lane_without_a_leader_ends(self, refused: Refusal) -> None:
        refused.of("outrigger-lane")
        opened = Host()
        ended(opened)
        assert opened.lane._threads == 0
        opened.close()


class TestWorkers:
    def test_without_any_the_call_fails_and_the_lane_goes_on(self, host: Host, refused: Refusal) -> None:
        refused.of("outrigger-worker")
        host.step.slow = True
        for call_id in host.send(2):
            assert outcome_of(host, call_id)[1][:2] == [
                "handler_error", "the handler did not run: no thread could be started: can't start new thread"
            ]  # fmt: skip
        assert host.lane._workers._desks == set()
        refused.lift()
        assert host.call(3)

    def test_a_step_that_none_runs_fails(self, host: Host, refused: Refusal) -> None:
        host.plugin.work = lambda kong: setattr(host.step, "slow", True)
        refused.of("outrigger-worker")
        host.sock.sendall(frame(CALL, 7, pack(call_fields(1, steps=[[1, 1000, None, None, None]]))))
        assert outcome_of(host, 7)[0] == 0
        assert outcome_of(host, 7)[1][0] == "handler_error"
        refused.lift()
        host.plugin.work = lambda kong: None
        host.call(3)

    def test_with_one_the_call_waits_its_turn(self, host: Host, refused: Refusal) -> None:
        gate = Gate()
        host.plugin.work = gate
        host.step.slow = True
        host.send()
        assert gate.first.wait(SECONDS)
        refused.of("outrigger-worker")
        host.send(3)
        wait_for(lambda: len(host.lane._workers._backlog) == 3)
        assert len(host.lane._workers._desks) == 1
        gate.open.set()
        assert host.outcomes(4) == [1, 2, 3, 4]

    def test_what_took_long_to_fail_is_not_tried_at_once(self, host: Host, refused: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(faults, "LONG_NS", 0)
        monkeypatch.setattr(faults, "BACK_OFF", 1 << 40)
        refused.of("outrigger-worker")
        host.step.slow = True
        for call_id in host.send(3):
            assert outcome_of(host, call_id)[1][0] == "handler_error"
        assert refused.count == 1

    def test_without_an_event_loop_the_call_fails(self, host: Host, refused: Refusal) -> None:
        refused.of("outrigger-loop")
        host.step.is_async = True
        (call_id,) = host.send()
        assert "no thread could be started" in outcome_of(host, call_id)[1][1]
        host.step.is_async = False
        host.call(3)
        refused.lift()
        loop = host.lane._loop
        assert loop.start().is_running()
        loop.stop()


class NoMemory:
    """Raises MemoryError so often, then does what was there before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, times: int = 1) -> None:
        self.left, self.before = times, getattr(owner, name)
        monkeypatch.setattr(owner, name, self)

    def __call__(self, *args: Any) -> Any:
        if self.left > 0:
            self.left -= 1
            raise MemoryError
        return self.before(*args)


def writer_of(host: Host) -> Writer:
    carrier: Any = host.lane._carrier
    return carrier._writer


class TestMemory:
    """Each ends the lane: the host opens another one."""

    @pytest.fixture(autouse=True)
    def _no_exit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(faults, "_TRIES", 1000)

    @pytest.fixture
    def lost(self) -> Iterator[Host]:
        opened = Host()
        opened.plugin.work = lambda kong: None
        opened.call(3)
        yield opened
        opened.close()

    def test_leader_that_cannot_write(self, lost: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        errors: list[BaseException] = []

        def ask(kong: outrigger.PDK) -> None:
            try:
                kong.request.get_raw_body()
            except outrigger.PDKError as err:
                errors.append(err)

        lost.plugin.work = ask
        lost.question_of(lost.send()[0])
        lost.plugin.work = lambda kong: None
        lost.step.slow = False
        NoMemory(monkeypatch, writer_of(lost), "_write")
        NoMemory(monkeypatch, lost.lane.state, "_abandon", 2)
        lost.send()
        ended(lost)
        wait_for(lambda: errors)  # who waited for an answer waits no more

    def test_ending_that_fails_is_tried_again(self, lost: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        endings = list(lost.lane._endings)
        failing = NoMemory(monkeypatch, lost.lane, "close", 3)
        failing.before = endings[0]
        endings[0] = failing
        monkeypatch.setattr(lost.lane, "_endings", tuple(endings))
        NoMemory(monkeypatch, lost.lane._carrier, "write")
        lost.send()
        ended(lost)
        assert failing.left == 0

    def test_worker_that_cannot_write(self, lost: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        lost.step.slow = True
        NoMemory(monkeypatch, lost.lane._carrier, "outcome")
        lost.send()
        ended(lost)

    def test_standby_that_cannot_write_what_it_took(self, lost: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        gate = threading.Event()
        runs: list[None] = []

        def work(kong: outrigger.PDK) -> None:
            runs.append(None)
            if len(runs) == 2:
                NoMemory(monkeypatch, writer_of(lost), "_write")
                gate.wait(SECONDS)

        lost.plugin.work = work
        lost.send(2)
        ended(lost)
        gate.set()
        wait_for(lambda: lost.lane._threads == 0)

    def test_log_line_that_cannot_be_sent(self, lost: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        NoMemory(monkeypatch, writer_of(lost), "_write")
        lost.plugin.work = lambda kong: kong.log.err("at once")
        lost.send()
        ended(lost)

    def test_question_that_cannot_be_sent(self, lost: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        NoMemory(monkeypatch, writer_of(lost), "_write")
        lost.plugin.work = lambda kong: kong.request.get_raw_body()
        lost.send()
        ended(lost)

    def test_outcome_of_an_exit_that_cannot_be_made(self, lost: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        NoMemory(monkeypatch, lost.lane._carrier, "outcome")
        lost.plugin.work = lambda kong: kong.response.exit(403)
        lost.send()
        ended(lost)

    def test_lane_whose_threads_cannot_begin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        NoMemory(monkeypatch, ThreadLane, "_lead_and_stand_by", 2)
        opened = Host()
        ended(opened)
        opened.close()

    def test_writer_that_cannot_go_on(self) -> None:
        class Sock:
            def sendall(self, data: bytes) -> None:
                raise MemoryError

        broken: list[bool] = []
        writer = Writer(Sock(), lambda: broken.append(True))  # type: ignore[arg-type]
        with pytest.raises(MemoryError):
            writer.write([b"x"])
        writer.write([b"y"])
        assert broken == [True]

    def test_abandoned_calls_are_not_forgotten_half_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Call:
            def __init__(self, call_id: int) -> None:
                self.call_id, self.bit, self.why_sealed, self.runner = call_id, 1, "", None

            def seal(self, why: str) -> bool:
                self.bit, self.why_sealed = 0, why
                return True

        state = LaneState(Registry([], LoopRunner().run), None)  # type: ignore[arg-type]
        calls: Any = {call_id: Call(call_id) for call_id in range(3)}
        state.calls = dict(calls)
        waiters: list[Any] = []
        for call in [calls[0], calls[0], calls[2]]:
            registered = state.new_waiter(call, b"", None)
            assert registered is not None
            waiters.append(registered[0])
        gone: Any = Call(3)  # its outcome was lost on the way: it is no call of the lane any more
        registered = state.new_waiter(gone, b"", None)
        assert registered is not None
        waiters.append(registered[0])
        gone.seal("its handler has ended")
        NoMemory(monkeypatch, state, "_abandon", 2)
        insist(state.abandon_all, "the calls could not be abandoned")
        assert [call.bit for call in calls.values()] == [0, 0, 0]
        assert not state.waiters
        assert [waiter.wait().error[0] for waiter in waiters] == ["wrong_phase"] * 4


def process_of(program: str) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end."""
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


class TestThreads:
    def test_one_that_began_although_its_start_failed_is_no_other_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        start, done = threading.Thread.start, threading.Event()

        def begin(thread: EngineThread) -> None:
            start(thread)
            wait_for(lambda: not thread.claim)
            raise MemoryError

        monkeypatch.setattr(EngineThread, "start", begin)
        assert start_thread("a thread", done.set) == ""
        assert done.wait(SECONDS)

    def test_one_that_was_given_up_does_not_begin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        started: list[EngineThread] = []
        begun: list[bool] = []

        def begin(thread: EngineThread) -> None:
            started.append(thread)
            raise MemoryError

        monkeypatch.setattr(EngineThread, "start", begin)
        assert start_thread("a thread", begun.append, True) == "no thread could be started: MemoryError"
        started[0].run()
        assert not begun

    def test_one_that_does_not_begin_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As one that has no memory for its first frame."""
        monkeypatch.setattr(faults, "_BEGIN_LOOKS", 2)
        monkeypatch.setattr(EngineThread, "_bootstrap", lambda thread: None)  # pyright: ignore[reportUnknownLambdaType]
        assert "it has not begun" in start_thread("a thread", print)

    def test_one_that_begins_after_the_process_was_frozen_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever the wait at hand was, the freeze has taken its time."""
        wait, frozen = threading.Event.wait, [True]

        def wait_frozen(event: threading.Event, timeout: float | None = None) -> bool:
            if isinstance(event, faults._Begun) and frozen:
                return not frozen.pop()
            return wait(event, timeout)

        monkeypatch.setattr(threading.Event, "wait", wait_frozen)
        done = threading.Event()
        assert start_thread("a thread", done.set) == ""
        assert not frozen
        assert done.wait(SECONDS)

    @pytest.mark.parametrize(
        "fault",
        [
            "faults.start_thread('a thread', lambda: 1 / 0)",
            "threading.Thread._set_ident = lambda thread: 1 / 0; faults.start_thread('a thread', print)",
            "space = {'__name__': 'grpc._server'}; exec('def serve(): 1 / 0', space); threading.Thread(target=space['serve']).start()",
            "space = {'__name__': 'outrigger._runtime.lane'}; exec('def f(): bytes(1 << 62)', space); LoopRunner().call(space['f'])",
            "LoopRunner().call(bytes, 1 << 62)",
            "tell = threading.Event.set; "
            "threading.Event.set = lambda event: tell(event) if isinstance(event, faults._Begun) else bytes(1 << 62); LoopRunner().start()",
        ],
        ids=[
            "engine",
            "before it begins",
            "grpc",
            "memory of the engine's callback",
            "memory for the first frame",
            "memory of the loop's begin",
        ],
    )
    def test_process_ends_with_one_it_needs(self, fault: str) -> None:
        program = f"""
            import sys, threading, time
            from outrigger._runtime import faults
            from outrigger._runtime.loop import LoopRunner
            faults.guard_process()
            {fault}
            time.sleep({SECONDS})
        """
        done = process_of(program)
        assert done.returncode == faults.EXIT_CODE, done.stderr
        assert "the plugin server ends" in done.stderr

    def test_process_outlives_the_threads_of_plugins(self) -> None:
        program = """
            import threading
            from outrigger._runtime import faults
            faults.guard_process()
            thread = threading.Thread(target=lambda: 1 / 0)
            thread.start()
            thread.join()
        """
        done = process_of(program)
        assert done.returncode == 0
        assert "ZeroDivisionError" in done.stderr

    def test_process_outlives_threads_that_die_at_its_end(self) -> None:
        program = """
            import threading
            from outrigger._runtime import faults
            faults.guard_process()
            faults.end_in_order()
            space = {'__name__': 'grpc._server'}
            exec('def serve(): 1 / 0', space)
            of_grpc = threading.Thread(target=space['serve'])
            of_grpc.start()
            of_grpc.join()
            assert not faults.start_thread('a thread', lambda: 1 / 0)
            for thread in threading.enumerate():
                if isinstance(thread, faults.EngineThread):
                    thread.join()
        """
        done = process_of(program)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("ZeroDivisionError") == 2

    @pytest.mark.parametrize("event_loop", ["uvloop", "asyncio"])
    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            ("loop.call_soon(lambda: bytes(1 << 62))", "MemoryError"),
            ("asyncio.create_task(quits())", "a task of a plugin raised SystemExit; the event loop goes on"),
            ("loop.call_soon(sys.exit)", "a task of a plugin raised SystemExit; the event loop goes on"),
            ("loop.stop()", "a plugin stopped the event loop; it goes on"),
        ],
        ids=["memory", "exit of a task", "exit of a callback", "stop"],
    )
    def test_loop_outlives_the_tasks_and_callbacks_of_plugins(self, fault: str, said: str, event_loop: str) -> None:
        program = f"""
            import asyncio, sys, threading
            if {event_loop!r} == "asyncio":
                sys.modules["uvloop"] = None
            from outrigger._runtime import faults
            from outrigger._runtime.loop import LoopRunner
            faults.guard_process()
            tasks, runner = [], LoopRunner()

            async def quits():
                raise SystemExit(3)

            async def handler():
                loop = asyncio.get_running_loop()
                tasks.append({fault})
                await asyncio.sleep(0.01)

            async def quits_at_the_end():
                try:
                    await asyncio.Event().wait()
                finally:
                    sys.exit(4)

            async def leaves_a_task():
                tasks.append(asyncio.create_task(quits_at_the_end()))
                await asyncio.sleep(0)

            runner.run(handler())
            runner.run(handler())
            runner.run(leaves_a_task())
            runner.stop()
            for thread in threading.enumerate():
                if isinstance(thread, faults.EngineThread):
                    thread.join()
            print("ended")
        """
        done = process_of(program)
        assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr
        assert done.stderr.count(said) >= 2
        assert "the event loop did not end cleanly" in done.stderr

    def test_tests_of_plugins_have_no_part_of_the_engine_that_ends_a_process(self) -> None:
        program = """
            import sys, threading
            hooks = threading.excepthook, sys.unraisablehook
            import outrigger.kongcompat, outrigger.pytest_plugin, outrigger.schema, outrigger.testing
            assert hooks == (threading.excepthook, sys.unraisablehook)
            parts = ("loop", "protocol", "server", "threads", "workers")  # without them nobody makes a registry or a carrier, either
            print([name for name in parts if f"outrigger._runtime.{name}" in sys.modules])
        """
        done = process_of(program)
        assert done.stdout == "[]\n", done.stderr


class Listener:
    """A listener that fails some times before it accepts."""

    def __init__(self, listener: socket.socket, *errors: Exception) -> None:
        self.listener, self.errors = listener, list(errors)

    def accept(self) -> tuple[socket.socket, Any]:
        if self.errors:
            raise self.errors.pop(0)
        return self.listener.accept()

    def fileno(self) -> int:
        return self.listener.fileno()


class TestServer:
    def test_accepts_on_after_it_could_not(
        self, refused: Refusal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(server, "_ACCEPT_PAUSE", 0.001)
        accepting = Server([])
        welcomed = threading.Event()

        def welcome(sock: socket.socket) -> None:
            sock.close()
            welcomed.set()

        monkeypatch.setattr(accepting, "_welcome", welcome)
        inner = socket.create_server(("127.0.0.1", 0))
        inner.settimeout(0.01)
        listener: Any = Listener(inner, OSError(errno.EMFILE, "Too many open files"), OSError(errno.ENFILE, "Too many"), MemoryError())
        thread = threading.Thread(target=accepting._accept, args=(listener,))
        thread.start()
        refused.of("outrigger-greeting")
        with socket.create_connection(inner.getsockname()) as client:
            client.settimeout(SECONDS)
            assert client.recv(1) == b""
        refused.lift()
        with socket.create_connection(inner.getsockname()):
            assert welcomed.wait(SECONDS)
        accepting._stopping = True
        thread.join(SECONDS)
        assert not thread.is_alive()
        inner.close()
        assert capsys.readouterr().err.startswith("outrigger: connection refused: [Errno")
        assert accepting._greetings._value == server._MAX_GREETING - 1  # the connection that was welcomed holds one

    @pytest.mark.parametrize("code", [errno.EBADF, errno.EINVAL, errno.ENOTSOCK])
    def test_ends_without_its_listener(self, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
        class Ended(Exception):
            pass

        def end(what: str, fault: BaseException) -> None:
            raise Ended(what) from fault

        monkeypatch.setattr(server, "give_up", end)
        accepting: Any = Server([])
        monkeypatch.setattr(server, "_ACCEPT_PAUSE", 0.001)
        with socket.create_server(("127.0.0.1", 0)) as inner:
            listener: Any = Listener(inner, OSError(code, "lost"))
            listener.listener.settimeout(0.01)
            ending = threading.Timer(SECONDS, setattr, (accepting, "_stopping", True))
            ending.start()
            try:
                with pytest.raises(Ended, match="listener is lost"):
                    accepting._accept(listener)
            finally:
                ending.cancel()

    def test_is_silent_when_it_closes_its_listener(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(server, "give_up", lambda what, fault: pytest.fail(what))
        ending = Server([])
        ending._listener = socket.create_server(("127.0.0.1", 0))
        ending._listener.settimeout(0.01)
        thread = threading.Thread(target=ending._accept, args=(ending._listener,))
        thread.start()
        ending.stop()
        thread.join(SECONDS)
        assert not thread.is_alive()
        said = capsys.readouterr().err
        assert not said.replace("outrigger: connection refused: timed out\n", "")

    def test_call_of_the_control_plane_waits_for_a_thread(self, refused: Refusal) -> None:
        pool = ControlThreads(4, "control")
        gate, begun = threading.Event(), threading.Event()
        first = pool.submit(lambda: begun.set() or gate.wait(SECONDS))
        assert begun.wait(SECONDS)
        refused.of("control")
        second = pool.submit(lambda: "done")
        assert refused.count == 1
        gate.set()
        assert first.result(SECONDS)
        assert second.result(SECONDS) == "done"
        pool.shutdown()

    def test_without_any_thread_it_does_not_start(self, refused: Refusal) -> None:
        refused.of("control")
        with pytest.raises(RuntimeError, match="can't start new thread"):
            ControlThreads(4, "control").submit(print)

    def test_loop_that_has_no_thread_is_tried_again(self, refused: Refusal) -> None:
        runner = LoopRunner()
        refused.of("outrigger-loop")
        with pytest.raises(NoThread):
            runner.start()
        refused.lift()
        done: list[bool] = []

        async def work() -> None:
            await asyncio.sleep(0)
            done.append(True)

        runner.run(work())
        assert done == [True]
        runner.stop()


class Closing(outrigger.Plugin):
    """Notes which objects of it were closed."""

    name, version = "closing", "1"
    closed: ClassVar[list[outrigger.Plugin]] = []

    def access(self, kong: outrigger.PDK) -> None: ...

    def close(self) -> None:
        self.closed.append(self)


class Running:
    """A lane in which a call of an instance runs."""

    def __init__(self, instance: Instance) -> None:
        self.watched = False
        self.calls: dict[int, Any] = {1: SimpleNamespace(step=SimpleNamespace(instance=instance))}


class TestRelease:
    @pytest.fixture
    def instances(self, monkeypatch: pytest.MonkeyPatch) -> Registry:
        monkeypatch.setattr(Closing, "closed", [])
        table = Registry([PluginSpec(Closing)], lambda _: None)
        for identity in (1, 2):
            assert table.configure(identity, "closing", {}) == []
        return table

    @pytest.mark.parametrize("fault", [RuntimeError("can't start new thread"), MemoryError()])
    def test_without_a_thread_instances_are_closed(self, instances: Registry, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
        def refuse(thread: threading.Thread) -> None:
            raise fault

        monkeypatch.setattr(threading.Thread, "start", refuse)
        plugins = [instances.instances[identity].plugin for identity in (1, 2)]
        instances.release([1, 2])
        assert Closing.closed == plugins

    def test_without_a_thread_one_that_is_used_is_closed_later(
        self, instances: Registry, refused: Refusal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(registry, "_CLOSE_SECONDS", 0.01)
        refused.of("outrigger-close")
        used, idle = instances.instances[1], instances.instances[2]
        lane = Running(used)
        instances.add_lane(lane)
        instances.release([1, 2])
        assert Closing.closed == [idle.plugin]
        instances.release([])
        assert Closing.closed == [idle.plugin]
        lane.calls.clear()
        instances.release([])
        assert Closing.closed == [idle.plugin, used.plugin]
        instances.release([])
        instances.close()
        assert Closing.closed == [idle.plugin, used.plugin]

    def test_lanes_are_not_watched_for_one_that_no_call_uses(self, instances: Registry) -> None:
        """A lane that is watched tells the end of each call from then on, which costs all of them."""
        used, idle = instances.instances[1], instances.instances[2]
        lane = Running(used)
        instances.add_lane(lane)
        instances.release([2])
        assert Closing.closed == [idle.plugin]
        assert not lane.watched

    def test_the_end_closes_what_is_left(self, instances: Registry, refused: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "_CLOSE_SECONDS", 0.01)
        refused.of("outrigger-close")
        used, other = instances.instances[1], instances.instances[2]
        instances.add_lane(Running(used))
        instances.release([1])
        instances.close()
        assert Closing.closed == [other.plugin, used.plugin]


class Sealing:
    """A call that is sealed between two looks at it, by somebody who sees no waiter yet."""

    def __init__(self) -> None:
        self.bits = [1, 0]

    @property
    def bit(self) -> int:
        return self.bits.pop(0)


def test_no_ask_waits_for_a_call_that_was_sealed_meanwhile() -> None:
    state: Any = LaneState(Registry([], lambda _: None), None)  # type: ignore[arg-type]
    assert state.new_waiter(Sealing(), b"", None) is None
    assert not state.waiters


def test_answer_for_a_loop_that_is_closed() -> None:
    """A handler may have run one of its own and given up."""
    loop = asyncio.new_event_loop()
    waiter = Waiter(b"", loop.create_future())
    loop.close()
    waiter.set(Answer())
