package pdktest

import (
	"net/http"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Response is what the upstream answers, or what the client gets.
type Response struct {
	Status int // default: 200
	Header http.Header
	Body   []byte
}

// Upstream is the request that the upstream service sees, and where it goes.
type Upstream struct {
	Method string
	Scheme string
	Path   string
	Query  string // without the question mark
	Header http.Header
	Body   []byte

	// Host and Port are those of the service, or what service.set_target set. Name is the upstream of service.set_upstream, "" when none was set
	// after the last target.
	Host string
	Port int
	Name string
	// Retries and the timeouts, in milliseconds, are those of the service or what a plugin set.
	Retries                                   int
	ConnectTimeout, WriteTimeout, ReadTimeout int
	// Fallbacks are the targets of service.set_fallback_targets.
	Fallbacks []string
	TLS       UpstreamTLS
}

// UpstreamTLS is what plugins set for an https upstream.
type UpstreamTLS struct {
	Verify       *bool // nil: as the service is configured
	VerifyDepth  *int  // nil: likewise
	Certificates string
	Key          string
	Store        string // trusted certificates
}

// Line is one line of the log.
type Line struct {
	Plugin  string
	Phase   pdk.Phase
	Level   uint8 // 0 debug to 7 emerg
	Message string
}

// Failure is a handler that failed. The client gets status 500, unless the plugin fails open.
type Failure struct {
	Plugin string
	Phase  pdk.Phase
	Err    *wire.Error // Detail holds the stack of a panic
}

// Telemetry is a record of telemetry.log.
type Telemetry struct {
	Plugin string // that made the record
	local.Telemetry
}

// Span is a span of tracing.start_span.
type Span struct {
	Plugin string
	Phase  pdk.Phase
	// Number counts the spans of one handler from 1; Parent is 0 for none.
	Number, Parent int
	pdk.SpanRecord
}

// Result is what came of a request.
type Result struct {
	// Upstream is nil when the request was not proxied.
	Upstream *Upstream
	Response Response
	// Source is who made the response: service, exit or error.
	Source     string
	Log        []Line
	Failures   []Failure
	Shared     map[string]any
	Consumer   *pdk.Consumer
	Credential *pdk.Credential
	// Groups are the consumer groups that plugins set.
	Groups []*pdk.ConsumerGroup
	// Plugin is ctx.plugin of each plugin, by its name.
	Plugin map[string]map[string]any
	// Telemetry are the records of telemetry.log, Spans the spans of the handlers, in order.
	Telemetry []Telemetry
	Spans     []Span
	// ClientVerify is what the log entry says about the client's certificate; "" without TLS.
	ClientVerify string
	// Entry is the log entry, as log.serialize gives it: a JSON object.
	Entry string
}
