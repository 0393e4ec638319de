// Package wire holds the messages of the data plane and their MessagePack codec. docs/wire.md is the specification.
//
// The structs are carrier-neutral: transport/grpc maps the same structs to protobuf.
package wire

import "strings"

// Version is the newest protocol version that this package speaks, MinVersion the oldest.
const (
	Version    = 1
	MinVersion = 1
)

// Limits of the wire; docs/wire.md sections 2, 5.2 and 8.
const (
	HeaderSize  = 16
	MaxFrame    = 16 << 20
	ChunkSize   = 32 << 10
	EntitySlots = 4096
)

// Type is the type byte of a frame.
type Type uint8

// Frame types.
const (
	TypeHello Type = 1 + iota
	TypeCall
	TypeOutcome
	TypeAsk
	TypeAnswer
	TypeChunk
	TypeCancel
	TypeLog
	TypeGoAway
	TypeEntity
)

// Error codes that cross the wire; docs/wire.md section 3.
const (
	CodeBadArgument     = "bad_argument"
	CodeWrongPhase      = "wrong_phase"
	CodeBadData         = "bad_data"
	CodeHostError       = "host_error"
	CodeHandlerError    = "handler_error"
	CodeUnknownInstance = "unknown_instance"
	CodeNotReady        = "not_ready"
	CodeBadFrame        = "bad_frame"
	CodeTooLarge        = "too_large"
	CodeCancelled       = "cancelled"
)

// Error is an error that crossed the wire, or is about to.
type Error struct {
	Code    string
	Message string
	Detail  string // for the log only: a stack trace
}

// Error is the code and the message, which has the code in front already when it is that of a PDK error.
func (e *Error) Error() string {
	if strings.HasPrefix(e.Message, e.Code+": ") {
		return e.Message
	}
	return e.Code + ": " + e.Message
}

// Header is one header line. The name is lower-cased when it is encoded in a call.
type Header struct {
	Name  string
	Value string
}

// Source says who produced the response.
type Source uint8

// Response sources.
const (
	SourceService Source = iota
	SourceExit
	SourceError
)

// Facts are what is known of one exchange. The host keeps one live Facts per request and applies operations to it; a plugin
// server gets a copy with each call. Strings are immutable and may be kept.
type Facts struct {
	RequestID string
	StartTime int64 // milliseconds since the epoch

	Request   Request
	Client    Client
	Forwarded Forwarded

	Route      *Entity // nil: not known, or none
	Service    *Entity
	Consumer   *Entity
	Credential *Entity // travels in place, never by slot

	Captures Captures
	Shared   []SharedValue

	TLS    TLS
	Groups []Group
	// Trace is the trace context of the call; empty: nothing is traced.
	Trace Trace

	HasResponse bool
	Response    Response
	// HasServiceResponse: the upstream answered.
	HasServiceResponse bool
	ServiceResponse    Response // Source is unused
}

// Request is the request line and the headers.
type Request struct {
	Method      string
	Scheme      string
	Host        string // lower case, no port
	Port        int    // of the listener
	HTTPVersion int    // 10, 11, 20, 30
	Target      string // path and query as sent
	Path        string // normalised; never empty
	RawQuery    string // without "?"; the live value, Target keeps the original
	Headers     []Header
}

// Client holds the addresses of the client.
type Client struct {
	IP            string
	Port          int
	ForwardedIP   string // equal to IP when no trusted peer said otherwise
	ForwardedPort int    // 0: unknown
	Trusted       bool   // the direct peer is in trusted_ips
}

// Forwarded holds the answers of request.get_forwarded_*. Set false: they equal the request's own values and there is no prefix.
type Forwarded struct {
	Set       bool
	Scheme    string
	Host      string
	Port      int
	Path      string
	Prefix    string
	HasPrefix bool
}

// Captures of a regex route.
type Captures struct {
	Unnamed []string
	Named   []Header // name, value
}

// SharedValue is one entry of ctx.shared. Value is one MessagePack value.
type SharedValue struct {
	Key   string
	Value []byte
}

// TLS is the client's connection. Set false: it does not use TLS, and the other fields are empty.
type TLS struct {
	Set            bool
	Version        string // as nginx writes it: TLSv1.3
	Cipher         string
	ClientVerify   string // SUCCESS, NONE, FAILED:reason
	HasCertificate bool   // the client showed a certificate
}

// Group is a consumer group that a plugin set for the request.
type Group struct {
	ID   string
	Name string
}

// Response is a status with headers.
type Response struct {
	Status  int
	Headers []Header
	Source  Source
}

// Entity is a route, service, consumer or credential document, shared by all calls that name it. Identity is the pointer: a
// changed entity is a new Entity.
type Entity struct {
	ID  string
	Doc []byte // one MessagePack map, fields of the declarative format
	// Value is the decoded form for Go (*pdk.Route and so on), set by whoever made the Entity.
	Value any
}

// Call asks for one phase of one instance. Encoding never keeps references into it.
type Call struct {
	Instance  uint64
	Phase     uint8
	TimeoutMS uint32
	*Facts

	// Plugin is ctx.plugin of this instance.
	Plugin []SharedValue
	// PluginID is the id of the plugin record. It does not travel: the server knows it from Configure, the host from the record.
	PluginID string

	Chunk    []byte // body_filter
	HasChunk bool
	Last     bool

	RequestBody     []byte
	HasRequestBody  bool
	ResponseBody    []byte
	HasResponseBody bool

	// Prefetched are answers to asks that the handler is likely to make.
	Prefetched []Prefetched
	// Rest are the further steps of a fused call; the fields above are those of the first.
	Rest []Step
	// Begun is how many steps of Rest have begun, as whoever waits for the call counts them. It does not travel.
	Begun int

	// Quit ends the wait for the outcome when nobody wants it any more; nil: nothing does. It does not travel.
	Quit *Quit

	// Traffic is filled in by the host's lane while the call runs. It does not travel.
	Traffic Traffic
}

// Trace is a W3C trace context, as the headers traceparent and tracestate carry it.
type Trace struct{ Parent, State string }

// Traffic is how many bytes of a call went each way, with their frames, bodies, questions and answers.
type Traffic struct{ Sent, Received int }

// OpCode names an operation; docs/wire.md section 6.
type OpCode uint16

// Op is one recorded write. Which fields are used depends on the code.
type Op struct {
	Code   OpCode
	Name   string   // header name, method, path, query, scheme, key; message of response.error
	Values []string // header values
	Status int
	// Body with HasBody false is an absent body, which differs from an empty one. HasBody also marks the message of response.error as present.
	Body    []byte
	HasBody bool
	Headers []Header
	// Value is one MessagePack value: of ctx.shared.set, ctx.plugin.set, log.set_serialize_value, the consumer of client.authenticate
	// (nil: none), or the array of the arguments of a generic operation (see OpCode.Generic).
	Value      []byte
	Credential []byte // client.authenticate; nil: none
	Mode       string
}

// Outcome is how a handler ended.
type Outcome struct {
	Err     *Error // nil: done
	Ops     []Op
	Body    []byte // body_filter's replacement
	HasBody bool   // false: unchanged
	// Unused says which of the step's prefetched answers the handler did not ask for: bit 0 is the first.
	Unused uint32
}

// AskFn names a function that a handler asks the host; docs/wire.md section 7.
type AskFn uint16

// Ask is one question. Args holds one MessagePack value each.
type Ask struct {
	Fn   AskFn
	Args [][]byte
}

// Answer answers an Ask: an error, bytes, or one MessagePack value (nil Value with Bytes nil: null).
type Answer struct {
	Err     *Error
	Bytes   []byte
	IsBytes bool
	Value   []byte
}

// HostHello is the host's first message on a lane.
type HostHello struct {
	Version        uint16
	NodeID         string
	Hostname       string
	GatewayVersion string
	TrustedCIDRs   []string
	LogLevel       uint8
	MaxBody        uint64
	MaxShared      uint64
	ClusterID      string // "": none
	TelemetryLogs  bool   // telemetry.log goes somewhere
	Features       uint32 // FeatureSteps, FeaturePrefetch
}

// ServerHello is the server's first message on a lane.
type ServerHello struct {
	Version     uint16
	SDKLanguage string
	SDKVersion  string
	PID         uint32
	Features    uint32 // FeatureSteps, FeaturePrefetch
}

// LogLine is one line of a plugin. CallID 0: outside a call.
type LogLine struct {
	Level   uint8 // 0 debug .. 7 emerg
	Message string
}

// GoAway is said before a side closes the lane.
type GoAway struct {
	Code    string
	Message string
}

// Asker answers the questions of a handler. It is called on the goroutine that waits for the call.
type Asker interface {
	Answer(a *Ask) Answer
}
