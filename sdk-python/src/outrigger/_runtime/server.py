"""A plugin server: control plane, data planes, lanes and instances."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import grpc

from .._gen.proto.grpc_controller_pb2_grpc import add_GRPCControllerServicer_to_server
from .._gen.proto.plugin_pb2_grpc import add_PluginServerServicer_to_server
from .address import Address, BadAddress, check_reach, clear_socket_file, listen
from .certificates import Certificates
from .control import Controller, ControlPlane, DataPlane
from .faults import NoThread, give_up, reason, say, start_thread
from .grpc_lane import GrpcCarrier
from .health import Health
from .loop import LoopRunner
from .plugins import PluginSpec
from .protocol import EventLane
from .registry import Registry
from .stop import StopRequest
from .stream import GREETING_SECONDS, SocketCarrier, read_greeting
from .threads import ThreadLane
from .tls import TlsSocket
from .wire import MAX_FRAME
from .workers import MAX_WORKERS, Workers

_CONTROL_THREADS = 128
"""Each lane of carrier grpc, each watcher of the health and each configure that runs takes one."""

_STOP_SECONDS = 1.0

_MAX_GREETING = 64
"""Connections that have not said who they are yet; each takes a thread for at most GREETING_SECONDS."""

_ACCEPT_PAUSE = 0.1
"""Seconds before the next connection is accepted, after there was no descriptor, memory or thread for one."""

_LOST = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})
"""What accept says when the descriptor is no listener any more, since a plugin closed it, for one: that never passes."""


class _Lane(Protocol):
    def close(self) -> None: ...

    def wait_ended(self, seconds: float | None = None) -> bool: ...


class ControlThreads(ThreadPoolExecutor):
    """Threads of gRPC's server, started when needed. When the system gives none, a call waits for one of those there are.

    An exception here would end the thread on which gRPC hears of everything, and with it the control plane.
    """

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()  # type: ignore[misc]
        except (RuntimeError, MemoryError) as err:
            if not self._threads:
                raise
            say(f"a call of the control plane waits for a thread: {err}")


class Server:
    """Hosts plugins at a control address and a data address. Start it once, stop it once."""

    def __init__(self, specs: Iterable[PluginSpec], *, workers: int = MAX_WORKERS) -> None:
        self.specs = list(specs)
        self._loop = LoopRunner()
        self.registry = Registry(self.specs, self._loop.run)
        self._workers = Workers(workers)
        self._health = Health(self._workers.exhausted)
        self._all_async = all(all(spec.is_async.values()) for spec in self.specs)
        self._token = secrets.token_bytes(32)
        self._lanes: set[_Lane] = set()
        self._lock = threading.Lock()
        self._lane_ended = threading.Condition(self._lock)
        self._stopping = False
        self._files: list[str] = []
        self._listener: socket.socket | None = None
        self._data_tls: Certificates | None = None
        self._greetings = threading.BoundedSemaphore(_MAX_GREETING)
        self._grpc: grpc.Server | None = None
        self.stop_asked = StopRequest()

    def start(self, control: Address, data: Address, certificates: Certificates | None = None) -> Address:
        """Starts listening; the control address with the port that it got.

        With certificates both planes speak TLS, but not on a unix socket as the data plane: its owner alone reaches that.

        Raises:
            BadAddress: an address cannot be listened on, or other machines would reach it without TLS.
        """
        if certificates is None:
            check_reach(control)
            check_reach(data)
        listener = listen(data)
        self._listener = listener
        if data.network == "unix":
            self._files.append(data.path)
            plane = DataPlane("msgpack", "unix", data.path, self._token)
        else:
            host, port = listener.getsockname()[:2]
            plane = DataPlane("msgpack", "tcp", Address("tcp", host=host, port=port).reachable, self._token)
            self._data_tls = certificates
        threads = ControlThreads(_CONTROL_THREADS, "outrigger-control")
        threads.submit(int)  # from now on there is one
        server = grpc.server(
            threads,
            options=[("grpc.max_receive_message_length", MAX_FRAME), ("grpc.max_send_message_length", MAX_FRAME), ("grpc.so_reuseport", 0)],
        )
        planes = [plane, DataPlane("grpc")]
        add_PluginServerServicer_to_server(ControlPlane(self.registry, planes, self._serve_grpc), server)
        add_GRPCControllerServicer_to_server(Controller(self.stop_asked.ask), server)
        server.add_generic_rpc_handlers((self._health.handler(),))
        self._grpc = server
        bound = self._bind(server, control, certificates)
        server.start()
        refused = start_thread("outrigger-accept", self._accept, listener)
        if refused:
            raise NoThread(refused)
        return bound

    def _bind(self, server: grpc.Server, control: Address, certificates: Certificates | None) -> Address:
        before = os.umask(0o177) if control.network == "unix" else None
        try:
            if control.network == "unix":
                clear_socket_file(control.path)
            if certificates is None:
                port = server.add_insecure_port(control.grpc)
            else:
                port = server.add_secure_port(control.grpc, certificates.grpc())
        except RuntimeError as err:
            raise BadAddress(f"listen on {control}: {err}") from None
        finally:
            if before is not None:
                os.umask(before)
        if control.network == "unix":
            self._files.append(control.path)
            return control
        return Address("tcp", host=control.host, port=port)

    # Lanes.

    def _accept(self, listener: socket.socket) -> None:
        """Accepts connections until the server stops. One that there is no descriptor, memory or thread for is tried again later."""
        refused = ""
        while True:
            before, refused = refused, self._accept_one(listener)
            if self._stopping:
                return
            if refused:
                if not before:
                    say(f"connection refused: {refused}")
                time.sleep(_ACCEPT_PAUSE)

    def _accept_one(self, listener: socket.socket) -> str:
        """Accepts a connection and hands it to a thread; why that could not be done. Without a listener the process ends."""
        try:
            sock, _ = listener.accept()
        except (OSError, MemoryError) as err:
            if isinstance(err, OSError) and err.errno in _LOST and not self._stopping:
                give_up("the data plane's listener is lost", err)
            return reason(err)
        if not self._greetings.acquire(blocking=False):
            say(f"connection refused: {_MAX_GREETING} others have not said who they are yet")
            sock.close()
            return ""
        refused = start_thread("outrigger-greeting", self._welcome, sock)
        if refused:
            self._greetings.release()
            sock.close()
        return refused

    def _welcome(self, sock: socket.socket) -> None:
        try:
            connection = self._greet(sock)
        except Exception as err:
            say(f"connection refused: {reason(err)}")
            sock.close()
            return
        finally:
            self._greetings.release()
        try:
            if self._all_async and isinstance(connection, socket.socket):
                self._serve_events(connection)
                return  # the loop closes it
            # The loop has no part in TLS: async handlers are handed to it.
            self._serve(ThreadLane(self.registry, SocketCarrier(connection), self._workers, self._loop))
        except Exception as err:
            say(f"lane closed: {reason(err)}")
        sock.close()

    def _greet(self, sock: socket.socket) -> socket.socket | TlsSocket:
        """Finds out who it is. A peer that says nothing has a thread until the time is over."""
        deadline = time.monotonic() + GREETING_SECONDS
        sock.settimeout(GREETING_SECONDS)  # for what is sent meanwhile
        connection: socket.socket | TlsSocket = sock
        if self._data_tls is not None:
            connection = TlsSocket(sock, self._data_tls.context())
            connection.handshake(deadline)
        read_greeting(connection, self._token, deadline)
        sock.settimeout(None)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _serve_events(self, sock: socket.socket) -> None:
        lane = EventLane(self.registry, self._loop)
        loop = self._loop.start()
        sock.setblocking(False)

        async def attach() -> None:
            await loop.connect_accepted_socket(lambda: lane, sock)

        self._enter(lane)
        try:
            self._loop.run(attach())
            self._keep(lane)
        finally:
            self._leave(lane)

    def _serve(self, lane: ThreadLane) -> None:
        self._enter(lane)
        try:
            lane.start()
            self._keep(lane)
        finally:
            self._leave(lane)

    def _serve_grpc(self, carrier: GrpcCarrier) -> None:
        lane = ThreadLane(self.registry, carrier, self._workers, self._loop)
        refused = start_thread("outrigger-stream", self._serve, lane)
        if refused:
            raise NoThread(refused)

    def _enter(self, lane: _Lane) -> None:
        """Counts a lane, before it says hello: a server that goes away waits for it from then on."""
        with self._lock:
            self._lanes.add(lane)

    def _keep(self, lane: _Lane) -> None:
        """Keeps a lane that has started until it has ended."""
        with self._lock:
            stopping = self._stopping
        if stopping:
            lane.close()
        lane.wait_ended()

    def _leave(self, lane: _Lane) -> None:
        """Forgets a lane. One that has not ended was left by a fault, and ends."""
        if not lane.wait_ended(0):
            lane.close()
        with self._lock:
            self._lanes.discard(lane)
            self._lane_ended.notify_all()

    # The end.

    def leave(self, seconds: float) -> None:
        """Tells the hosts that the server goes away, and waits until no call runs and none may still be on its way.

        A host that watches the health sends no more calls and closes its lanes. One that does not is only waited for while its calls run.
        """
        deadline = time.monotonic() + seconds
        self._health.leave()
        self.registry.drain(seconds)
        if self._health.watched:
            with self._lock:
                self._lane_ended.wait_for(lambda: not self._lanes, deadline - time.monotonic())

    def stop(self, drain_seconds: float = _STOP_SECONDS) -> None:
        """Ends cleanly: running calls get some time, instances are closed, socket files removed."""
        with self._lock:
            self._stopping = True
        if self._listener is not None:
            self._listener.close()
        self.registry.drain(drain_seconds)
        with self._lock:
            lanes = list(self._lanes)
        for lane in lanes:
            lane.close()
        for lane in lanes:
            lane.wait_ended(_STOP_SECONDS)
        self.registry.close()
        if self._grpc is not None:
            self._grpc.stop(0.2).wait(_STOP_SECONDS)
        self._loop.stop()
        self.remove_files()

    def remove_files(self) -> None:
        """Removes the socket files."""
        for path in self._files:
            Path(path).unlink(missing_ok=True)
