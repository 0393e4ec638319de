package plan

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// town is a configuration of 10,000 routes of 1,000 services, 1,000 consumers in 100 groups, and 2,000 records of 20 plugins.
type town struct {
	instances []*Instance
	routes    []*entity.Route
	consumers []*entity.Consumer
}

// towns are with rules or without, and with records for consumers everywhere or only with a route or one of the first 900 services: then the last
// thousand routes have none.
func newTown(rules, everywhere bool) *town {
	rnd := rand.New(rand.NewPCG(1, 2))
	w := &town{}
	services := make([]*entity.Service, 1000)
	for i := range services {
		services[i] = &entity.Service{ID: fmt.Sprint("s", i)}
	}
	for i := range 10000 {
		w.routes = append(w.routes, &entity.Route{ID: fmt.Sprint("r", i), Service: services[i/10], Protocols: []string{"http", "https"}})
	}
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
		if n < 20 {
			p = n
		}
		rec := &entity.Plugin{ID: fmt.Sprint("p", n), Name: fmt.Sprint("plugin", p), Enabled: true, Protocols: []string{"http", "https"}}
		switch {
		case n < 20: // of all
		case n%4 == 0:
			rec.Route = w.routes[rnd.IntN(9000)]
		case n%4 == 1:
			rec.Service = services[rnd.IntN(900)]
		case n%4 == 2:
			rec.Consumer = w.consumers[rnd.IntN(500)]
			if !everywhere {
				rec.Service = services[rnd.IntN(900)]
			}
		default:
			rec.ConsumerGroup = groups[rnd.IntN(100)]
			rec.Route = w.routes[rnd.IntN(9000)]
		}
		key := rec.Name + " " + rec.Scope()
		if taken[key] {
			continue
		}
		taken[key] = true
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

// orderings are what the benchmarks compare; the first one is what the others are compared with.
var orderings = []struct {
	name  string
	rules bool
	opts  Options
}{
	{"none", false, Options{}}, {"legacy", true, Options{}}, {"push", true, Options{Mode: Push}}, {"priority_preserving", true, Options{Algorithm: PriorityPreserving}},
}

// interleave measures one function for each ordering, which does something count times, in turn: a machine that slows down slows all of them. It
// reports medians, ratios to the first ordering from round to round, and allocations, each by the name of the ordering.
func interleave(b *testing.B, count float64, run []func()) {
	b.Helper()
	times := make([][]float64, len(run))
	for i := 0; b.Loop(); i++ {
		for k := range run {
			o := (i + k) % len(run)
			start := time.Now()
			run[o]()
			times[o] = append(times[o], float64(time.Since(start)))
		}
	}
	b.ReportMetric(0, "ns/op")
	ratios := make([]float64, len(times[0]))
	for o, name := range orderings {
		for i, t := range times[o] {
			ratios[i] = t / times[0][i]
		}
		b.ReportMetric(middle(ratios), name.name+"-ratio")
	}
	for o, name := range orderings {
		b.ReportMetric(middle(times[o])/count, name.name+"-ns")
		b.ReportMetric(testing.AllocsPerRun(1, run[o])/count, name.name+"-allocs")
	}
}

func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// kept says how many bytes of the heap stay for what make returns.
func kept(make func() any) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	made := make()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(made)
	return float64(after.HeapAlloc) - float64(before.HeapAlloc)
}

// BenchmarkCompile is the time and the memory of all plans of a generation.
func BenchmarkCompile(b *testing.B) {
	var run []func()
	var bytes []float64
	for _, o := range orderings {
		w := newTown(o.rules, true)
		run = append(run, func() { w.compile(b, o.opts) })
		bytes = append(bytes, kept(func() any { return w.compile(b, o.opts) }))
	}
	interleave(b, 1, run)
	for o, name := range orderings {
		b.ReportMetric(bytes[o], name.name+"-bytes")
	}
}

// walk is a request that has come to the plugin that authenticates.
type walk struct {
	plan     *Plan
	at       int
	consumer *entity.Consumer
}

// walks are such requests on each of some routes by each of some consumers.
func (s *Set) walks(routes []*entity.Route, consumers []*entity.Consumer) []walk {
	var all []walk
	for _, r := range routes {
		p := s.ForRoute(r, false)
		at := slices.IndexFunc(p.Steps(), func(st *Step) bool { return st.Instance.Authenticates })
		for _, c := range consumers {
			all = append(all, walk{p, at, c})
		}
	}
	return all
}

// BenchmarkLookup is what a request pays for its plan: of its route, and where authentication has made a consumer known.
func BenchmarkLookup(b *testing.B) {
	const count = 10000
	some := func(w *town) []*entity.Route {
		return []*entity.Route{w.routes[7], w.routes[2500], w.routes[5001], w.routes[8888], w.routes[9999]}
	}
	strangers := []*entity.Consumer{{ID: "x"}, {ID: "y"}, {ID: "z"}}
	for _, c := range []struct {
		name       string
		everywhere bool
		routes     func(w *town) []*entity.Route
		consumers  func(w *town) []*entity.Consumer // nil: before authentication
	}{
		{"before", true, nil, nil},
		{"after", true, some, func(w *town) []*entity.Consumer { return w.consumers[:100] }},
		{"stranger", true, some, func(*town) []*entity.Consumer { return strangers }},
		{"unscoped", false, func(w *town) []*entity.Route { return w.routes[9000:9100] }, func(w *town) []*entity.Consumer { return w.consumers[:100] }},
	} {
		b.Run(c.name, func(b *testing.B) {
			var run []func()
			for _, o := range orderings {
				w := newTown(o.rules, c.everywhere)
				set := w.compile(b, o.opts)
				look := func(i int) *Plan { return set.ForRoute(w.routes[i], false) }
				if c.consumers != nil {
					walks := set.walks(c.routes(w), c.consumers(w))
					look = func(i int) *Plan {
						r := &walks[i%len(walks)]
						return r.plan.Switch(r.at, r.consumer, nil)
					}
				}
				run = append(run, func() {
					n := 0
					for i := range count {
						n += len(look(i).Chain(pdk.PhaseAccess))
					}
					if n < 15*count {
						b.Fatalf("%d steps in %d chains", n, count)
					}
				})
			}
			for _, first := range run { // makes the plans that are made when they are needed
				first()
			}
			interleave(b, count, run)
		})
	}
}
