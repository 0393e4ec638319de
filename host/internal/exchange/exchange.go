// Package exchange is one request and its response inside the host, free of any HTTP library: plans, dispatch and the PDK see an
// Exchange, and the proxy is behind the Live interface.
//
// An Exchange belongs to one goroutine at a time and is pooled.
package exchange

import (
	"slices"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Live is the message as the proxy holds it. Nothing is copied out of it before somebody asks.
type Live interface {
	// LoadRequest fills Request, Client and Forwarded.
	LoadRequest(f *wire.Facts)
	// LoadResponse fills Response (and ServiceResponse's headers, which are the same until a plugin writes).
	LoadResponse(f *wire.Facts)
	// RequestBody reads the whole body and keeps it for the upstream. The error is a *wire.Error.
	RequestBody() ([]byte, error)
	// ResponseBody reads the whole body of the upstream's response and keeps it for the client.
	ResponseBody() ([]byte, error)
	// UpstreamURI is path and query of the request to the service, as they stand; "" while no route is known.
	UpstreamURI() string
}

// Directory finds entities of the generation that serves the exchange.
type Directory interface {
	// Consumer finds a consumer by id, or by name when byName is set; nil when there is none.
	Consumer(id string, byName bool) (*entity.Consumer, *wire.Entity)
	// Credential finds a credential by collection and natural key; nil when there is none.
	Credential(kind, key string) (*wire.Entity, error)
	// Upstream finds an upstream by name; nil when there is none.
	Upstream(name string) *entity.Upstream
}

// Dirty says which parts of the live message no longer hold and must be written from the facts.
type Dirty uint8

// Parts of the message.
const (
	DirtyRequestHeaders Dirty = 1 << iota
	DirtyMethod
	DirtyQuery
	DirtyResponse // status or headers
	// DirtyAdded: nothing but the headers of Added is missing in the response. It becomes DirtyResponse when somebody needs the response.
	DirtyAdded
)

// Answer is a response that the gateway gives itself.
type Answer struct {
	Given   bool
	Source  wire.Source // SourceExit or SourceError
	Status  int
	Headers []wire.Header
	Body    []byte
	HasBody bool
	// Formatted: the body is to be made by the error templates from Message.
	Formatted  bool
	Message    string
	HasMessage bool
	// Transport: it is about the HTTP messages, not about what they say. The format falls back to error_default_type.
	Transport bool
}

// Upstream holds what plugins want of the request to the service beside the facts.
type Upstream struct {
	Path       string // "" : as the router built it
	Scheme     string
	Host       string // what a plugin wrote as Host; "" : none did
	Body       []byte
	HasBody    bool
	BufferBody bool // the response body is to be buffered before body_filter
	// Destination is what plugins said about the place; nil: nothing.
	Destination *Destination
}

// Span is a piece of a handler's work, and whose it was.
type Span struct {
	Plugin *plan.Instance
	Phase  pdk.Phase
	// Number and Parent count the spans of the handler from 1; Parent 0: none.
	Number, Parent int
	pdk.SpanRecord
}

// Timing is how long a plugin ran for a phase.
type Timing struct {
	Plugin string
	Phase  pdk.Phase
	Took   time.Duration
}

// private is ctx.plugin of one instance.
type private struct {
	instance *plan.Instance
	values   []wire.SharedValue
}

// Exchange is one request and its response.
type Exchange struct {
	// Bodies bounds what all exchanges keep in memory; nil: no bound.
	Bodies  *budget.Bytes
	Facts   wire.Facts
	Live    Live
	Dir     Directory
	Gateway *Gateway // nil: nobody answers what is asked about the gateway

	Route    *entity.Route
	Service  *entity.Service
	Consumer *entity.Consumer
	Plan     *plan.Plan // of the route, or the global one

	Answer   Answer
	Upstream Upstream
	Dirty    Dirty

	// NewBody replaces the upstream's body (response.set_raw_body).
	NewBody    []byte
	HasNewBody bool

	Serialized []local.LogValue // log.set_serialize_value
	Spans      []Span
	Tries      []local.Try
	Latencies  local.Latencies
	// Quit ends calls when the client has gone; nil: nothing does. A detached exchange has none: its log phase runs to its end.
	Quit *wire.Quit
	// Trace is what package tracing keeps of the exchange; nil: nothing is traced.
	Trace any
	// Timings of the plugin calls so far, when Timed wants them.
	Timings []Timing
	Timed   bool
	// Identities counts how often a plugin changed the consumer or the consumer groups.
	Identities int

	set            []string // names of the request headers that plugins set
	wrote          [2]written
	requestLoaded  bool
	responseLoaded bool
	pending        []wire.Header // response headers that plugins set before the response was there
	identities     []identity    // of the operations being applied
	privates       []private
	touched        []*plan.Instance // see Touch
	held           int              // of Bodies
	spanBytes      int              // of the spans that came, encoded
	choices        choices
	// serializedBytes are the keys and values of Serialized.
	serializedBytes int
}

// NeedRequest makes the request part of the facts valid.
func (e *Exchange) NeedRequest() {
	if !e.requestLoaded {
		e.requestLoaded = true
		e.Live.LoadRequest(&e.Facts)
	}
}

// RequestLoaded reports whether somebody needed the request part.
func (e *Exchange) RequestLoaded() bool { return e.requestLoaded }

// NeedResponse makes the response part of the facts valid once there is a response.
func (e *Exchange) NeedResponse() {
	if !e.responseLoaded && e.Facts.HasResponse {
		e.loadResponse()
	}
}

func (e *Exchange) loadResponse() {
	e.responseLoaded = true
	e.Live.LoadResponse(&e.Facts)
	if e.Dirty&DirtyAdded != 0 {
		e.Facts.Response.Headers = append(e.Facts.Response.Headers, e.pending...)
		e.Dirty = e.Dirty&^DirtyAdded | DirtyResponse
	}
}

// ResponseArrived says that the live message now holds the upstream's response. Headers that plugins set before are added to it; when the
// response is buffered they are added only where the upstream has none of that name, as in Kong (spec/pdk.md 1.6).
func (e *Exchange) ResponseArrived(buffered bool) {
	e.pending = append(e.pending[:0], e.Facts.Response.Headers...)
	e.Facts.HasResponse, e.Facts.HasServiceResponse = true, true
	e.responseLoaded = false
	e.Dirty &^= DirtyResponse
	if len(e.pending) == 0 {
		return
	}
	if buffered {
		e.NeedResponse()
		e.pending = slices.DeleteFunc(e.pending, func(h wire.Header) bool { return hasHeader(e.Facts.Response.Headers, h.Name) })
		e.Facts.Response.Headers = append(e.Facts.Response.Headers, e.pending...)
		e.Dirty |= DirtyResponse
		return
	}
	e.Dirty |= DirtyAdded
}

// Added lists what plugins set before the response was there, while DirtyAdded says that it is all that the response lacks.
func (e *Exchange) Added() []wire.Header { return e.pending }

func hasHeader(hs []wire.Header, name string) bool {
	return slices.ContainsFunc(hs, func(h wire.Header) bool { return strings.EqualFold(h.Name, name) })
}

// Answered turns the answer into the response: headers set before stay, unless the answer has headers of the same name. When to try again was said
// of the error that is answered, not of what takes its place.
func (e *Exchange) Answered() {
	e.responseLoaded = true
	f := &e.Facts
	if f.HasResponse && f.Response.Source == wire.SourceError {
		f.Response.Headers = RemoveHeader(f.Response.Headers, "Retry-After")
	}
	f.HasResponse = true
	f.Response.Source = e.Answer.Source
	f.Response.Status = e.Answer.Status
	for _, h := range e.Answer.Headers {
		f.Response.Headers = RemoveHeader(f.Response.Headers, h.Name)
	}
	f.Response.Headers = append(f.Response.Headers, e.Answer.Headers...)
	e.Dirty |= DirtyResponse
}

// RemoveHeader removes every line of a header, in place.
func RemoveHeader(hs []wire.Header, name string) []wire.Header {
	return slices.DeleteFunc(hs, func(h wire.Header) bool { return strings.EqualFold(h.Name, name) })
}

// Handles reports whether any instance that will run handles the phase.
func (e *Exchange) Handles(phase pdk.Phase) bool {
	if !e.Plan.Phases().Has(phase) {
		return false
	}
	return !e.Plan.Conditional() || len(e.Chain(phase)) > 0
}

// Reset makes the exchange ready for another request. Slices keep their room, strings do not outlive the request in them.
func (e *Exchange) Reset() {
	f := &e.Facts
	headers, response, service := f.Request.Headers, f.Response.Headers, f.ServiceResponse.Headers
	shared, unnamed, named := f.Shared, f.Captures.Unnamed, f.Captures.Named
	clear(headers[:cap(headers)])
	clear(response[:cap(response)])
	clear(service[:cap(service)])
	clear(shared[:cap(shared)])
	clear(unnamed[:cap(unnamed)])
	clear(named[:cap(named)])
	pending, choices := e.pending, e.choices.reset()
	clear(pending[:cap(pending)])
	clear(e.Serialized)
	clear(e.identities)
	clear(e.Tries)
	clear(e.Timings)
	clear(e.touched)
	clear(e.set)
	e.DropAll()
	set, touched, serialized, tries, timings, identities := e.set, e.touched, e.Serialized, e.Tries, e.Timings, e.identities
	*e = Exchange{} // and then the room of each list: a whole value in its place would be built aside and copied
	e.set, e.touched, e.choices, e.pending, e.identities = set[:0], touched[:0], choices, pending[:0], identities[:0]
	e.Serialized, e.Tries, e.Timings = serialized[:0], tries[:0], timings[:0]
	e.Facts.Request.Headers = headers[:0]
	e.Facts.Response.Headers = response[:0]
	e.Facts.ServiceResponse.Headers = service[:0]
	e.Facts.Shared = shared[:0]
	e.Facts.Captures = wire.Captures{Unnamed: unnamed[:0], Named: named[:0]}
}
