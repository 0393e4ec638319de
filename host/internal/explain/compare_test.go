package explain

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
)

// many is a document with n routes, a tenth as many services and consumers. Every route, every service and every tenth of the consumers has a record;
// the version is in the configurations.
func many(n, version int) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range n / 10 {
		fmt.Fprintf(&b, "- {name: s%d, host: h, plugins: [{name: late, config: {v: 1}}]}\n", i)
	}
	b.WriteString("routes:\n")
	for i := range n {
		fmt.Fprintf(&b, "- {name: r%d, service: s%d, paths: [/r%d], plugins: [{name: early, config: {v: %d}}]}\n", i, i%(n/10), i, version)
	}
	b.WriteString("consumers:\n")
	for i := range n / 10 {
		fmt.Fprintf(&b, "- {username: c%d, keyauth_credentials: [{key: k%d}]", i, i)
		if i%10 == 0 {
			fmt.Fprintf(&b, ", plugins: [{name: late, config: {v: %d}}]", 100+i)
		}
		b.WriteString("}\n")
	}
	b.WriteString("plugins: [{name: auth}]\n")
	return b.String()
}

// Random configurations and edits: what is found where the edits reach, for classes that are put together, is what is found when every class is compared
// on every route.
func TestCompareRandomly(t *testing.T) {
	for seed := range uint64(120) {
		random := rand.New(rand.NewPCG(seed, 1))
		before, after := randomDocuments(random)
		d := compared(t, generationOf(t, before), generationOf(t, after))
		if t.Failed() {
			t.Fatalf("seed %d: %d changes between\n%s\nand\n%s", seed, len(d.Changes), before, after)
		}
	}
}

// randomDocuments are two configurations with mostly the same records.
func randomDocuments(random *rand.Rand) (before, after string) {
	var base strings.Builder
	base.WriteString("consumer_groups: [{name: g0}, {name: g1}]\nservices: [{name: s0, host: h}, {name: s1, host: h}]\nroutes:\n")
	for i := range 4 {
		fmt.Fprintf(&base, "- {name: r%d, service: s%d, paths: [/r%d]}\n", i, random.IntN(2), i)
	}
	base.WriteString("consumers:\n")
	for i := range 5 {
		fmt.Fprintf(&base, "- {username: c%d, groups: [%s]}\n", i, []string{"", "g0", "g1", "g0, g1"}[random.IntN(4)])
	}
	base.WriteString("plugins:\n")
	texts := [2]strings.Builder{}
	taken := map[string]bool{}
	for range 4 + random.IntN(22) {
		name := []string{"early", "auth", "late", "late", "early"}[random.IntN(5)]
		scope := []string{"", ", route: r0", ", route: r1", ", route: r2", ", service: s0", ", service: s1"}[random.IntN(6)]
		if name != "auth" {
			scope += []string{
				"", "", ", consumer: c0", ", consumer: c1", ", consumer: c2", ", consumer: c3", ", consumer: c4", ", consumer_group: g0", ", consumer_group: g1",
			}[random.IntN(9)]
		}
		if taken[name+scope] {
			continue
		}
		taken[name+scope] = true
		record := func() string {
			r := "- {name: " + name + scope + fmt.Sprintf(", config: {v: %d}", random.IntN(3))
			switch random.IntN(16) {
			case 0:
				r += ", enabled: false"
			case 1:
				r += fmt.Sprintf(", priority: %d", random.IntN(4000))
			case 2:
				if name == "late" {
					r += ", ordering: {before: {access: [early]}}"
				}
			case 3:
				r += `, condition: 'http.method == "GET"', on_false: next`
			case 4:
				r += ", inherit: true"
			case 5:
				r = "- {name: " + name + scope + ", mode: disable"
			}
			return r + "}\n"
		}
		same := record()
		for side := range texts {
			switch random.IntN(6) {
			case 0: // the record is not there
			case 1:
				texts[side].WriteString(record())
			default:
				texts[side].WriteString(same)
			}
		}
	}
	for side := range texts {
		if texts[side].Len() == 0 {
			texts[side].WriteString("- {name: late}\n")
		}
	}
	return base.String() + texts[0].String(), base.String() + texts[1].String()
}

// Consumers with records of their own of the plugin that changes for all are looked at one by one only where these change: it would be every consumer on
// every route.
func TestCompareConsumersTogether(t *testing.T) {
	document := func(version int) string {
		var b strings.Builder
		b.WriteString("services: [{name: s, host: h}]\nroutes:\n")
		for i := range 20 {
			fmt.Fprintf(&b, "- {name: r%d, service: s, paths: [/r%d], plugins: [{name: early, config: {v: %d}}]}\n", i, i, i)
		}
		b.WriteString("consumers:\n")
		for i := range 500 {
			own := 100 + i
			if i == 7 {
				own += version
			}
			fmt.Fprintf(&b, "- {username: c%d, plugins: [{name: late, config: {v: %d}}]}\n", i, own)
		}
		fmt.Fprintf(&b, "plugins: [{name: auth}, {name: late, config: {v: %d}}, {name: late, consumer: c9, service: s}]\n", version)
		return b.String()
	}
	before, after := generationOf(t, document(1)), generationOf(t, document(2))
	compared(t, before, after)
	c := comparison{gen: [2]*generation.Generation{before, after}, edits: editsOf(before.Set, after.Set), ids: map[*entity.Plugin]string{}}
	c.classes = c.listClasses()
	c.reachAnywhere()
	route := [2]*entity.Route{before.Set.Routes[0], after.Set.Routes[0]}
	classes, names := c.reached(route)
	plans := [2]*plan.Plan{before.Plans.ForRoute(route[0], false), after.Plans.ForRoute(route[1], false)}
	var found []string
	for _, cl := range c.alikeClasses(classes, names, route, plans) {
		found = append(found, fmt.Sprintf("%s and %d more", cl.name, len(cl.also)))
	}
	if want := []string{"nobody and 0 more", "consumer c0 and 497 more", "consumer c7 and 0 more", "consumer c9 and 0 more"}; !slices.Equal(found, want) {
		t.Errorf("found %q, expected %q", found, want)
	}
}

// A step that moves is told once for all whose chains have the same plugins, and not once for each consumer who has a record of his own there.
func TestCompareMoves(t *testing.T) {
	document := func(more string) string {
		var b strings.Builder
		b.WriteString("services: [{name: s, host: h, routes: [{name: r0, paths: [/a]}, {name: r1, paths: [/b], plugins: [{name: late, config: {v: 7}}]}]}]\nconsumers:\n")
		for i := range 20 {
			fmt.Fprintf(&b, "- {username: c%d, plugins: [{name: late, config: {v: %d}}]}\n", i, 100+i)
		}
		b.WriteString("plugins: [{name: auth}, {name: late, config: {v: 1}}, {name: early, config: {v: 1}" + more + "}]\n")
		return b.String()
	}
	d := compared(t, generationOf(t, document("")), generationOf(t, document(", priority: 1")))
	for _, ch := range d.Changes { // of access and of log, and of log without route
		if slices.Equal(ch.Routes, []string{""}) {
			continue
		}
		if len(ch.Routes) != 2 || len(ch.Who) != 21 {
			t.Errorf("found a change of %s on %d routes for %d classes, expected 2 and 21", ch.Phase, len(ch.Routes), len(ch.Who))
		}
	}
	if len(d.Changes) != 3 {
		t.Errorf("found %d changes, expected 3", len(d.Changes))
	}
}

// BenchmarkCompare compares configurations in which the record of every route changes. The time for each route is the same at all sizes: consumers with
// records of other plugins are not looked at one by one.
func BenchmarkCompare(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			before, after := generationOf(b, many(n, 1)), generationOf(b, many(n, 2))
			b.ResetTimer()
			for b.Loop() {
				begin := time.Now()
				d, err := Compare(b.Context(), before, after)
				if err != nil || !d.Differs {
					b.Fatal(d, err)
				}
				b.ReportMetric(float64(time.Since(begin).Nanoseconds())/float64(n), "ns/route")
			}
		})
	}
}
