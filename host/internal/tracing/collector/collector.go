// Package collector is a receiver of OTLP over HTTP in this process, for tests.
package collector

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector keeps the spans that it gets.
type Collector struct {
	URL string // tracing_endpoint

	t      testing.TB
	mu     sync.Mutex
	spans  []Span
	status int // of answers; 0: 200
	came   chan struct{}
}

// Span is one that came. Ids are hex digits; Parent is "" for none.
type Span struct {
	Name, Trace, ID, Parent string
	Kind                    tracepb.Span_SpanKind
	Failed                  bool
	Message                 string // of the status
	Start, End              time.Time
	Attributes              map[string]string // text of the values
	Events                  []string
	Service                 string // of the resource
}

// New starts a collector that ends with the test.
func New(t testing.TB) *Collector {
	c := &Collector{t: t, came: make(chan struct{}, 1)}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.URL = server.URL + "/v1/traces"
	return c
}

// Refuse makes the collector answer with a status from now on; 0: it takes spans again.
func (c *Collector) Refuse(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

// ServeHTTP implements http.Handler.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status != 0 {
		w.WriteHeader(c.status)
		return
	}
	body, err := bodyOf(r)
	var request collectorpb.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		c.t.Errorf("collector: %s, %v", r.URL.Path, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, of := range request.GetResourceSpans() {
		service := ""
		for _, kv := range of.GetResource().GetAttributes() {
			if kv.GetKey() == "service.name" {
				service = kv.GetValue().GetStringValue()
			}
		}
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, spanOf(s, service))
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	select {
	case c.came <- struct{}{}:
	default:
	}
}

func bodyOf(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Encoding") != "gzip" {
		return body, err
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func spanOf(s *tracepb.Span, service string) Span {
	out := Span{
		Name: s.GetName(), Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
		Kind: s.GetKind(), Failed: s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR, Message: s.GetStatus().GetMessage(),
		Start: time.Unix(0, int64(s.GetStartTimeUnixNano())), End: time.Unix(0, int64(s.GetEndTimeUnixNano())), Attributes: map[string]string{}, Service: service,
	}
	for _, kv := range s.GetAttributes() {
		text := kv.GetValue().String() // string_value:"x"
		if _, value, ok := strings.Cut(text, ":"); ok {
			text = strings.Trim(value, `"`)
		}
		out.Attributes[kv.GetKey()] = text
	}
	for _, e := range s.GetEvents() {
		out.Events = append(out.Events, e.GetName())
	}
	return out
}

// Wait waits until all names have come, and gives the first span of each.
func (c *Collector) Wait(names ...string) map[string]Span {
	c.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		found := map[string]Span{}
		c.mu.Lock()
		for _, s := range c.spans {
			if _, again := found[s.Name]; !again {
				found[s.Name] = s
			}
		}
		c.mu.Unlock()
		missing := ""
		for _, name := range names {
			if _, ok := found[name]; !ok {
				missing = name
			}
		}
		if missing == "" {
			return found
		}
		select {
		case <-c.came:
		case <-deadline:
			c.t.Fatalf("no span %q came; there are %v", missing, found)
		}
	}
}

// Spans are those that came so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}
