package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/tracing"
	"github.com/outrigger-gateway/outrigger/host/internal/tracing/collector"
	"github.com/outrigger-gateway/outrigger/pdk"
)

const observed = `_format_version: "3.0"
services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: [/api]}]}]
plugins: [{name: first}, {name: second}]
`

// spanning traces its work in access.
type spanning struct{}

func (spanning) Access(k *pdk.PDK) error {
	span := k.Tracing.StartSpan("look", map[string]any{"n": 3})
	span.AddEvent("seen", nil)
	k.Tracing.StartSpan("closer", nil).RecordError("lost")
	span.Finish()
	return nil
}

// quick does nothing in several phases.
type quick struct{}

func (quick) Access(*pdk.PDK) error       { return nil }
func (quick) HeaderFilter(*pdk.PDK) error { return nil }
func (quick) Log(*pdk.PDK) error          { return nil }

type failing struct{}

func (failing) Access(*pdk.PDK) error { return errors.New("no luck") }

func handlers() []pdk.Plugin {
	return []pdk.Plugin{plugin("first", 2, &spanning{}), plugin("second", 1, &quick{})}
}

func tracer(t *testing.T, c *collector.Collector, rate float64) func(*Options) {
	t.Helper()
	tr, err := tracing.New(t.Context(), tracing.Options{Endpoint: c.URL, Rate: rate, Version: "test", Node: "node", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := tr.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return func(o *Options) { o.Tracer, o.Dispatcher.Watchers = tr, []dispatch.Interceptor{tr.Calls()} }
}

// A request that brings a trace continues it: to the plugins, to what they trace, and to the upstream.
func TestTraceOfARequest(t *testing.T) {
	var mu sync.Mutex
	var upstream http.Header
	up := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		upstream = r.Header.Clone()
	})
	c := collector.New(t)
	g := start(t, up, observed, handlers(), tracer(t, c, 0))
	const trace = "0af7651916cd43dd8448eb211c80319c"
	resp := g.get("/api", "Traceparent", "00-"+trace+"-b7ad6b7169203331-01", "Tracestate", "a=1", "tracestate", "b=2")
	spans := c.Wait("GET r", "first access", "second access", "second header_filter", "second log", "upstream", "look", "closer")
	root := spans["GET r"]
	for name, s := range spans {
		parent := root.ID
		switch name {
		case "GET r":
			parent = "b7ad6b7169203331"
		case "look":
			parent = spans["first access"].ID
		case "closer":
			parent = spans["look"].ID
		}
		if s.Trace != trace || s.Parent != parent || s.Service != "outrigger" || s.End.Before(s.Start) {
			t.Errorf("%s: found %+v, expected trace %s and parent %s", name, s, trace, parent)
		}
	}
	if a := root.Attributes; a["http.response.status_code"] != "200" || a["outrigger.route"] != "r" || a["outrigger.service"] != "s" ||
		a["outrigger.request_id"] != resp.Header.Get("X-Kong-Request-Id") || a["url.path"] != "/api" {
		t.Errorf("the request has %v", a)
	}
	if s := spans["look"]; s.Attributes["n"] != "3" || len(s.Events) != 1 || s.Events[0] != "seen" || s.Failed {
		t.Errorf("what the plugin traced is %+v", s)
	}
	if s := spans["closer"]; !s.Failed || s.Message != "lost" {
		t.Errorf("what failed in the plugin is %+v", s)
	}
	mu.Lock()
	defer mu.Unlock()
	if got, want := upstream.Values("Traceparent"), "00-"+trace+"-"+spans["upstream"].ID+"-01"; len(got) != 1 || got[0] != want {
		t.Errorf("the upstream got traceparent %q, expected %q", got, want)
	}
	if got := upstream.Values("Tracestate"); len(got) != 1 || got[0] != "a=1,b=2" {
		t.Errorf("the upstream got tracestate %q", got)
	}
}

// Without a trace the id of the request becomes the id of one; who is not sampled is told so and costs no span.
func TestTracesThatBeginHere(t *testing.T) {
	var got string
	up := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Traceparent") })
	for _, rate := range []float64{0, 1} {
		for _, parent := range []string{"", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "nonsense"} {
			c := collector.New(t)
			g := start(t, up, observed, handlers(), tracer(t, c, rate))
			id := g.get("/api", "Traceparent", parent).Header.Get("X-Kong-Request-Id")
			if want := regexp.MustCompile("^00-" + id + "-[0-9a-f]{16}-0" + fmt.Sprint(rate) + "$"); !want.MatchString(got) {
				t.Errorf("rate %v, %q: the upstream got %q, expected %s", rate, parent, got, want)
			}
			if rate == 1 {
				if s := c.Wait("GET r")["GET r"]; s.Trace != id || s.Parent != "" {
					t.Errorf("found %+v, expected the trace %s without parent", s, id)
				}
			} else if n := len(c.Spans()); n > 0 {
				t.Errorf("%d spans of a request that is not sampled", n)
			}
		}
	}
}

// Failures are those of their spans.
func TestTraceOfAFailure(t *testing.T) {
	c := collector.New(t)
	broken := []pdk.Plugin{plugin("first", 2, &failing{}), plugin("second", 1, &quick{})}
	g := start(t, echo, observed, broken, tracer(t, c, 1))
	g.get("/api")
	spans := c.Wait("GET r", "first access")
	if s := spans["first access"]; !s.Failed || !strings.Contains(s.Message, "no luck") || s.Attributes["outrigger.code"] != "handler_error" {
		t.Errorf("the call is %+v", s)
	}
	if s := spans["GET r"]; !s.Failed || s.Attributes["http.response.status_code"] != "500" {
		t.Errorf("the request is %+v", s)
	}
}

// rude traces with bytes that are no text.
type rude struct{}

func (rude) Access(k *pdk.PDK) error {
	span := k.Tracing.StartSpan("bad\xff", map[string]any{"k\xff": "v\xff", "list": []any{"\xff"}})
	span.AddEvent("e\xff", map[string]any{"a": "\xff"})
	span.Finish()
	return nil
}

// sorry fails with such bytes.
type sorry struct{}

func (sorry) Access(*pdk.PDK) error { return errors.New("sorry\xff") }

// Bytes that are no UTF-8, of whoever they are, cost no span: a collector takes none of a batch in which there are any.
func TestTraceOfBytesThatAreNoText(t *testing.T) {
	c := collector.New(t)
	g := start(t, echo, observed, []pdk.Plugin{plugin("first", 2, &rude{}), plugin("second", 1, &sorry{})}, tracer(t, c, 1))
	g.raw("GET /api/%FFx\xfe HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 1)
	g.raw("GET /"+strings.Repeat("l", 8<<10)+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 1)
	g.raw("BREW /api HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 1)
	spans := c.Wait("GET", "GET r", "HTTP r", "second access", "bad\uFFFD")
	if a := spans["HTTP r"].Attributes; a["http.request.method"] != "_OTHER" || a["http.request.method_original"] != "BREW" {
		t.Errorf("a method that nobody knows: %v", a)
	}
	if got, want := spans["GET r"].Attributes["url.path"], "/api/\uFFFDx\uFFFD"; got != want {
		t.Errorf("the path is %q, expected %q", got, want)
	}
	if got, want := spans["second access"].Message, "sorry\uFFFD"; !strings.Contains(got, want) {
		t.Errorf("the failure is %q, expected %q in it", got, want)
	}
	bad := spans["bad\uFFFD"]
	if got := bad.Attributes["k\uFFFD"]; got != "v\uFFFD" || len(bad.Events) != 1 || bad.Events[0] != "e\uFFFD" {
		t.Errorf("what the plugin traced is %+v", bad)
	}
	if n := len(spans["GET"].Attributes["url.path"]); n == 0 || n > 2<<10 {
		t.Errorf("a long path has %d bytes in its span", n)
	}
}

// A collector that takes nothing holds up no request: spans are dropped and counted, and it is said once.
func TestCollectorThatRefuses(t *testing.T) {
	c := collector.New(t)
	c.Refuse(http.StatusBadRequest)
	var counted *tracing.Tracer
	g := start(t, echo, observed, handlers(), tracer(t, c, 1), func(o *Options) { counted = o.Tracer })
	for range 3 {
		if got := g.get("/api").StatusCode; got != 200 {
			t.Errorf("status %d", got)
		}
	}
	for deadline := time.Now().Add(patience); counted.Dropped() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is counted as dropped")
		}
	}
}

// Server-Timing has the calls in their order, the upstream between them, and the whole.
func TestServerTiming(t *testing.T) {
	on := func(mode string, debug bool) func(*Options) {
		return func(o *Options) {
			o.ServerTiming, o.DebugHeader = mode, debug
			o.Dispatcher.Watchers = []dispatch.Interceptor{Timings{}}
		}
	}
	own := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Server-Timing", "db;dur=3") })
	g := start(t, own, observed, handlers(), on("on", false))
	number := `;dur=[0-9.]+`
	want := regexp.MustCompile(`^first;desc="first access"` + number + `, second;desc="second access"` + number + `, upstream` + number +
		`, second;desc="second header_filter"` + number + `, total` + number + `$`)
	got := g.get("/api").Header.Values("Server-Timing")
	if len(got) != 2 || got[0] != "db;dur=3" || !want.MatchString(got[1]) {
		t.Errorf("found %q, expected that of the upstream and %s", got, want)
	}
	got = g.get("/none").Header.Values("Server-Timing") // no route: global plugins, no upstream
	if len(got) != 1 || strings.Contains(got[0], "upstream") || !strings.Contains(got[0], "total;dur=") {
		t.Errorf("without route: found %q", got)
	}
	for _, c := range []struct {
		mode   string
		debug  bool
		header string
		want   bool
	}{{"off", true, "1", false}, {"debug", true, "1", true}, {"debug", false, "1", false}, {"debug", true, "0", false}, {"on", true, "", true}} {
		g := start(t, echo, observed, handlers(), on(c.mode, c.debug))
		if got := g.get("/api", "Kong-Debug", c.header).Header.Values("Server-Timing"); (len(got) == 1) != c.want {
			t.Errorf("%+v: found %q", c, got)
		}
	}
}

func TestAppendTiming(t *testing.T) {
	b := appendTiming(nil, `a "b"\c`+"\n\xe9", "access", 1500*time.Microsecond)
	b = appendTiming(b, "total", "", 2*time.Millisecond)
	if want := `a__b__c__;desc="a \"b\"\\c?` + "\xe9" + ` access";dur=1.5, total;dur=2`; string(b) != want {
		t.Errorf("found %q, expected %q", b, want)
	}
}

// A stream may have pieces for days: what its filters took is not noted.
func TestTimingsOfPiecesAreNotKept(t *testing.T) {
	ex := &exchange.Exchange{Timed: true}
	in := &plan.Instance{Record: &entity.Plugin{Name: "p"}}
	for _, phase := range []pdk.Phase{pdk.PhaseAccess, pdk.PhaseHeaderFilter, pdk.PhaseBodyFilter, pdk.PhaseBodyFilter} {
		Timings{}.After(&dispatch.Call{Instance: in, Exchange: ex, Phase: phase})
	}
	if len(ex.Timings) != 2 {
		t.Errorf("found %+v, expected those of access and header_filter", ex.Timings)
	}
}

type doneRecorder struct {
	mu   sync.Mutex
	done []string
}

func (r *doneRecorder) Done(status int, took, upstream time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = append(r.done, fmt.Sprintf("%d took=%t upstream=%t", status, took > 0, upstream > 0))
}

func TestObserver(t *testing.T) {
	var seen doneRecorder
	g := start(t, echo, observed, handlers(), func(o *Options) { o.Observer = &seen })
	g.get("/api")
	g.get("/none")
	g.raw("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 1)
	want := []string{"200 took=true upstream=true", "404 took=true upstream=false", "400 took=false upstream=false"}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		seen.mu.Lock()
		got := fmt.Sprint(seen.done)
		seen.mu.Unlock()
		if got == fmt.Sprint(want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("found %v, expected %v", got, want)
		}
	}
}
