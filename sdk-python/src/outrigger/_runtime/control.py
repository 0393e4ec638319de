"""The control plane: Describe, Configure, Release, Drain, and go-plugin's controller."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import grpc

from .. import _version
from .._gen.proto import plugin_pb2 as pb
from .._gen.proto.grpc_controller_pb2 import Empty
from .._gen.proto.grpc_controller_pb2_grpc import GRPCControllerServicer
from .._gen.proto.plugin_pb2_grpc import PluginServerServicer
from .configuring import Configuring, StillHanging
from .grpc_lane import GrpcCarrier, utf8
from .grpc_stream import stream_of
from .registry import Registry
from .wire import MIN_VERSION, VERSION, choose_version


@dataclass(frozen=True, slots=True)
class DataPlane:
    """Where one carrier listens."""

    carrier: str
    network: str = ""
    address: str = ""
    token: bytes = b""


class ControlPlane(PluginServerServicer):
    """Answers the host's control calls."""

    def __init__(self, registry: Registry, planes: list[DataPlane], serve_lane: Callable[[GrpcCarrier], None]) -> None:
        self._registry = registry
        self._planes = planes
        self._serve_lane = serve_lane
        self._configuring = Configuring()

    def Describe(self, request: pb.DescribeRequest, context: Any) -> pb.DescribeResponse:  # noqa: N802 - gRPC's name
        """What this server hosts and where its data plane listens."""
        response = pb.DescribeResponse(
            protocol_version=choose_version(request.min_protocol_version, request.protocol_version),
            min_protocol_version=MIN_VERSION,
            max_protocol_version=VERSION,
            sdk_language="python",
            sdk_version=_version.VERSION,
            lanes=1,
            overlapping=True,
            pid=os.getpid(),
        )
        for spec in self._registry.specs.values():
            manifest = spec.manifest()
            manifest["config_schema"] = json.dumps(manifest["config_schema"]).encode()
            response.plugins.append(pb.PluginManifest(**manifest))
        for plane in self._planes:
            response.data_planes.add(carrier=plane.carrier, network=plane.network, address=plane.address, token=plane.token)
        return response

    def Configure(self, request: pb.ConfigureRequest, context: Any) -> pb.ConfigureResponse:  # noqa: N802
        """Creates or replaces an instance."""
        try:
            config = json.loads(request.config or b"{}")
        except (ValueError, RecursionError) as err:
            return _refused([("", f"configuration is no JSON: {err}")])
        if not isinstance(config, dict):
            return _refused([("", f"configuration is a {type(config).__name__}; expected an object")])
        identity = request.instance_id
        turn = self._configuring.turn(identity)
        faults: list[tuple[str, str]] = []

        def work() -> None:
            fields = cast("dict[str, Any]", config)
            faults.extend(self._registry.configure(identity, request.plugin, fields, request.record_id, lambda: turn.wanted))

        try:
            if not context.add_callback(turn.give_up) or not turn.run(work):
                context.abort(grpc.StatusCode.CANCELLED, f"configuring instance {identity}: the host does not wait any more")
        except StillHanging as err:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(err))
        return _refused(faults)

    def Release(self, request: pb.ReleaseRequest, context: Any) -> pb.ReleaseResponse:  # noqa: N802
        """Closes instances once their running calls are done."""
        self._registry.release(request.instance_ids)
        return pb.ReleaseResponse()

    def Drain(self, request: pb.DrainRequest, context: Any) -> pb.DrainResponse:  # noqa: N802
        """Waits until no call runs."""
        return pb.DrainResponse(drained=self._registry.drain(request.timeout_ms / 1000))

    def Dispatch(self, request: Any, context: Any) -> Iterator[pb.DispatchResponse]:  # noqa: N802
        """One lane of carrier grpc."""
        carrier = GrpcCarrier(stream_of(cast("Iterator[pb.DispatchRequest]", request), context))
        context.add_callback(carrier.close)
        self._serve_lane(carrier)
        return carrier.responses()


def _refused(faults: list[tuple[str, str]]) -> pb.ConfigureResponse:
    return pb.ConfigureResponse(errors=[pb.FieldError(path=utf8(path), message=utf8(message)) for path, message in faults])


class Controller(GRPCControllerServicer):
    """go-plugin's way to end a server cleanly."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop

    def Shutdown(self, request: Empty, context: Any) -> Empty:  # noqa: N802
        """Ends the server after this answer."""
        context.add_callback(self._stop)
        return Empty()
