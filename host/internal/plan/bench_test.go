package plan

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// town is a configuration of 10,000 routes of 1,000 services, 1,000 consumers in 100 groups, and 2,000 records of 20 plugins.
type town struct {
	instances []*Instance
	routes    []*entity.Route
	consumers []*entity.Consumer
	plain     *entity.Route // without records of its own
}

func newTown(rules bool) *town {
	rnd := rand.New(rand.NewPCG(1, 2))
	w := &town{}
	services := make([]*entity.Service, 1000)
	for i := range services {
		services[i] = &entity.Service{ID: fmt.Sprint("s", i)}
	}
	for i := range 10000 {
		w.routes = append(w.routes, &entity.Route{ID: fmt.Sprint("r", i), Service: services[i%1000], Protocols: []string{"http", "https"}})
	}
	w.plain = w.routes[9999]
	groups := make([]*entity.ConsumerGroup, 100)
	for i := range groups {
		groups[i] = &entity.ConsumerGroup{ID: fmt.Sprint("g", i), Name: fmt.Sprint("group", i)}
	}
	for i := range 1000 {
		w.consumers = append(w.consumers, &entity.Consumer{ID: fmt.Sprint("c", i), Groups: []*entity.ConsumerGroup{groups[i%100], groups[(i+1)%100]}})
	}
	taken := map[string]bool{}
	for len(w.instances) < 2000 {
		n := len(w.instances)
		p := rnd.IntN(20)
		rec := &entity.Plugin{ID: fmt.Sprint("p", n), Name: fmt.Sprint("plugin", p), Enabled: true, Protocols: []string{"http", "https"}}
		switch {
		case n < 20:
			p = n
			rec.Name = fmt.Sprint("plugin", p)
		case n%4 == 0:
			rec.Route = w.routes[rnd.IntN(9000)]
		case n%4 == 1:
			rec.Service = services[rnd.IntN(900)]
		case n%4 == 2:
			rec.Consumer = w.consumers[rnd.IntN(500)]
		default:
			rec.ConsumerGroup = groups[rnd.IntN(100)]
			rec.Route = w.routes[rnd.IntN(9000)]
		}
		if key := rec.Name + " " + rec.Scope(); taken[key] {
			continue
		} else {
			taken[key] = true
		}
		if rules && n < 20 && p > 0 && p%4 == 0 { // rate-limiting before key-auth, and the like
			rec.Ordering.Before = map[string][]string{"access": {fmt.Sprint("plugin", p-3)}}
		}
		w.instances = append(w.instances, &Instance{
			ID: uint64(n + 1), Record: rec, Priority: 1000 - p*10, Authenticates: p == 5, Phases: pdk.PhaseAccess | pdk.PhaseHeaderFilter | pdk.PhaseLog,
		})
	}
	return w
}

func (w *town) compile(t testing.TB, opts Options) *Set {
	t.Helper()
	set, err := Compile(opts, w.instances, w.routes, w.consumers)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

var orderings = []struct {
	name  string
	rules bool
	opts  Options
}{
	{"none", false, Options{}}, {"legacy", true, Options{}}, {"push", true, Options{Mode: Push}}, {"priority_preserving", true, Options{Algorithm: PriorityPreserving}},
}

// BenchmarkCompile is the time and the memory of all plans of a generation.
func BenchmarkCompile(b *testing.B) {
	for _, o := range orderings {
		b.Run(o.name, func(b *testing.B) {
			w := newTown(o.rules)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			set := w.compile(b, o.opts)
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportAllocs()
			for b.Loop() {
				w.compile(b, o.opts)
			}
			b.ReportMetric(float64(after.HeapAlloc)-float64(before.HeapAlloc), "bytes-kept")
			runtime.KeepAlive(set)
		})
	}
}

// BenchmarkLookup is what a request pays for its plan: of its route, and where authentication made a consumer known.
func BenchmarkLookup(b *testing.B) {
	for _, o := range orderings {
		w := newTown(o.rules)
		set := w.compile(b, o.opts)
		b.Run(o.name+"/before", func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for i := 0; b.Loop(); i++ {
				n += len(set.ForRoute(w.routes[i%10000], false).Chain(pdk.PhaseAccess))
			}
			if n == 0 {
				b.Fatal("no plugins")
			}
		})
		for _, c := range []struct {
			name      string
			consumers []*entity.Consumer
		}{{"after-with-records", w.consumers[:100]}, {"after-without", []*entity.Consumer{{ID: "unknown"}}}} {
			b.Run(o.name+"/"+c.name, func(b *testing.B) {
				p := set.ForRoute(w.plain, false)
				at := 0
				for i, st := range p.Steps() {
					if st.Instance.Authenticates {
						at = i
					}
				}
				for _, known := range c.consumers {
					p.Switch(at, known, nil)
				}
				b.ReportAllocs()
				n := 0
				for i := 0; b.Loop(); i++ {
					n += len(p.Switch(at, c.consumers[i%len(c.consumers)], nil).Chain(pdk.PhaseAccess))
				}
				if n == 0 {
					b.Fatal("no plugins")
				}
			})
		}
	}
}
