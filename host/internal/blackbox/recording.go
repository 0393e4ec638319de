// Package blackbox keeps what is needed to send a failing call of a plugin once more: one file per call, in JSON that people can read, without
// secrets.
//
//	recorder.go    the interceptor of dispatch: which calls are recorded, how many, and the writer behind them
//	transcript.go  questions of a running handler, kept until it is known whether the call fails
//	take.go        a call becomes a Recording
//	names.go       whose values are secrets
//	gather.go      the secrets of one call, wherever they came by
//	redact.go      secrets become "<redacted 24 bytes>"
//	pairs.go       secrets that stand behind their names in a text
//	recording.go   the form of a file
//	spell.go       bytes, texts and free values in JSON
//	read.go        a file becomes a Recording, and a Recording a call
//	store.go       files in a directory, the oldest go first
//
// A recorder costs a call without questions nothing, and one with questions a copy of them. A failing call is written down on the request's
// goroutine, at most ten times a second for one plugin; files are written in the background.
package blackbox

import (
	"encoding/json"
	"time"
)

// Version is the form of files that this package writes. A reader refuses what is newer.
const Version = 1

// Recording is one failing call as it stands in its file.
type Recording struct {
	Version int       `json:"outrigger_recording"`
	Time    time.Time `json:"time"` // when the call began
	Gateway Gateway   `json:"gateway"`
	Failure Failure   `json:"failure"`
	Plugin  Plugin    `json:"plugin"`
	// Config is the configuration of the instance. Secrets are the dotted places in it whose values are left out.
	Config  json.RawMessage `json:"config"`
	Secrets []string        `json:"config_secrets,omitempty"`
	Call    Call            `json:"call"`
	Asks    []Ask           `json:"asks"`
	// AsksLeftOut is how many questions came when the transcript was full.
	AsksLeftOut int `json:"asks_left_out,omitempty"`
	// Outcome is what the handler answered; nil: nothing arrived.
	Outcome *Outcome `json:"outcome,omitempty"`
}

// Gateway is who recorded.
type Gateway struct {
	Version string `json:"version"`
	Node    string `json:"node"`
}

// Failure is how the call ended.
type Failure struct {
	Code       string  `json:"code"` // of dispatch.Code
	Error      string  `json:"error"`
	Detail     string  `json:"detail,omitempty"` // a stack trace
	Effect     string  `json:"effect"`
	DurationMS float64 `json:"duration_ms"`
}

// Plugin is whose handler was called.
type Plugin struct {
	Name         string `json:"name"` // of the plugin that the server hosts
	RecordName   string `json:"record_name,omitempty"`
	Version      string `json:"version,omitempty"`
	Record       string `json:"record"`
	InstanceName string `json:"instance_name,omitempty"`
	Server       string `json:"server"`
	Carrier      string `json:"carrier,omitempty"`
	SDK          string `json:"sdk,omitempty"` // such as "python 0.1.0"
	// MayAuthenticate: the gateway takes a consumer from it.
	MayAuthenticate bool `json:"may_authenticate"`
}

// Call is what was sent.
type Call struct {
	Phase     string `json:"phase"`
	TimeoutMS uint32 `json:"timeout_ms"`
	RequestID string `json:"request_id"`
	StartTime int64  `json:"start_time"` // milliseconds since the epoch

	Request         Request          `json:"request"`
	Client          Client           `json:"client"`
	Forwarded       *Forwarded       `json:"forwarded,omitempty"`
	TLS             *TLS             `json:"tls,omitempty"`
	Route           *Value           `json:"route,omitempty"`
	Service         *Value           `json:"service,omitempty"`
	Consumer        *Value           `json:"consumer,omitempty"`
	Credential      *Value           `json:"credential,omitempty"`
	Groups          [][2]Text        `json:"groups,omitempty"` // id, name
	Captures        []Text           `json:"captures,omitempty"`
	NamedCaptures   []Line           `json:"named_captures,omitempty"`
	Shared          map[string]Value `json:"ctx_shared,omitempty"`
	Private         map[string]Value `json:"ctx_plugin,omitempty"`
	Response        *Response        `json:"response,omitempty"`
	ServiceResponse *Response        `json:"service_response,omitempty"`

	Chunk        *Body `json:"chunk,omitempty"` // of body_filter
	Last         bool  `json:"last,omitempty"`
	RequestBody  *Body `json:"request_body,omitempty"` // nil: did not travel with the call
	ResponseBody *Body `json:"response_body,omitempty"`
}

// Line is the name and the value of a header. In the file it is "name: value", or a list of the two when the name has a colon.
type Line [2]Text

// Request is the request line and the headers.
type Request struct {
	Method      string `json:"method"`
	Scheme      string `json:"scheme"`
	Host        Text   `json:"host"`
	Port        int    `json:"port"`
	HTTPVersion int    `json:"http_version"` // 10, 11, 20, 30
	Target      Text   `json:"target"`
	Path        Text   `json:"path"`
	Query       Text   `json:"query"`
	Headers     []Line `json:"headers"`
}

// Client holds the addresses of the client.
type Client struct {
	IP            string `json:"ip"`
	Port          int    `json:"port"`
	ForwardedIP   string `json:"forwarded_ip"`
	ForwardedPort int    `json:"forwarded_port"`
	Trusted       bool   `json:"trusted"`
}

// Forwarded is what a trusted proxy said.
type Forwarded struct {
	Scheme Text  `json:"scheme"`
	Host   Text  `json:"host"`
	Port   int   `json:"port"`
	Path   Text  `json:"path"`
	Prefix *Text `json:"prefix,omitempty"`
}

// TLS is the client's connection.
type TLS struct {
	Version        string `json:"version"`
	Cipher         string `json:"cipher"`
	ClientVerify   string `json:"client_verify"`
	HasCertificate bool   `json:"has_certificate"`
}

// Response is a status with headers.
type Response struct {
	Status  int    `json:"status"`
	Headers []Line `json:"headers"`
	Source  uint8  `json:"source,omitempty"` // 0 service, 1 exit, 2 error
}

// Ask is a question of the handler with its answer. Of Value, Bytes, Body and Error at most one is there; none: null.
type Ask struct {
	Function string  `json:"function"`
	Number   uint16  `json:"number"` // of the question on the wire
	Args     []Value `json:"args,omitempty"`
	Value    *Value  `json:"value,omitempty"`
	Bytes    *Body   `json:"bytes,omitempty"`
	Error    *Error  `json:"error,omitempty"`
	// Prefetched: the answer travelled with the call, and the handler did not have to ask.
	Prefetched bool `json:"prefetched,omitempty"`
}

// Error is an error that crossed the wire.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Outcome is what the handler answered.
type Outcome struct {
	Error      *Error      `json:"error,omitempty"`
	Operations []Operation `json:"operations,omitempty"`
	Body       *Body       `json:"body,omitempty"` // of body_filter
}

// Operation is one recorded write. Which fields are there depends on the function.
type Operation struct {
	Function   string `json:"function"`
	Number     uint16 `json:"number"`
	Name       Text   `json:"name,omitempty"`
	Values     []Text `json:"values,omitempty"`
	Status     int    `json:"status,omitempty"`
	Headers    []Line `json:"headers,omitempty"`
	Body       *Body  `json:"body,omitempty"`
	Value      *Value `json:"value,omitempty"`
	Credential *Value `json:"credential,omitempty"`
	Mode       string `json:"mode,omitempty"`
}
