package generation

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// townPlugin is a native plugin with a configuration.
type townPlugin struct {
	Limit int    `json:"limit"`
	Text  string `json:"text"`
}

func (*townPlugin) Access(*pdk.PDK) error { return nil }

// townPlugins are twenty native plugins; the sixth authenticates.
func townPlugins() []pdk.Plugin {
	var all []pdk.Plugin
	for i := range 20 {
		all = append(all, pdk.Plugin{
			Name: fmt.Sprint("plugin", i), Version: "1", Priority: 1000 - 10*i, Authenticates: i == 5, New: func() any { return &townPlugin{Limit: 1} },
		})
	}
	return all
}

// townDocument is a document of 10,000 routes of 1,000 services, 1,000 consumers in 100 groups, and 2,000 records of 20 plugins.
func townDocument(rules bool) []byte {
	var b strings.Builder
	b.WriteString("_format_version: \"3.0\"\nservices:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "- {name: s%d, url: \"http://127.0.0.1:9000/s%d\"}\n", i, i)
	}
	b.WriteString("routes:\n")
	for i := range 10000 {
		fmt.Fprintf(&b, "- {name: r%d, paths: [/s%d/r%d], service: s%d}\n", i, i/10, i, i/10)
	}
	b.WriteString("consumer_groups:\n")
	for i := range 100 {
		fmt.Fprintf(&b, "- {name: g%d}\n", i)
	}
	b.WriteString("consumers:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "- {username: c%d, groups: [g%d, g%d], keyauth_credentials: [{key: key-of-c%d}]}\n", i, i%100, (i+1)%100, i)
	}
	b.WriteString("plugins:\n")
	rnd := rand.New(rand.NewPCG(1, 2))
	taken := map[string]bool{}
	for n := 0; n < 2000; {
		p, scope := rnd.IntN(20), ""
		switch {
		case n < 20: // of all
			p = n
		case n%4 == 0:
			scope = fmt.Sprintf(", route: r%d", rnd.IntN(9000))
		case n%4 == 1:
			scope = fmt.Sprintf(", service: s%d", rnd.IntN(900))
		case n%4 == 2:
			scope = fmt.Sprintf(", consumer: c%d", rnd.IntN(500))
		default:
			scope = fmt.Sprintf(", consumer_group: g%d, route: r%d", rnd.IntN(100), rnd.IntN(9000))
		}
		key := fmt.Sprint(p, scope)
		if taken[key] || p == 5 && strings.Contains(scope, "consumer") { // who authenticates has no records for consumers
			continue
		}
		taken[key] = true
		if rules && n < 20 && p > 0 && p%4 == 0 {
			scope += fmt.Sprintf(", ordering: {before: {access: [plugin%d]}}", p-3)
		}
		fmt.Fprintf(&b, "- {name: plugin%d, config: {limit: %d, text: of record %d}%s}\n", p, n, n, scope)
		n++
	}
	return []byte(b.String())
}

// BenchmarkGeneration is the way from the text of a document to a generation, without rules and with them in turn. It reports medians, ratios from
// round to round, and the bytes that a generation keeps, with its entities.
func BenchmarkGeneration(b *testing.B) {
	names := []string{"none", "legacy"}
	documents := [][]byte{townDocument(false), townDocument(true)}
	reads, builds, bytes := make([][]float64, 2), make([][]float64, 2), make([]float64, 2)
	fresh := func(o int) (*Generation, time.Duration, time.Duration) {
		builder, err := NewBuilder(townPlugins(), &fakeServers{})
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		set, err := config.Parse("gateway.yaml", documents[o])
		if err != nil {
			b.Fatal(err)
		}
		read := time.Since(start)
		g, err := buildSet(builder, set)
		if err != nil {
			b.Fatal(err)
		}
		if len(g.Set.Routes) != 10000 || len(g.Set.Plugins) != 2000 {
			b.Fatalf("%d routes, %d plugins", len(g.Set.Routes), len(g.Set.Plugins))
		}
		return g, read, time.Since(start) - read
	}
	for o := range names {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		g, _, _ := fresh(o)
		runtime.GC()
		runtime.ReadMemStats(&after)
		bytes[o] = float64(after.HeapAlloc) - float64(before.HeapAlloc)
		runtime.KeepAlive(g)
	}
	for i := 0; b.Loop(); i++ {
		for k := range names {
			o := (i + k) % len(names)
			runtime.GC() // of what the one before has left
			_, read, build := fresh(o)
			reads[o], builds[o] = append(reads[o], float64(read)), append(builds[o], float64(build))
		}
	}
	b.ReportMetric(0, "ns/op")
	for o, name := range names {
		ratios := slices.Clone(builds[o])
		for i := range ratios {
			ratios[i] /= builds[0][i]
		}
		b.ReportMetric(median(reads[o]), name+"-read-ns")
		b.ReportMetric(median(builds[o]), name+"-ns")
		b.ReportMetric(median(ratios), name+"-ratio")
		b.ReportMetric(bytes[o], name+"-bytes")
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
