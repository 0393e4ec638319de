package dispatch_test

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/canary"
	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/metrics"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/prefetch"
	"github.com/outrigger-gateway/outrigger/host/internal/quarantine"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// head is a message of a browser, loaded without a copy.
type head struct{}

func (head) LoadRequest(f *wire.Facts) {
	f.RequestID = "0123456789abcdef0123456789abcdef"
	q := &f.Request
	q.Method, q.Scheme, q.Host, q.Port, q.HTTPVersion, q.Target, q.Path, q.RawQuery = "GET", "http", "shop.example", 8000, 11, "/bench/orders/17?page=2", "/bench/orders/17", "page=2"
	q.Headers = append(q.Headers[:0], wire.Header{Name: "Host", Value: "shop.example"}, wire.Header{Name: "User-Agent", Value: "Mozilla/5.0"}, wire.Header{Name: "Accept", Value: "*/*"},
		wire.Header{Name: "Accept-Language", Value: "en"}, wire.Header{Name: "Accept-Encoding", Value: "gzip"}, wire.Header{Name: "Cookie", Value: "a=b"}, wire.Header{Name: "Referer", Value: "https://shop.example/"},
		wire.Header{Name: "X-Name", Value: "wrk"})
}
func (head) LoadResponse(*wire.Facts)      {}
func (head) RequestBody() ([]byte, error)  { return nil, nil }
func (head) ResponseBody() ([]byte, error) { return nil, nil }
func (head) UpstreamURI() string           { return "" }

type nobody struct{}

func (nobody) Consumer(string, bool) (*entity.Consumer, *wire.Entity) { return nil, nil }
func (nobody) Credential(string, string) (*wire.Entity, error)        { return nil, nil }
func (nobody) Upstream(string) *entity.Upstream                       { return nil }

// helloServer answers each call as the plugin hello does, with the operations of an outcome that was decoded.
type helloServer struct {
	ops   []wire.Op
	lines [2][]string
}

func (h *helloServer) Prefetches() bool { return true }

func (h *helloServer) Call(_ *wire.Call, _ time.Time, _ wire.Asker, out *wire.Outcome) error {
	for i := range h.lines {
		h.lines[i] = append(h.lines[i][:0], "good day, wrk")
	}
	h.ops = append(h.ops[:0], wire.Op{Code: pdk.OpServiceRequestSetHeader, Name: "X-Hello", Values: h.lines[0]}, wire.Op{Code: pdk.OpResponseSetHeader, Name: "X-Hello", Values: h.lines[1]})
	out.Ops = h.ops
	return nil
}

// wiredServer is a plugin server without its socket: calls are encoded, and outcomes decoded, those of all steps of a fused call in one trip.
type wiredServer struct {
	call, outcome []byte
	room          []string
}

func newWiredServer(tb testing.TB) *wiredServer {
	var server helloServer
	var out wire.Outcome
	_ = server.Call(nil, time.Time{}, nil, &out)
	if tb.Helper(); len(out.Ops) == 0 {
		tb.Fatal("no operations")
	}
	return &wiredServer{outcome: wire.AppendOutcome(nil, &out)}
}

func (w *wiredServer) Prefetches() bool { return true }
func (w *wiredServer) Fuses() bool      { return true }

func (w *wiredServer) Call(c *wire.Call, _ time.Time, asker wire.Asker, out *wire.Outcome) (err error) {
	w.call = wire.AppendCall(w.call[:0], c, wire.Slots{})
	for left := len(c.Rest); ; left-- {
		if w.room, err = wire.DecodeOutcomeInto(w.outcome, nil, out, w.room); err != nil || left == 0 {
			return err
		}
		if _, more := asker.(wire.Stepper).Next(out); !more {
			return nil
		}
	}
}

// cost is a dispatcher with everything that a gateway has around its calls, and a request that passes it again and again.
type cost struct {
	dispatch.Dispatcher
	ex   exchange.Exchange
	plan *plan.Plan
}

func newCost(tb testing.TB, ins ...*plan.Instance) *cost {
	route := &entity.Route{ID: "route"}
	for i, in := range ins {
		in.ID, in.Priority, in.Phases, in.Closed, in.Meters = uint64(i+1), 1000-i, pdk.PhaseAccess, new(atomic.Bool), new(atomic.Value)
		in.Record = &entity.Plugin{ID: string(rune('a' + i)), Name: string(rune('a' + i)), Enabled: true}
		for p := range in.Timeouts {
			in.Timeouts[p] = time.Second
		}
	}
	set, err := plan.Compile(plan.Options{}, ins, []*entity.Route{route}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	m := metrics.New("1", func() metrics.Status { return metrics.Status{} })
	return &cost{plan: set.ForRoute(route, false), Dispatcher: dispatch.Dispatcher{
		Node: &local.Node{MaxBody: 1 << 20, MaxShared: 64 << 10}, Logger: slog.New(slog.DiscardHandler), PluginLog: func(*plan.Instance, string, pdk.Phase, uint8, string) {},
		Interceptors: []dispatch.Interceptor{m.Calls, new(canary.Observer), dispatch.Budgets{}, new(quarantine.Table)},
	}}
}

// request is what a request costs here.
func (c *cost) request() {
	c.ex.Live, c.ex.Dir, c.ex.Plan = head{}, nobody{}, c.plan
	c.RunAccess(&c.ex)
	c.ex.Reset()
}

func external() *plan.Instance {
	server := &helloServer{}
	breaker := new(budget.Registry).Use(budget.Scope{Server: "s"}, budget.Limits{Errors: budget.Errors{Ratio: 0.5, Calls: 20, Window: 10 * time.Second, OpenFor: time.Second, Probes: 1}})
	return &plan.Instance{Remote: server, Prefetcher: server, Prefetch: new(prefetch.Memory), Server: "s", Budgets: budget.Chain{breaker}}
}

// wired are plugins of one server over the wire; together: their calls may travel in one trip.
func wired(tb testing.TB, n int, together bool) (ins []*plan.Instance) {
	server := newWiredServer(tb)
	breaker := external().Budgets
	for range n {
		in := &plan.Instance{Remote: server, Prefetcher: server, Prefetch: new(prefetch.Memory), Server: "s", Budgets: breaker}
		if together {
			in.Fuser = server
		}
		ins = append(ins, in)
	}
	return ins
}

func inside(access func(k *pdk.PDK) error) *plan.Instance {
	return &plan.Instance{Native: &pdk.Handlers{Access: access}}
}

func nothing(*pdk.PDK) error { return nil }

func hello(k *pdk.PDK) error {
	name, _ := k.Request.GetHeader("X-Name")
	if _, ok := k.Request.GetHeader("User-Agent"); !ok {
		return nil
	}
	if err := k.ServiceRequest.SetHeader("X-Hello", name); err != nil {
		return err
	}
	return k.Response.SetHeader("X-Hello", name)
}

func tenOf(access func(k *pdk.PDK) error) []*plan.Instance {
	var ins []*plan.Instance
	for range 10 {
		ins = append(ins, inside(access))
	}
	return ins
}

// A benchmark for each kind of chain.
func BenchmarkChain(b *testing.B) {
	for _, c := range []struct {
		name string
		ins  []*plan.Instance
	}{
		{"none", nil}, {"native hello", []*plan.Instance{inside(hello)}}, {"native no-op", []*plan.Instance{inside(nothing)}}, {"ten native no-ops", tenOf(nothing)}, {"external hello", []*plan.Instance{external()}},
		{"one over the wire", wired(b, 1, true)}, {"three over the wire together", wired(b, 3, true)}, {"three over the wire apart", wired(b, 3, false)},
	} {
		b.Run(c.name, func(b *testing.B) {
			x := newCost(b, c.ins...)
			x.request()
			b.ReportAllocs()
			for b.Loop() {
				x.request()
			}
		})
	}
}

// silentServer does nothing.
type silentServer struct{}

func (silentServer) Call(*wire.Call, time.Time, wire.Asker, *wire.Outcome) error { return nil }

// BenchmarkBesideOthers has calls on all processors at once: what they count is shared.
func BenchmarkBesideOthers(b *testing.B) {
	in := external()
	in.Remote = silentServer{}
	x := newCost(b, in)
	b.RunParallel(func(pb *testing.PB) {
		var ex exchange.Exchange
		for pb.Next() {
			ex.Live, ex.Dir, ex.Plan = head{}, nobody{}, x.plan
			x.RunAccess(&ex)
			ex.Reset()
		}
	})
}
