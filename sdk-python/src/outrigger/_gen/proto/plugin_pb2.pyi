from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DescribeRequest(_message.Message):
    __slots__ = ("protocol_version", "gateway_version", "min_protocol_version")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_VERSION_FIELD_NUMBER: _ClassVar[int]
    MIN_PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    gateway_version: str
    min_protocol_version: int
    def __init__(self, protocol_version: _Optional[int] = ..., gateway_version: _Optional[str] = ..., min_protocol_version: _Optional[int] = ...) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("protocol_version", "sdk_language", "sdk_version", "plugins", "data_planes", "lanes", "overlapping", "pid", "min_protocol_version", "max_protocol_version")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    SDK_LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    SDK_VERSION_FIELD_NUMBER: _ClassVar[int]
    PLUGINS_FIELD_NUMBER: _ClassVar[int]
    DATA_PLANES_FIELD_NUMBER: _ClassVar[int]
    LANES_FIELD_NUMBER: _ClassVar[int]
    OVERLAPPING_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    MIN_PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MAX_PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    sdk_language: str
    sdk_version: str
    plugins: _containers.RepeatedCompositeFieldContainer[PluginManifest]
    data_planes: _containers.RepeatedCompositeFieldContainer[DataPlane]
    lanes: int
    overlapping: bool
    pid: int
    min_protocol_version: int
    max_protocol_version: int
    def __init__(self, protocol_version: _Optional[int] = ..., sdk_language: _Optional[str] = ..., sdk_version: _Optional[str] = ..., plugins: _Optional[_Iterable[_Union[PluginManifest, _Mapping]]] = ..., data_planes: _Optional[_Iterable[_Union[DataPlane, _Mapping]]] = ..., lanes: _Optional[int] = ..., overlapping: _Optional[bool] = ..., pid: _Optional[int] = ..., min_protocol_version: _Optional[int] = ..., max_protocol_version: _Optional[int] = ...) -> None: ...

class PluginManifest(_message.Message):
    __slots__ = ("name", "version", "priority", "phases", "config_schema", "authenticates", "needs")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    CONFIG_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATES_FIELD_NUMBER: _ClassVar[int]
    NEEDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    priority: int
    phases: _containers.RepeatedScalarFieldContainer[str]
    config_schema: bytes
    authenticates: bool
    needs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., priority: _Optional[int] = ..., phases: _Optional[_Iterable[str]] = ..., config_schema: _Optional[bytes] = ..., authenticates: _Optional[bool] = ..., needs: _Optional[_Iterable[str]] = ...) -> None: ...

class DataPlane(_message.Message):
    __slots__ = ("carrier", "network", "address", "token")
    CARRIER_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    carrier: str
    network: str
    address: str
    token: bytes
    def __init__(self, carrier: _Optional[str] = ..., network: _Optional[str] = ..., address: _Optional[str] = ..., token: _Optional[bytes] = ...) -> None: ...

class ConfigureRequest(_message.Message):
    __slots__ = ("instance_id", "plugin", "config", "record_id", "instance_name")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_NAME_FIELD_NUMBER: _ClassVar[int]
    instance_id: int
    plugin: str
    config: bytes
    record_id: str
    instance_name: str
    def __init__(self, instance_id: _Optional[int] = ..., plugin: _Optional[str] = ..., config: _Optional[bytes] = ..., record_id: _Optional[str] = ..., instance_name: _Optional[str] = ...) -> None: ...

class ConfigureResponse(_message.Message):
    __slots__ = ("errors",)
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    errors: _containers.RepeatedCompositeFieldContainer[FieldError]
    def __init__(self, errors: _Optional[_Iterable[_Union[FieldError, _Mapping]]] = ...) -> None: ...

class FieldError(_message.Message):
    __slots__ = ("path", "message")
    PATH_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    path: str
    message: str
    def __init__(self, path: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("instance_ids",)
    INSTANCE_IDS_FIELD_NUMBER: _ClassVar[int]
    instance_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, instance_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DrainRequest(_message.Message):
    __slots__ = ("timeout_ms",)
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    timeout_ms: int
    def __init__(self, timeout_ms: _Optional[int] = ...) -> None: ...

class DrainResponse(_message.Message):
    __slots__ = ("drained",)
    DRAINED_FIELD_NUMBER: _ClassVar[int]
    drained: bool
    def __init__(self, drained: _Optional[bool] = ...) -> None: ...

class DispatchRequest(_message.Message):
    __slots__ = ("call_id", "hello", "call", "answer", "chunk", "cancel", "entity", "goaway")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    GOAWAY_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    hello: HostHello
    call: Call
    answer: Answer
    chunk: bytes
    cancel: Cancel
    entity: Entity
    goaway: GoAway
    def __init__(self, call_id: _Optional[int] = ..., hello: _Optional[_Union[HostHello, _Mapping]] = ..., call: _Optional[_Union[Call, _Mapping]] = ..., answer: _Optional[_Union[Answer, _Mapping]] = ..., chunk: _Optional[bytes] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., entity: _Optional[_Union[Entity, _Mapping]] = ..., goaway: _Optional[_Union[GoAway, _Mapping]] = ...) -> None: ...

class DispatchResponse(_message.Message):
    __slots__ = ("call_id", "hello", "outcome", "ask", "chunk", "log", "goaway")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    GOAWAY_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    hello: ServerHello
    outcome: Outcome
    ask: Ask
    chunk: bytes
    log: Log
    goaway: GoAway
    def __init__(self, call_id: _Optional[int] = ..., hello: _Optional[_Union[ServerHello, _Mapping]] = ..., outcome: _Optional[_Union[Outcome, _Mapping]] = ..., ask: _Optional[_Union[Ask, _Mapping]] = ..., chunk: _Optional[bytes] = ..., log: _Optional[_Union[Log, _Mapping]] = ..., goaway: _Optional[_Union[GoAway, _Mapping]] = ...) -> None: ...

class HostHello(_message.Message):
    __slots__ = ("version", "node_id", "hostname", "gateway_version", "trusted_cidrs", "log_level", "max_body", "max_shared", "cluster_id", "telemetry_logs", "features")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_VERSION_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_CIDRS_FIELD_NUMBER: _ClassVar[int]
    LOG_LEVEL_FIELD_NUMBER: _ClassVar[int]
    MAX_BODY_FIELD_NUMBER: _ClassVar[int]
    MAX_SHARED_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_LOGS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    version: int
    node_id: str
    hostname: str
    gateway_version: str
    trusted_cidrs: _containers.RepeatedScalarFieldContainer[str]
    log_level: int
    max_body: int
    max_shared: int
    cluster_id: str
    telemetry_logs: bool
    features: int
    def __init__(self, version: _Optional[int] = ..., node_id: _Optional[str] = ..., hostname: _Optional[str] = ..., gateway_version: _Optional[str] = ..., trusted_cidrs: _Optional[_Iterable[str]] = ..., log_level: _Optional[int] = ..., max_body: _Optional[int] = ..., max_shared: _Optional[int] = ..., cluster_id: _Optional[str] = ..., telemetry_logs: _Optional[bool] = ..., features: _Optional[int] = ...) -> None: ...

class ServerHello(_message.Message):
    __slots__ = ("version", "sdk_language", "sdk_version", "pid", "features")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SDK_LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    SDK_VERSION_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    version: int
    sdk_language: str
    sdk_version: str
    pid: int
    features: int
    def __init__(self, version: _Optional[int] = ..., sdk_language: _Optional[str] = ..., sdk_version: _Optional[str] = ..., pid: _Optional[int] = ..., features: _Optional[int] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: bytes
    def __init__(self, name: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("instance", "phase", "timeout_ms", "request_id", "start_time", "request", "client", "forwarded", "route", "service", "consumer", "credential", "captures", "shared", "response", "service_response", "chunk", "last", "request_body", "response_body", "plugin", "tls", "groups", "trace", "prefetched", "steps")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    FORWARDED_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    CAPTURES_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    REQUEST_BODY_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_BODY_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    PREFETCHED_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    instance: int
    phase: int
    timeout_ms: int
    request_id: str
    start_time: int
    request: Request
    client: Client
    forwarded: Forwarded
    route: int
    service: int
    consumer: int
    credential: bytes
    captures: Captures
    shared: _containers.RepeatedCompositeFieldContainer[KeyValue]
    response: Response
    service_response: ServiceResponse
    chunk: Blob
    last: bool
    request_body: Blob
    response_body: Blob
    plugin: _containers.RepeatedCompositeFieldContainer[KeyValue]
    tls: TLS
    groups: _containers.RepeatedCompositeFieldContainer[Group]
    trace: Trace
    prefetched: _containers.RepeatedCompositeFieldContainer[Prefetched]
    steps: _containers.RepeatedCompositeFieldContainer[Step]
    def __init__(self, instance: _Optional[int] = ..., phase: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., request_id: _Optional[str] = ..., start_time: _Optional[int] = ..., request: _Optional[_Union[Request, _Mapping]] = ..., client: _Optional[_Union[Client, _Mapping]] = ..., forwarded: _Optional[_Union[Forwarded, _Mapping]] = ..., route: _Optional[int] = ..., service: _Optional[int] = ..., consumer: _Optional[int] = ..., credential: _Optional[bytes] = ..., captures: _Optional[_Union[Captures, _Mapping]] = ..., shared: _Optional[_Iterable[_Union[KeyValue, _Mapping]]] = ..., response: _Optional[_Union[Response, _Mapping]] = ..., service_response: _Optional[_Union[ServiceResponse, _Mapping]] = ..., chunk: _Optional[_Union[Blob, _Mapping]] = ..., last: _Optional[bool] = ..., request_body: _Optional[_Union[Blob, _Mapping]] = ..., response_body: _Optional[_Union[Blob, _Mapping]] = ..., plugin: _Optional[_Iterable[_Union[KeyValue, _Mapping]]] = ..., tls: _Optional[_Union[TLS, _Mapping]] = ..., groups: _Optional[_Iterable[_Union[Group, _Mapping]]] = ..., trace: _Optional[_Union[Trace, _Mapping]] = ..., prefetched: _Optional[_Iterable[_Union[Prefetched, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("instance", "timeout_ms", "plugin", "prefetched", "trace")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    PREFETCHED_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    instance: int
    timeout_ms: int
    plugin: _containers.RepeatedCompositeFieldContainer[KeyValue]
    prefetched: _containers.RepeatedCompositeFieldContainer[Prefetched]
    trace: Trace
    def __init__(self, instance: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., plugin: _Optional[_Iterable[_Union[KeyValue, _Mapping]]] = ..., prefetched: _Optional[_Iterable[_Union[Prefetched, _Mapping]]] = ..., trace: _Optional[_Union[Trace, _Mapping]] = ...) -> None: ...

class Prefetched(_message.Message):
    __slots__ = ("function", "args", "bytes", "value")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    function: int
    args: _containers.RepeatedScalarFieldContainer[bytes]
    bytes: bytes
    value: bytes
    def __init__(self, function: _Optional[int] = ..., args: _Optional[_Iterable[bytes]] = ..., bytes: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("method", "scheme", "host", "port", "http_version", "target", "path", "headers", "raw_query")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    HTTP_VERSION_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    RAW_QUERY_FIELD_NUMBER: _ClassVar[int]
    method: str
    scheme: str
    host: str
    port: int
    http_version: int
    target: bytes
    path: bytes
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    raw_query: bytes
    def __init__(self, method: _Optional[str] = ..., scheme: _Optional[str] = ..., host: _Optional[str] = ..., port: _Optional[int] = ..., http_version: _Optional[int] = ..., target: _Optional[bytes] = ..., path: _Optional[bytes] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., raw_query: _Optional[bytes] = ...) -> None: ...

class Client(_message.Message):
    __slots__ = ("ip", "port", "forwarded_ip", "forwarded_port", "trusted")
    IP_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    FORWARDED_IP_FIELD_NUMBER: _ClassVar[int]
    FORWARDED_PORT_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_FIELD_NUMBER: _ClassVar[int]
    ip: str
    port: int
    forwarded_ip: str
    forwarded_port: int
    trusted: bool
    def __init__(self, ip: _Optional[str] = ..., port: _Optional[int] = ..., forwarded_ip: _Optional[str] = ..., forwarded_port: _Optional[int] = ..., trusted: _Optional[bool] = ...) -> None: ...

class Forwarded(_message.Message):
    __slots__ = ("scheme", "host", "port", "path", "prefix")
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    scheme: bytes
    host: bytes
    port: int
    path: bytes
    prefix: bytes
    def __init__(self, scheme: _Optional[bytes] = ..., host: _Optional[bytes] = ..., port: _Optional[int] = ..., path: _Optional[bytes] = ..., prefix: _Optional[bytes] = ...) -> None: ...

class Trace(_message.Message):
    __slots__ = ("parent", "state")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    parent: str
    state: str
    def __init__(self, parent: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...

class TLS(_message.Message):
    __slots__ = ("version", "cipher", "client_verify", "has_certificate")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CIPHER_FIELD_NUMBER: _ClassVar[int]
    CLIENT_VERIFY_FIELD_NUMBER: _ClassVar[int]
    HAS_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    version: str
    cipher: str
    client_verify: str
    has_certificate: bool
    def __init__(self, version: _Optional[str] = ..., cipher: _Optional[str] = ..., client_verify: _Optional[str] = ..., has_certificate: _Optional[bool] = ...) -> None: ...

class Group(_message.Message):
    __slots__ = ("id", "name")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class Captures(_message.Message):
    __slots__ = ("unnamed", "named")
    UNNAMED_FIELD_NUMBER: _ClassVar[int]
    NAMED_FIELD_NUMBER: _ClassVar[int]
    unnamed: _containers.RepeatedScalarFieldContainer[bytes]
    named: _containers.RepeatedCompositeFieldContainer[NamedCapture]
    def __init__(self, unnamed: _Optional[_Iterable[bytes]] = ..., named: _Optional[_Iterable[_Union[NamedCapture, _Mapping]]] = ...) -> None: ...

class NamedCapture(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: bytes
    def __init__(self, name: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class KeyValue(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: bytes
    def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class Response(_message.Message):
    __slots__ = ("status", "headers", "source")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    status: int
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    source: int
    def __init__(self, status: _Optional[int] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., source: _Optional[int] = ...) -> None: ...

class ServiceResponse(_message.Message):
    __slots__ = ("status", "same_headers", "headers")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SAME_HEADERS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    status: int
    same_headers: bool
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    def __init__(self, status: _Optional[int] = ..., same_headers: _Optional[bool] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ...) -> None: ...

class Blob(_message.Message):
    __slots__ = ("inline", "chunked")
    INLINE_FIELD_NUMBER: _ClassVar[int]
    CHUNKED_FIELD_NUMBER: _ClassVar[int]
    inline: bytes
    chunked: int
    def __init__(self, inline: _Optional[bytes] = ..., chunked: _Optional[int] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("failed", "error", "operations", "body", "step", "unused")
    FAILED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    UNUSED_FIELD_NUMBER: _ClassVar[int]
    failed: bool
    error: Error
    operations: _containers.RepeatedCompositeFieldContainer[Operation]
    body: Blob
    step: int
    unused: int
    def __init__(self, failed: _Optional[bool] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., operations: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ..., body: _Optional[_Union[Blob, _Mapping]] = ..., step: _Optional[int] = ..., unused: _Optional[int] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "detail")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    detail: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("code", "name", "values", "status", "body", "headers", "value", "credential", "message", "mode")
    CODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    code: int
    name: bytes
    values: _containers.RepeatedScalarFieldContainer[bytes]
    status: int
    body: Blob
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    value: bytes
    credential: bytes
    message: bytes
    mode: str
    def __init__(self, code: _Optional[int] = ..., name: _Optional[bytes] = ..., values: _Optional[_Iterable[bytes]] = ..., status: _Optional[int] = ..., body: _Optional[_Union[Blob, _Mapping]] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., value: _Optional[bytes] = ..., credential: _Optional[bytes] = ..., message: _Optional[bytes] = ..., mode: _Optional[str] = ...) -> None: ...

class Ask(_message.Message):
    __slots__ = ("function", "args", "step")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    function: int
    args: _containers.RepeatedScalarFieldContainer[bytes]
    step: int
    def __init__(self, function: _Optional[int] = ..., args: _Optional[_Iterable[bytes]] = ..., step: _Optional[int] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("error", "bytes", "value", "step")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    error: Error
    bytes: Blob
    value: bytes
    step: int
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., bytes: _Optional[_Union[Blob, _Mapping]] = ..., value: _Optional[bytes] = ..., step: _Optional[int] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Entity(_message.Message):
    __slots__ = ("slot", "document")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    slot: int
    document: bytes
    def __init__(self, slot: _Optional[int] = ..., document: _Optional[bytes] = ...) -> None: ...

class Log(_message.Message):
    __slots__ = ("level", "message", "step")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    level: int
    message: bytes
    step: int
    def __init__(self, level: _Optional[int] = ..., message: _Optional[bytes] = ..., step: _Optional[int] = ...) -> None: ...

class GoAway(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
