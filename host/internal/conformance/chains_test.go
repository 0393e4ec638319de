package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// link is one plugin of a chain: the calls that its handler makes, and how it ends.
type link struct {
	calls  []any
	ends   string // failed, late, killed; "": it returns
	open   bool
	absent bool // the server does not know the instance
}

// chain is plugins that run one after the other in a phase.
type chain struct {
	phase string
	links []link
	trips string // how many handlers each fused call ran, for a server that takes them
}

func doing(calls ...any) link { return link{calls: calls} }

func (l link) opened() link            { l.open = true; return l }
func (l link) ending(ends string) link { l.ends = ends; return l }

// writes is a handler that writes all that a handler of access may; reads one that reads what may have been written.
func writes() link {
	return doing(
		call("service.request.set_header", "X-A", "one"), call("service.request.add_header", "X-A", "two"), call("service.request.clear_header", "X-Gone"),
		call("service.request.set_method", "PUT"), call("service.request.set_path", "/new"), call("service.request.set_raw_query", "q=1&q=2&r"),
		call("service.request.set_raw_body", vectors.Spell([]byte("changed"))), call("service.request.set_scheme", "https"),
		call("response.set_header", "X-B", "one"), call("response.add_header", "X-B", "two"),
		call("ctx.shared.set", "k", map[string]any{"list": []any{1, nil, false}}), call("ctx.shared.set", "old", nil), call("ctx.plugin.set", "mine", 1),
		call("log.set_serialize_value", "v", "w"), call("log.notice", "written"),
	)
}

func reads() link {
	return doing(
		call("request.get_header", "X-A"), call("request.get_headers"), call("request.get_header", "X-Gone"), call("request.get_method"), call("request.get_path"),
		call("request.get_raw_path"), call("request.get_raw_query"), call("request.get_query"), call("request.get_query_arg", "q"), call("request.get_raw_body"),
		call("request.get_scheme"), call("request.get_path_with_query"),
		call("ctx.shared.get", "k"), call("ctx.shared.get", "old"), call("ctx.plugin.get", "mine"), call("client.get_consumer"), call("client.get_credential"),
		call("client.get_consumer_groups"), call("router.get_route"), call("nginx.get_var", "request_method"), call("client.get_ip"),
		call("log.notice", "read"),
	)
}

// chains run fused and unfused.
var chains = map[string]chain{
	"writes are read":      {"access", []link{writes(), reads(), reads()}, "3"},
	"writes after writes":  {"access", []link{writes(), doing(call("ctx.shared.set", "k", 2), call("service.request.set_header", "X-A", "three"), call("service.request.clear_query_arg", "q"), call("service.request.set_raw_body", vectors.Spell([]byte{}))), reads()}, "3"},
	"rewrite":              {"rewrite", []link{doing(call("service.request.set_header", "X-A", "1"), call("ctx.shared.set", "k", 1)), doing(call("request.get_header", "X-A"), call("ctx.shared.get", "k"), call("request.get_method"))}, "2"},
	"header_filter":        {"header_filter", []link{doing(call("response.set_status", 418), call("response.set_header", "X-B", "1"), call("response.clear_header", "X-R")), doing(call("response.get_status"), call("response.get_headers"), call("service.response.get_status"), call("service.response.get_headers"), call("response.get_source"))}, "2"},
	"response":             {"response", []link{doing(call("response.set_raw_body", vectors.Spell([]byte("new"))), call("response.set_status", 202)), doing(call("response.get_raw_body"), call("service.response.get_raw_body"), call("response.get_status"))}, "2"},
	"log":                  {"log", []link{doing(call("log.set_serialize_value", "v", 1), call("ctx.shared.set", "k", 1)), doing(call("log.serialize"), call("ctx.shared.get", "k")), doing(call("log.serialize"))}, "3"},
	"exit":                 {"access", []link{doing(call("response.set_header", "X-B", "1")), doing(call("response.exit", 403, "no")), reads()}, "2"},
	"exit of the first":    {"access", []link{doing(call("response.error", 503, "later")), reads()}, "1"},
	"failure, closed":      {"access", []link{writes(), doing(call("ctx.shared.set", "k", 3)).ending("failed"), reads()}, "2"},
	"failure, open":        {"access", []link{writes(), doing(call("ctx.shared.set", "k", 3)).ending("failed").opened(), reads(), reads()}, "2 2"},
	"failures of all":      {"access", []link{doing().ending("failed").opened(), doing().ending("failed").opened(), reads()}, "1 1 1"},
	"failure, log":         {"log", []link{doing(), doing().ending("failed"), doing(call("log.serialize"))}, "2 1"},
	"unknown instance":     {"access", []link{writes(), {absent: true, open: true}, reads()}, "2 1"},
	"time":                 {"access", []link{writes(), doing(call("ctx.shared.set", "k", 3)).ending("late").opened(), reads()}, "2 1"},
	"refused by the host":  {"access", []link{doing(call("ctx.shared.set", "a", "x")), doing(call("ctx.shared.set", "b", strings.Repeat("x", 600))).opened(), doing()}, "2 1"},
	"refusal of a call":    {"access", []link{doing(call("service.response.get_raw_body")), doing(call("service.request.set_header", "X A", "1"), call("response.set_status", 9999)), reads()}, "3"},
	"authentication":       {"access", []link{reads(), doing(call("client.authenticate", map[string]any{"id": "c", "username": "alice"}, map[string]any{"id": "d"})), reads(), reads()}, "2 2"},
	"groups":               {"access", []link{doing(call("client.set_authenticated_consumer_groups", []any{map[string]any{"id": "g", "name": "gold"}})), reads()}, "1 1"},
	"questions":            {"access", []link{doing(call("request.get_raw_body")), doing(call("request.get_raw_body"), call("client.load_consumer", "bob", true), call("nginx.get_var", "uri")), doing(call("nginx.get_var", "uri"), call("request.get_body"))}, "3"},
	"nobody does anything": {"access", slices.Repeat([]link{doing()}, 40), "40"},
}

// wiring is a lane as the dispatcher's remote. It notes how many handlers of each call ran.
type wiring struct {
	lane  *side
	fuses bool
	mu    sync.Mutex
	trips []string
}

func (w *wiring) Fuses() bool { return w.fuses }

func (w *wiring) Call(c *wire.Call, deadline time.Time, asker wire.Asker, out *wire.Outcome) error {
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.trips = append(w.trips, fmt.Sprint(1+c.Begun))
	}()
	return w.lane.Call(c, deadline, asker, out)
}

// ended notes how calls ended.
type ended struct{ codes, asks []string }

func (*ended) Before(*dispatch.Call) error { return nil }
func (e *ended) Asked(c *dispatch.Call, a *wire.Ask, answer *wire.Answer) {
	e.asks = append(e.asks, fmt.Sprintf("%s asks %d %q: %q %q %v", c.Instance.Record.Name, a.Fn, a.Args, answer.Bytes, answer.Value, answer.Err))
}
func (e *ended) After(c *dispatch.Call) {
	e.codes = append(e.codes, fmt.Sprint(c.Instance.Record.Name, " ", c.Code, " ", c.FailedOpen))
}

// message is a request in memory.
type message struct{ still }

func (message) RequestBody() ([]byte, error)  { return []byte("the request"), nil }
func (message) ResponseBody() ([]byte, error) { return []byte("the response"), nil }

// effect is what a chain did.
type effect struct {
	Exchange string
	Codes    []string
	Asks     []string
	Results  map[string]string
	Logs     map[string][]vectors.Line
}

// differs says how a chain did something else together than apart. Steps that travel together share what they have asked for already: there may be
// fewer questions, not others.
func (apart effect) differs(together effect) (diffs []string) {
	missing := slices.Clone(apart.Asks)
	for _, ask := range together.Asks {
		at := slices.Index(missing, ask)
		if at < 0 {
			diffs = append(diffs, "asked together, but not apart: "+ask)
			continue
		}
		missing = missing[at+1:]
	}
	a, b := reflect.ValueOf(apart), reflect.ValueOf(together)
	for i := range a.NumField() {
		if field := a.Type().Field(i).Name; field != "Asks" && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			diffs = append(diffs, fmt.Sprintf("%s\napart    %+v\ntogether %+v", field, a.Field(i), b.Field(i)))
		}
	}
	return diffs
}

// hostShared is what the host of chains allows in ctx.shared; servers believe that more is allowed.
const hostShared = 512

// slow is the time for a call that is late, and quick enough for a machine under load to have ended the ones before.
const slow = 700 * time.Millisecond

// walk runs a chain on a driver and tells what it did.
func (c chain) walk(t *testing.T, r *remote, fused bool) (effect, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", r.name(), err)
		}
	}
	base := vector(t, map[string]any{"phase": c.phase, "facts": map[string]any{
		"request":  map[string]any{"target": "/old?a=1", "headers": []any{[]any{"x-a", "zero"}, []any{"x-gone", "1"}, []any{"host", "gw.test"}}},
		"shared":   map[string]any{"old": 1},
		"response": map[string]any{"status": 200, "headers": []any{[]any{"x-r", "1"}}}, "service_response": map[string]any{"status": 200, "headers": []any{[]any{"x-r", "1"}}},
	}})
	if c.phase == "access" || c.phase == "rewrite" {
		base.Facts.Response, base.Facts.ServiceResponse = nil, nil
	}
	lane, err := r.lane(ctx, base.Node.Hello())
	fatal(err)
	w := &wiring{lane: lane, fuses: fused}
	told := &ended{}
	var failed bytes.Buffer
	d := &dispatch.Dispatcher{
		Node: &local.Node{MaxBody: 1 << 20, MaxShared: hostShared}, Logger: slog.New(slog.NewTextHandler(&failed, nil)),
		PluginLog: func(*plan.Instance, string, pdk.Phase, uint8, string) {}, Interceptors: []dispatch.Interceptor{told},
	}
	phase := pdk.PhaseByName(c.phase)
	var ins []*plan.Instance
	var reported []*report
	var vs []*vectors.Vector
	for i, l := range c.links {
		v := vector(t, map[string]any{"phase": c.phase, "calls": append([]any{}, l.calls...), "ends": l.ends})
		p := r.reports.expect()
		defer p.forget()
		reported, vs = append(reported, p), append(vs, v)
		in := &plan.Instance{
			ID: instances.Add(1), Record: &entity.Plugin{ID: v.RecordID(), Name: fmt.Sprint("p", i), Enabled: true}, Phases: phase, Priority: 1000 - i, Authenticates: true,
			Remote: w, FailOpen: l.open,
		}
		if fused {
			in.Fuser = w
		}
		for k := range in.Timeouts {
			if in.Timeouts[k] = patience; l.ends == "late" {
				in.Timeouts[k] = slow
			}
		}
		if !l.absent {
			fatal(r.server.Configure(ctx, pluginserver.Instance{ID: in.ID, Plugin: r.plugin, Config: p.config(v), RecordID: v.RecordID(), InstanceName: "chain"}))
			defer r.server.Release(in.ID)
		}
		ins = append(ins, in)
	}
	route := &entity.Route{ID: "route"}
	plans, err := plan.Compile(plan.Options{}, ins, []*entity.Route{route}, nil)
	fatal(err)
	given, err := base.Call()
	fatal(err)
	ex := &exchange.Exchange{Facts: *given.Facts, Live: message{}, Dir: directory{}, Plan: plans.ForRoute(route, false)}
	switch phase {
	case pdk.PhaseAccess:
		d.RunAccess(ex)
	case pdk.PhaseLog:
		d.RunLog(ex, ex.Chain(phase))
	default:
		d.Run(ex, ex.Chain(phase), phase)
	}

	e := effect{Codes: told.codes, Asks: told.asks, Results: map[string]string{}, Logs: map[string][]vectors.Line{}}
	shown, err := json.Marshal([]any{ex.Facts, ex.Answer, ex.Upstream, ex.Serialized, ex.NewBody, ex.HasNewBody, ex.Identities, len(ex.Spans), ex.Dirty})
	fatal(err)
	e.Exchange = string(shown)
	trips := strings.Join(w.trips, " ")
	if slices.ContainsFunc(c.links, func(l link) bool { return l.ends == "killed" }) {
		return e, trips // nobody is left to report
	}
	for i, in := range ins {
		if !slices.ContainsFunc(told.codes, func(code string) bool { return strings.HasPrefix(code, in.Record.Name+" ") }) || c.links[i].absent {
			continue
		}
		run := &vectors.Run{}
		fatal(reported[i].collect(ctx, vs[i], run))
		results, err := json.Marshal(run.Results)
		fatal(err)
		e.Results[in.Record.Name] = string(results)
	}
	// Log lines come in order, and one of a call of its own behind all others.
	end, err := vectors.Parse("settle", []byte(farewell))
	fatal(err)
	last := &remote{plugin: r.plugin, server: r.server, reports: r.reports}
	if _, diffs := last.runOn(ctx, lane, end, end.Asker()); len(diffs) > 0 {
		t.Fatalf("%s: %v", r.name(), diffs)
	}
	for id := instances.Load(); len(lane.of(id)) == 0; {
		select {
		case <-lane.heard:
		case <-ctx.Done():
			t.Fatalf("%s: the last log line did not come", r.name())
		}
	}
	for _, in := range ins {
		e.Logs[in.Record.Name] = lane.of(in.ID)
	}
	return e, trips
}

// A chain does the same whether its plugins travel together or one by one, in every language over every carrier: to the request, to what handlers are
// answered, to what is logged, and to how their calls end.
func TestFusedChainsDoTheSame(t *testing.T) {
	for name, c := range chains {
		t.Run(name, func(t *testing.T) {
			for _, impl := range suite.implementations {
				r, ok := impl.(*remote)
				if !ok {
					continue
				}
				apart, _ := c.walk(t, r, false)
				together, trips := c.walk(t, r, true)
				if trips != c.trips {
					t.Errorf("%s: the calls ran %s handlers, expected %s", r.name(), trips, c.trips)
				}
				for _, diff := range apart.differs(together) {
					t.Errorf("%s: %s", r.name(), diff)
				}
			}
		})
	}
}

// A process that dies under the second of three handlers fails that one alone: what the first wrote stays, and the third is called again, if only to hear
// that nobody is there.
func TestFusedStepKillsItsServer(t *testing.T) {
	c := chain{"access", []link{doing(call("ctx.shared.set", "k", 1)), doing(call("ctx.shared.set", "k", 2)).ending("killed").opened(), doing().opened()}, ""}
	killed := map[*pluginserver.Server]bool{}
	for _, impl := range suite.implementations {
		r, ok := impl.(*remote)
		if !ok || killed[r.server] { // once for each: a process that dies again and again is not started again at once
			continue
		}
		killed[r.server] = true
		before := r.server.Status().Processes[0].PID
		e, trips := c.walk(t, r, true)
		if len(e.Codes) != 3 || e.Codes[0] != "p0 ok false" || e.Codes[1] != "p1 closed true" || !strings.HasPrefix(trips, "2 ") {
			t.Errorf("%s: the calls ended %q in groups of %s", r.name(), e.Codes, trips)
		}
		if !strings.Contains(e.Exchange, `"Shared":[{"Key":"old","Value":"AQ=="},{"Key":"k","Value":"AQ=="}]`) || !strings.Contains(e.Exchange, `{"Given":false`) {
			t.Errorf("%s: the exchange is %s", r.name(), e.Exchange)
		}
		deadline := time.Now().Add(patience)
		for p := r.server.Status().Processes[0]; p.PID == before || p.State != pluginserver.StateReady; p = r.server.Status().Processes[0] {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the process is %+v", r.name(), p)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}
