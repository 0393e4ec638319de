"""Real plugin server processes, over both carriers, with def and async def handlers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpcdriver import GrpcLane
from hostdriver import CALL, RECORD_ID, SECONDS, Lane, Pending, PluginServer, call_fields, ext, frame, pack

from outrigger._gen.proto import plugin_pb2 as pb
from outrigger._gen.proto.plugin_pb2_grpc import PluginServerStub

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples" / "python"


@pytest.fixture(scope="module", params=["sync", "async"])
def server(request: pytest.FixtureRequest) -> Iterator[PluginServer]:
    with PluginServer(HERE / f"plugins_{request.param}.py") as started:
        assert started.configure("probe", 1, {"mark": "one"}) == []
        yield started


@pytest.fixture(params=["msgpack", "grpc"])
def lane(server: PluginServer, request: pytest.FixtureRequest) -> Iterator[Lane | GrpcLane]:
    with server.lane() if request.param == "msgpack" else GrpcLane(server.channel) as opened:
        assert opened.ready.wait(SECONDS)
        yield opened


def do(
    action: str,
    target: bytes = b"/",
    phase: str = "access",
    instance: int = 1,
    more: Sequence[tuple[str, bytes]] = (),
    **extra: Any,
) -> list[Any]:
    """A call that tells the probe what to do."""
    headers = [("x-do", action.encode()), *more]
    return call_fields(instance, phase, target=target, headers=headers, **extra)


def set_headers(outcome: list[Any]) -> dict[str, str]:
    """Response headers that an outcome sets."""
    assert outcome[0] == 0, outcome
    return {op[1]: b",".join(op[2]).decode() for op in outcome[2] if op[0] == 21}


AnyLane = Lane | GrpcLane


class TestCalls:
    def test_hello(self, server: PluginServer, lane: AnyLane) -> None:
        assert lane.hello is not None
        assert lane.hello[:2] == [1, "python"]
        assert lane.hello[3] == server.process.pid == server.description.pid

    def test_handler_runs(self, lane: AnyLane) -> None:
        assert lane.call(do("mark")) == [0, None, [[21, "X-Mark", [b"one"]]], None]

    @pytest.mark.parametrize(
        ("action", "text"), [("raise", "before any call"), ("raise_after", "after a call"), ("raise_between", "between")]
    )
    def test_lesson_01_handler_that_raises_fails_one_call(self, lane: AnyLane, action: str, text: str) -> None:
        status, error, operations, body = lane.call(do(action))
        assert (status, operations, body) == (1, [], None)
        assert error[:2] == ["handler_error", f"ValueError: {text}"]
        assert f"do_{action}" in error[2]
        assert set_headers(lane.call(do("mark"))) == {"X-Mark": "one"}

    def test_system_exit_fails_one_call(self, server: PluginServer, lane: AnyLane) -> None:
        assert lane.call(do("system_exit"))[1][:2] == ["handler_error", "SystemExit: 3"]
        assert server.process.poll() is None
        assert set_headers(lane.call(do("mark"))) == {"X-Mark": "one"}

    def test_lesson_02_slow_handlers_overlap(self, lane: AnyLane) -> None:
        """Four handlers wait until all four run: one after the other they would wait for ever. Quick ones do not wait for them."""
        slow = [lane.start(do("meet", b"/?n=4"))[1] for _ in range(3)]
        for _ in range(20):
            assert set_headers(lane.call(do("mark"))) == {"X-Mark": "one"}
        slow.append(lane.start(do("meet", b"/?n=4"))[1])
        for pending in slow:
            assert set_headers(pending.outcome()) == {"X-Met": "4"}

    def test_blocked_handlers_wait_for_others(self, lane: AnyLane) -> None:
        """Handlers that wait for a later call of the same lane: nothing may wait in line behind them."""
        waiting = [lane.start(do("gate", b"/?gate=g%d" % i))[1] for i in range(6)]
        for i in reversed(range(6)):
            assert lane.call(do("open", b"/?gate=g%d" % i))[0] == 0
            assert set_headers(waiting[i].outcome()) == {"X-Gate": f"g{i}"}

    def test_body_filter(self, lane: AnyLane) -> None:
        response: dict[str, Any] = {"response": [200, [], 0], "service_response": [200, None]}
        assert lane.call(do("-", phase="body_filter", chunk=b"abc", last=False, **response))[3] == b"ABC"
        assert lane.call(do("-", phase="body_filter", chunk=b"", last=True, **response))[3] == b"!"
        assert lane.call(do("-", phase="body_filter", chunk=b"same", last=True, **response))[3] is None
        large = b"a" * 100_000
        fields = do("-", phase="body_filter", chunk=ext(large), last=True, **response)
        assert lane.start(fields, [large])[1].outcome()[3] == large.upper() + b"!"

    def test_unknown_instance_and_phase(self, lane: AnyLane) -> None:
        assert lane.call(do("mark", instance=99))[1][0] == "unknown_instance"
        assert lane.call(do("mark", phase="rewrite"))[1][0] == "wrong_phase"

    def test_lesson_11_24_values_and_bytes_survive(self, lane: AnyLane) -> None:
        for value in (None, False, True, 0, 1.5, "", "v", b"", b"\x00\xff", [], {}, [1, "a", None], {"a": {"b": None}}, 2**63, -1):
            outcome = lane.call(do("echo", more=[("x-raw", b"caf\xe9")], shared={"value": value}))
            assert outcome[0] == 0, outcome
            assert outcome[2][0] == [1, "X-Echo", [b"caf\xe9"]]
            assert outcome[2][1] == [50, "copy", value]
            assert type(outcome[2][1][2]) is type(value)

    def test_gateway_facts_and_generic_operations(self, lane: AnyLane) -> None:
        tls = ["TLSv1.3", "TLS_AES_128_GCM_SHA256", "SUCCESS", True]
        call_id, pending = lane.start(do("gateway", plugin={"count": 1}, tls=tls, groups=[["g-1", "one"]]))
        for question, answer in (([8], "PEM"), ([13, "{vault://env/x}"], "secret"), ([7, "pool"], None)):
            assert pending.next() == ("ask", question)
            lane.answer(call_id, answer)
        status, error, operations, _ = pending.outcome()
        assert (status, error) == (0, None)
        seen = [RECORD_ID, "cluster-1", "0.1.0", "TLSv1.3", 1, ["one"], "PEM", "secret"]
        span = operations.pop()
        assert operations == [
            [70, ["pool"]],
            [41, [[["g-2", "two"]], "append"]],
            [51, "count", 2],
            [50, "seen", seen],
            [71, ["::1", 8080]],
            [91, ["probe", {"a": 1}, "kind", "text", None]],
            [92, ["k", {"v": b"\x00"}, 1.5]],
        ]
        fields = span[1][0]
        assert (span[0], fields["id"], fields["parent"], fields["name"], fields["attributes"]) == (90, 1, 0, "work", {"size": 3})
        assert fields["end"] >= fields["start"] > 1_700_000_000_000_000

    def test_entities(self, lane: AnyLane) -> None:
        lane.entity(3, {"id": "r", "name": "orders"})
        assert lane.call(do("mark", route=3))[0] == 0


class TestAsks:
    @pytest.mark.parametrize("body", [b"", b"12345", b"\x00\xff" * 3_000_000])
    def test_lesson_16_body(self, lane: AnyLane, body: bytes) -> None:
        call_id, pending = lane.start(do("body"))
        assert pending.next() == ("ask", [1])
        lane.answer(call_id, body)
        status, _, operations, _ = pending.outcome()
        assert status == 0
        assert operations == [[21, "X-Length", [str(len(body)).encode()]], [7, body[::-1]]]

    def test_body_that_came_along(self, lane: AnyLane) -> None:
        body = b"q" * 100_000
        _, pending = lane.start(do("body", request_body=ext(body)), [body])
        assert pending.outcome()[2][1] == [7, body]

    def test_several(self, lane: AnyLane) -> None:
        call_id, pending = lane.start(do("asks"))
        for name in ("a", "b", "c"):
            assert pending.next() == ("ask", [4, name, True])
            lane.answer(call_id, None if name == "b" else {"id": name, "username": f"user {name}"})
        assert set_headers(pending.outcome()) == {"X-Names": "user a,-,user c"}

    def test_error(self, lane: AnyLane) -> None:
        call_id, pending = lane.start(do("ask_error"))
        assert pending.next() == ("ask", [1])
        lane.answer(call_id, error=["bad_data", "body over the limit"])
        assert pending.outcome()[2] == [[25, 413, b"body over the limit", []]]

    def test_others_run_meanwhile(self, lane: AnyLane) -> None:
        asking = [lane.start(do("body")) for _ in range(8)]
        for _, pending in asking:
            assert pending.next() == ("ask", [1])
        assert set_headers(lane.call(do("mark"))) == {"X-Mark": "one"}
        for call_id, pending in reversed(asking):
            lane.answer(call_id, b"x" * call_id)
            assert set_headers(pending.outcome())["X-Length"] == str(call_id)

    def test_one_at_a_time(self, lane: AnyLane) -> None:
        """However many a handler puts at once: else an answer could go to another ask, and the host ends lanes of which too many wait."""
        call_id, pending = lane.start(do("ask_threads", b"/?n=300"))
        for i in range(300):
            kind, (function, name, _) = pending.next()
            assert (kind, function) == ("ask", 4)
            if i % 50 == 0:
                lane.call(do("mark"))
                assert pending.events.empty()
            lane.answer(call_id, {"id": "x", "username": name})
        pairs = set_headers(pending.outcome())["X-Found"].split(",")
        assert pairs == sorted(f"n{i}=n{i}" for i in range(300))

    def test_cancelled_with_others_behind(self, lane: AnyLane) -> None:
        call_id, pending = lane.start(do("ask_threads", b"/?n=5"))
        assert pending.next()[0] == "ask"
        lane.cancel(call_id)
        assert set_headers(lane.call(do("mark"))) == {"X-Mark": "one"}
        assert pending.events.empty()

    def test_cancelled_ask(self, lane: AnyLane) -> None:
        call_id, pending = lane.start(do("body"))
        assert pending.next() == ("ask", [1])
        lane.cancel(call_id)
        lane.answer(call_id, b"late")
        assert set_headers(lane.call(do("mark"))) == {"X-Mark": "one"}
        assert pending.events.empty()


class TestSizes:
    @pytest.mark.parametrize("target", [b"/", b"/?values=1"])
    def test_more_operations_than_a_host_takes(self, lane: AnyLane, target: bytes) -> None:
        outcome = lane.call(do("flood", target))
        assert (outcome[0], outcome[1][0]) == (1, "too_large")
        assert set_headers(lane.call(do("mark"))) == {"X-Mark": "one"}

    def test_more_bytes_than_a_frame_takes(self, lane: AnyLane) -> None:
        outcome = lane.call(do("swell"))
        assert (outcome[0], outcome[1][0]) == (1, "too_large")
        assert set_headers(lane.call(do("mark"))) == {"X-Mark": "one"}

    @pytest.mark.parametrize("target", [b"/", b"/?exit=1"])
    def test_outcome_that_cannot_be_made_fails_at_once(self, lane: AnyLane, target: bytes) -> None:
        outcome = lane.call(do("textless", target))
        assert (outcome[0], outcome[1][:2]) == (1, ["handler_error", "ValueError: has no text"])
        assert set_headers(lane.call(do("mark"))) == {"X-Mark": "one"}


class TestExits:
    def test_exit(self, lane: AnyLane) -> None:
        outcome = lane.call(do("exit"))
        assert outcome[:2] == [0, None]
        assert outcome[2][0] == [21, "X-Before", [b"1"]]
        assert outcome[2][1] == [25, 403, b'{"message":"no"}', ["Content-Type", b"application/json; charset=utf-8"]]

    def test_the_answer_does_not_wait_for_the_handler(self, lane: AnyLane) -> None:  # lesson 23
        assert lane.call(do("exit_and_stay"))[2] == [[25, 403, None, []]]
        assert lane.call(do("exit_in_thread"))[2] == [[25, 418, None, []]]
        for gate in (b"stay", b"thread"):
            assert lane.call(do("open", b"/?gate=" + gate))[0] == 0

    def test_large(self, lane: AnyLane) -> None:
        _, large = lane.start(do("large"))
        quick = [lane.start(do("mark"))[1] for _ in range(5)]
        for pending in quick:
            assert set_headers(pending.outcome()) == {"X-Mark": "one"}
        assert large.outcome()[2] == [[25, 200, b"z" * 5_000_000, []]]


class TestLife:
    def test_lesson_22_use_after_return(self, lane: AnyLane) -> None:
        assert lane.call(do("keep"))[0] == 0
        found = set_headers(lane.call(do("use_kept")))
        assert found == {"X-Error": "wrong_phase: request.get_header: called after its handler has ended"}

    def test_cancel_seals(self, server: PluginServer, lane: AnyLane) -> None:
        def said(text: str) -> int:
            return sum(text in line for line in server.stderr)

        waiting, sealed = said("waits for the cancel"), said("sealed: ")
        call_id, pending = lane.start(do("wait_cancelled"))
        wait_for(lambda: said("waits for the cancel") > waiting)  # one that is cancelled earlier never runs
        assert set_headers(lane.call(do("mark"))) == {"X-Mark": "one"}
        lane.cancel(call_id)
        wait_for(lambda: said("sealed: ") > sealed)
        assert "called after nobody waits for it any more" in server.stderr_text()
        assert pending.events.empty()

    def test_many_calls(self, lane: AnyLane) -> None:
        pending = [lane.start(do("raise" if i % 7 == 0 else "mark"))[1] for i in range(500)]
        assert [one.outcome()[0] for one in pending] == [int(i % 7 == 0) for i in range(500)]


class TestLog:
    def test_lesson_18_lines(self, server: PluginServer, lane: AnyLane) -> None:
        _, pending = lane.start(do("log"))
        pending.outcome()
        lines = [(level, text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")) for level, text in pending.logs]
        assert lines == [(0, b"a debug line"), (1, b"number 1 nil true"), (4, b"bytes \xff")]
        assert server.wait_for_line(lambda line: line == "printed")

    def test_many(self, lane: AnyLane) -> None:
        _, pending = lane.start(do("many_logs"))
        pending.outcome()
        assert len(pending.logs) == 1000

    def test_below_level(self, server: PluginServer) -> None:
        with server.lane(hello=[1, "", "", "", [], 4, 1 << 20, 65536]) as quiet:
            _, pending = quiet.start(do("log"))
            pending.outcome()
            assert [level for level, _ in pending.logs] == [4]

    def test_log_phase(self, lane: AnyLane) -> None:
        _, pending = lane.start(do("-", phase="log", response=[503, [], 2]))
        assert pending.outcome()[:2] == [0, None]
        assert [level for level, _ in pending.logs] == [2]
        assert "503 from error" in str(pending.logs[0][1])


class TestControl:
    def test_describe(self, server: PluginServer) -> None:
        description = server.description
        assert (description.sdk_language, description.overlapping, description.lanes) == ("python", True, 1)
        probe = next(plugin for plugin in description.plugins if plugin.name == "probe")
        assert list(probe.phases) == ["access", "body_filter", "log"]
        assert {plane.carrier for plane in description.data_planes} == {"msgpack", "grpc"}

    def test_configure(self, server: PluginServer) -> None:
        assert server.configure("probe", 50, {"mark": 5}) == [("mark", "found an integer; expected a text")]
        assert server.configure("probe", 50, {"mrk": "a"})[0][0] == "mrk"
        assert server.configure("probe", 50, {"mark": "refuse"}) == [("", "ValueError: this mark is refused")]
        assert "not hosted here" in server.configure("nobody", 50)[0][1]

    def test_replace_and_release(self, server: PluginServer, lane: AnyLane) -> None:
        assert server.configure("probe", 60, {"mark": "first"}) == []
        call_id, running = lane.start(do("body", instance=60))
        assert running.next() == ("ask", [1])
        before = closed(server, "first")
        assert set_headers(lane.call(do("mark", instance=60))) == {"X-Mark": "first"}
        assert server.configure("probe", 60, {"mark": "second"}) == []
        assert set_headers(lane.call(do("mark", instance=60))) == {"X-Mark": "second"}
        server.control.Release(pb.ReleaseRequest(instance_ids=[60]), timeout=SECONDS)
        wait_for(lambda: closed(server, "second") > 0)
        assert lane.call(do("mark", instance=60))[1][0] == "unknown_instance"
        assert closed(server, "first") == before  # its call still runs
        lane.answer(call_id, b"12345")
        assert set_headers(running.outcome()) == {"X-Length": "5"}
        wait_for(lambda: closed(server, "first") > before)

    def test_lesson_06_five_instances_keep_their_configuration(self, server: PluginServer, lane: AnyLane) -> None:  # lesson 6
        for i in range(5):
            assert server.configure("probe", 100 + i, {"mark": f"m{i}"}) == []
        pending = [(i % 5, lane.start(do("mark", instance=100 + i % 5))[1]) for i in range(100)]
        for i, one in pending:
            assert set_headers(one.outcome()) == {"X-Mark": f"m{i}"}

    def test_health(self, server: PluginServer) -> None:
        check = server.channel.unary_unary("/grpc.health.v1.Health/Check")
        for service in (b"", b"\x0a\x06plugin"):
            assert check(service, timeout=SECONDS) == b"\x08\x01"
        with pytest.raises(grpc.RpcError) as caught:
            check(b"\x0a\x05other", timeout=SECONDS)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    def test_version(self, server: PluginServer) -> None:
        for oldest, newest in ((0, 1), (1, 1), (1, 7), (0, 0), (2, 3)):
            answer = server.control.Describe(pb.DescribeRequest(min_protocol_version=oldest, protocol_version=newest), timeout=SECONDS)
            assert (answer.protocol_version, answer.min_protocol_version, answer.max_protocol_version) == (1, 1, 1)

    def test_drain(self, server: PluginServer, lane: AnyLane) -> None:
        call_id, pending = lane.start(do("body"))
        pending.next()
        assert not server.control.Drain(pb.DrainRequest(timeout_ms=50), timeout=SECONDS).drained
        answer = threading.Timer(0.1, lane.answer, (call_id, b"x"))
        answer.start()
        drained = server.control.Drain(pb.DrainRequest(timeout_ms=int(SECONDS * 1000)), timeout=2 * SECONDS)
        answer.join()
        pending.outcome()
        assert drained.drained


def closed(server: PluginServer, mark: str) -> int:
    """How many instances with that mark were closed."""
    return sum(line == f"closed {mark}" for line in list(server.stderr))


def wait_for(true: Any, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.002)


class TestHostilePeers:
    @pytest.mark.parametrize(
        "greeting",
        [b"GET / HTTP/1.1\r\n\r\n", b"ORLN\x00\x02\x00\x00", b"ORLN\x00\x01\x00\x03abc", b"ORLN\x00\x01\x00\x20" + b"x" * 32],
    )
    def test_bad_greeting(self, server: PluginServer, greeting: bytes) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(SECONDS)
            sock.connect(server.data_plane()[1])
            sock.sendall(greeting)
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(100) == b""

    def test_bad_frame_closes_one_lane(self, server: PluginServer) -> None:
        with server.lane() as good, server.lane() as bad:
            bad.send(struct.pack(">IIBBHI", 1, 1, 99, 0, 0, 0) + b"\x90")
            assert bad.ended.wait(SECONDS)
            assert bad.goaway is not None
            assert bad.goaway[0] == "bad_frame"
            assert set_headers(good.call(do("mark"))) == {"X-Mark": "one"}

    def test_facts_that_do_not_decode_close_one_lane(self, server: PluginServer) -> None:
        with server.lane() as bad, server.lane() as good:
            fields = do("mark")
            fields[5] = "no request"
            _, pending = bad.start(fields)
            assert pending.next() == ("end", None)
            assert bad.goaway is not None
            assert bad.goaway[0] == "bad_frame"
            assert "do not decode" in bad.goaway[1]
            assert set_headers(good.call(do("mark"))) == {"X-Mark": "one"}

    def test_lane_lost_while_calls_run(self, server: PluginServer) -> None:
        with server.lane() as lost:
            for i in range(5):
                lost.start(do("body"))
                lost.start(do("gate", b"/?gate=lost%d" % i))
        with server.lane() as other:
            assert set_headers(other.call(do("mark"))) == {"X-Mark": "one"}
            for i in range(5):
                other.call(do("open", b"/?gate=lost%d" % i))

    def test_lesson_12_one_byte_writes(self, server: PluginServer) -> None:
        with server.lane() as slow:
            pending = slow.pending[1000] = Pending()
            for byte in frame(CALL, 1000, pack(do("mark"))):
                slow.sock.sendall(bytes([byte]))
            assert set_headers(pending.outcome()) == {"X-Mark": "one"}


class TestProcess:
    def test_shutdown_ends_cleanly(self) -> None:
        with PluginServer(HERE / "plugins_sync.py", EXAMPLES) as server:
            assert server.configure("probe", 1, {"mark": "bye"}) == []
            with server.lane() as lane:
                assert set_headers(lane.call(do("mark"))) == {"X-Mark": "bye"}
                assert server.shutdown() == 0
                assert lane.ended.wait(SECONDS)
            assert "closed bye" in server.stderr_text()
            assert os.listdir(server.run_dir.name) == []  # noqa: PTH208

    def test_sigterm_ends_cleanly(self) -> None:
        with PluginServer(HERE / "plugins_async.py") as server:
            with server.lane() as lane:
                lane.call(do("mark"))
                server.process.terminate()
                assert server.process.wait(SECONDS) == 0
            assert os.listdir(server.run_dir.name) == []  # noqa: PTH208

    @pytest.mark.parametrize("busy", [False, True])
    def test_lesson_13_ends_with_its_host(self, busy: bool) -> None:  # lesson 13
        with PluginServer(HERE / "plugins_sync.py") as server, server.lane() as lane:
            assert server.configure("probe", 1) == []
            if busy:
                for _ in range(3):
                    lane.start(do("sleep", b"/?s=30"))
                lane.call(do("mark"))
            os.close(server.lifeline)
            server.lifeline = os.open(os.devnull, os.O_RDONLY)
            assert server.process.wait(SECONDS) == 0  # the two seconds are the whole gateway's test
            assert os.listdir(server.run_dir.name) == []  # noqa: PTH208

    def test_lesson_14_runs_as_a_child_of_another_parent(self, tmp_path: Path) -> None:  # lesson 14
        """Its parent ends and it is handed to pid 1 (or a subreaper): it keeps serving, since only the lifeline counts."""
        log = tmp_path / "log"
        serve = f'"{sys.executable}" -m outrigger serve "{EXAMPLES / "hello"}" --listen "unix://{tmp_path}/p.sock"'
        command = f'{serve} >/dev/null 2>"{log}" & echo $!'
        pid = int(subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, check=True, timeout=SECONDS).stdout)
        try:
            wait_for(lambda: log.exists() and "serving" in log.read_text())
            assert Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()[1] != str(os.getpid())
            with grpc.insecure_channel(f"unix:{tmp_path}/p.sock") as channel, GrpcLane(channel) as lane:
                configure = pb.ConfigureRequest(instance_id=1, plugin="hello-python", config=b"{}")
                assert not PluginServerStub(channel).Configure(configure, timeout=SECONDS).errors
                assert set_headers(lane.call(call_fields(1))) == {"X-Hello-Python": "hello, world"}
        finally:
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not (tmp_path / "p.sock").exists())

    def test_stdout_is_only_the_handshake(self) -> None:
        with PluginServer(HERE / "plugins_sync.py") as server:
            assert server.handshake.startswith("1|1|unix|")
            server.wait_for_line(lambda line: line == "plugins are being imported")
            server.shutdown()
            assert server.process.stdout is not None
            assert server.process.stdout.read() == b""

    def test_attached(self, tmp_path: Path) -> None:
        for listen in (f"unix://{tmp_path}/p.sock", "tcp://127.0.0.1:0"):
            with PluginServer(EXAMPLES / "hello", listen=listen) as server:
                assert server.configure("hello-python", 1, {"greeting": "hi"}) == []
                with server.lane() as lane:
                    assert set_headers(lane.call(call_fields(1))) == {"X-Hello-Python": "hi, world"}
                if listen.startswith("unix"):
                    assert (tmp_path / "p.sock").stat().st_mode & 0o077 == 0
                    assert (tmp_path / "p.sock.data").stat().st_mode & 0o077 == 0

    def test_end_waits_for_hosts_that_watch(self, tmp_path: Path) -> None:
        with PluginServer(EXAMPLES / "hello", listen=f"unix://{tmp_path}/p.sock") as server:
            assert server.configure("hello-python", 1, {"greeting": "hi"}) == []
            watch = server.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"\x0a\x06plugin", timeout=3 * SECONDS)
            assert next(watch) == b"\x08\x01"
            with server.lane() as lane:
                server.process.send_signal(signal.SIGTERM)
                assert next(watch) == b"\x08\x02"
                # On its way while the host hears of it.
                assert set_headers(lane.call(call_fields(1))) == {"X-Hello-Python": "hi, world"}
                assert server.process.poll() is None
            assert server.process.wait(SECONDS) == 0

    def test_stale_socket_is_replaced_and_a_live_one_is_not(self, tmp_path: Path) -> None:
        path = tmp_path / "p.sock"
        for name in (path, Path(f"{path}.data")):
            stale = socket.socket(socket.AF_UNIX)
            stale.bind(str(name))
            stale.close()
        with PluginServer(EXAMPLES / "hello", listen=f"unix://{path}"), pytest.raises(AssertionError, match="another server listens there"):
            PluginServer(EXAMPLES / "hello", listen=f"unix://{path}")

    def test_mixed_server(self) -> None:
        """def and async def handlers on one lane."""
        with PluginServer(HERE / "plugins_sync.py", HERE / "plugins_mixed.py") as server:
            assert server.configure("probe", 1) == []
            assert server.configure("mixed", 2) == []
            with server.lane() as lane:
                both = [lane.start(do("mark", instance=1 + i % 2))[1] for i in range(100)]
                assert [next(iter(set_headers(one.outcome()))) for one in both] == ["X-Mark", "X-Async"] * 50
                call_id, pending = lane.start(do("ask", instance=2))
                assert pending.next() == ("ask", [1])
                lane.answer(call_id, b"12345")
                assert set_headers(pending.outcome()) == {"X-Async": "5"}

    def test_waiting_plugin_overlaps(self) -> None:
        """A plugin that declares that it waits has the workers from the first call on: 16 handlers wait for each other."""
        with PluginServer(HERE / "plugins_sync.py") as server, server.lane() as lane:
            assert server.configure("waiter", 1) == []
            pending = [lane.start(call_fields(1))[1] for _ in range(16)]
            for one in pending:
                assert one.outcome()[0] == 0

    def test_computing_handler_does_not_starve_others(self) -> None:
        """A handler computes until a later call tells it to end."""
        with PluginServer(HERE / "plugins_sync.py") as server, server.lane() as lane:
            assert server.configure("probe", 1) == []
            _, heavy = lane.start(do("compute", b"/?gate=heavy"))
            for _ in range(5):
                lane.call(do("mark"))
            lane.call(do("open", b"/?gate=heavy"))
            assert set_headers(heavy.outcome()) == {"X-Gate": "heavy"}

    def test_threads_that_ask_and_the_lead(self) -> None:
        """Threads of one handler ask while the handler waits for them."""
        with PluginServer(HERE / "plugins_sync.py") as server, server.lane() as lane:
            assert server.configure("probe", 1) == []
            for _ in range(3):
                call_id, pending = lane.start(do("ask_threads", b"/?n=4"))
                for _ in range(4):
                    kind, (function, name, _) = pending.next()
                    assert (kind, function) == ("ask", 4)
                    lane.answer(call_id, {"id": "x", "username": name})
                assert set_headers(pending.outcome()) == {"X-Found": "n0=n0,n1=n1,n2=n2,n3=n3"}

    def test_context_variables_stay_apart(self) -> None:
        with PluginServer(HERE / "plugins_async.py") as server, server.lane() as lane:
            assert server.configure("probe", 1) == []
            pending = [lane.start(do("context"))[1] for _ in range(5)]
            assert [set_headers(one.outcome()) for one in pending] == [{"X-Seen": "nothing"}] * 5
