package reference_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/outrigger-gateway/outrigger/host/internal/plan/reference"
)

// configurations is how many are tried; the environment variable OUTRIGGER_PLAN_CONFIGURATIONS asks for another number.
const configurations = 5000

// TestRandom compares the reference with package plan for random configurations and requests. On failure rapid prints the seed and the
// smallest case that it finds; the case is printed as a vector.
func TestRandom(t *testing.T) {
	number := cmp.Or(os.Getenv("OUTRIGGER_PLAN_CONFIGURATIONS"), strconv.Itoa(configurations))
	checks := flag.Lookup("rapid.checks")
	if checks.Value.String() == checks.DefValue { // not given on the command line
		if err := checks.Value.Set(number); err != nil {
			t.Fatalf("OUTRIGGER_PLAN_CONFIGURATIONS=%q: %v", number, err)
		}
		t.Cleanup(func() { _ = checks.Value.Set(checks.DefValue) })
	}
	var seen coverage
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		seen.worlds++
		other := compile(w)
		want := ref{w}.load()
		if got := other.load(); !reflect.DeepEqual(got, want) {
			t.Fatalf("loading gives the cycle %+v, the reference has %+v\n%s", got, want, describe(w, nil))
		}
		if want != nil {
			seen.cycles++
			return
		}
		route, consumer := one(t, "route of the chain", "r", "q", "lone"), one(t, "consumer of the chain", "", "ann", "bob")
		for _, phase := range reference.Phases {
			want, got := w.Chain(route, reference.Identity{Consumer: consumer}, phase), other.chain(route, consumer, phase)
			if !slices.Equal(want, got) {
				t.Fatalf("%s of route %s for consumer %q: the reference has %v, package plan %v\n%s", phase, route, consumer, want, got, describe(w, nil))
			}
		}
		for range rapid.IntRange(1, 3).Draw(t, "requests") {
			req := drawRequest(t)
			want, got := w.Run(req), other.run(req)
			seen.count(w, req, want)
			excuseUnmerged(req, &want, &got)
			if !reflect.DeepEqual(tidy(want), tidy(got)) {
				t.Fatalf("the reference and package plan differ\nreference %+v\nplan      %+v\n%s", tidy(want), tidy(got), describe(w, &req))
			}
		}
	})
	t.Logf("%+v", seen)
	seen.check(t)
}

// excuseUnmerged forgets a configuration that inherits when a plugin set the groups: it may not have been made when the generation was built,
// and its plugin answers 503 (reading 6).
func excuseUnmerged(req reference.Request, want, got *reference.Outcome) {
	for label, parents := range got.Inherits {
		setsGroups := false
		for _, id := range req.Sets {
			setsGroups = setsGroups || id.Groups != nil
		}
		if slices.Equal(parents, []string{unmerged}) && setsGroups {
			delete(want.Inherits, label)
			delete(got.Inherits, label)
			delete(want.Config, label)
			delete(got.Config, label)
		}
	}
}

// tidy makes outcomes comparable: an empty chain is no chain.
func tidy(o reference.Outcome) reference.Outcome {
	empty := func(_ string, chain []string) bool { return len(chain) == 0 }
	maps.DeleteFunc(o.Chains, empty)
	maps.DeleteFunc(o.Inherits, empty)
	return o
}

// coverage counts what the random cases met: a comparison that never meets a thing says nothing about it.
type coverage struct {
	worlds, cycles, requests                                           int
	authenticated, twice, late, answered, failed, reordered, inherited int
}

func (c *coverage) count(w *reference.World, req reference.Request, out reference.Outcome) {
	c.requests++
	plugins := map[string]string{}
	priorities := map[string]int{}
	for _, r := range w.Records {
		plugins[r.Label] = r.Plugin
		priorities[r.Label] = w.Plugins[r.Plugin].Priority
		if r.Priority != nil {
			priorities[r.Label] = *r.Priority
		}
	}
	sets := 0
	for _, label := range out.Access {
		if id, ok := req.Sets[plugins[label]]; ok && !reflect.DeepEqual(id, reference.Identity{}) {
			sets++
		}
	}
	count := func(n *int, yes bool) {
		if yes {
			*n++
		}
	}
	count(&c.authenticated, sets > 0)
	count(&c.twice, sets > 1)
	count(&c.late, out.Failed == "late")
	count(&c.answered, out.Answered)
	count(&c.failed, out.Failed == "condition")
	count(&c.inherited, len(out.Inherits) > 0)
	count(&c.reordered, !slices.IsSortedFunc(out.Enrolled, func(a, b string) int { return priorities[b] - priorities[a] }))
}

// check wants a part of everything: one request in a hundred, more of what matters most.
func (c *coverage) check(t *testing.T) {
	if t.Failed() || c.worlds < 1000 {
		return
	}
	for name, n := range map[string]int{
		"cycles": c.cycles, "authenticated": c.authenticated, "authenticated twice": c.twice * 2, "answered": c.answered, "late_plugins error": c.late * 10,
		"broken conditions": c.failed * 4, "reordered": c.reordered, "inherited": c.inherited * 2,
	} {
		if n*20 < c.worlds {
			t.Errorf("%s: %d cases are too few to mean anything", name, n)
		}
	}
}

func one[T any](t *rapid.T, label string, of ...T) T { return rapid.SampledFrom(of).Draw(t, label) }

// chance is true once in n.
func chance(t *rapid.T, label string, n int) bool {
	return rapid.IntRange(0, n-1).Draw(t, label) == n-1
}

var (
	randomPlugins   = []string{"key", "basic", "a", "b", "c", "d"}
	randomInstances = []string{"i", "j"}
	randomGroups    = []string{"A", "B"}
)

func drawWorld(t *rapid.T) *reference.World {
	w := &reference.World{
		Plugins: map[string]reference.Plugin{}, Routes: map[string]string{"r": "s", "q": "s", "lone": ""},
		Groups: map[string]int{}, Consumers: map[string][]string{},
		Options: reference.Options{
			PriorityPreserving: chance(t, "priority preserving", 3),
			Push:               chance(t, "push", 4),
			Late:               one(t, "late", "", "", "", "run", "skip", "error"),
		},
	}
	for _, name := range randomPlugins {
		p := reference.Plugin{Priority: 10 * rapid.IntRange(1, 5).Draw(t, "priority of "+name)}
		for _, phase := range reference.Phases {
			if name == "key" && phase == reference.Access || !chance(t, name+" "+phase, 3) {
				p.Phases = append(p.Phases, phase)
			}
		}
		w.Plugins[name] = p
	}
	for _, g := range randomGroups {
		w.Groups[g] = rapid.IntRange(0, 1).Draw(t, "priority of "+g)
	}
	for _, c := range []string{"ann", "bob"} {
		w.Consumers[c] = one(t, "groups of "+c, nil, []string{"A"}, []string{"B"}, []string{"A", "B"})
	}
	taken := map[string]bool{}
	for i := range rapid.IntRange(1, 18).Draw(t, "records") {
		r := drawRecord(t, fmt.Sprintf("r%d", i))
		key := fmt.Sprint(r.Plugin, r.Stack && r.Instance != "", r.Instance, r.Route, r.Service, r.Consumer, r.Group)
		if !taken[key] {
			taken[key] = true
			w.Records = append(w.Records, r)
		}
	}
	return w
}

func drawRecord(t *rapid.T, label string) *reference.Record {
	r := &reference.Record{Label: label, Plugin: one(t, "plugin", append([]string{"key"}, randomPlugins...)...), Before: map[string][]string{}, After: map[string][]string{}}
	r.Route = one(t, "route", "", "", "", "", "r", "r", "q", "lone")
	r.Service = one(t, "service", "", "", "", "", "s")
	switch bound := one(t, "bound to", "", "", "", "ann", "bob", "A", "B"); bound {
	case "A", "B":
		r.Group = bound
	default:
		r.Consumer = bound
	}
	r.Off, r.Disable, r.Inherit = chance(t, "off", 20), chance(t, "disable", 12), chance(t, "inherit", 4)
	if chance(t, "stack", 6) {
		r.Stack, r.Instance = true, one(t, "instance", randomInstances...)
	}
	if chance(t, "own priority", 5) {
		p := 10 * rapid.IntRange(0, 6).Draw(t, "priority")
		r.Priority = &p
	}
	if chance(t, "conditional", 4) {
		r.Condition, r.Next = one(t, "condition", "K", "L", "M"), rapid.Bool().Draw(t, "next")
	}
	r.Config = one(t, "configuration",
		nil,
		map[string]any{"own": label},
		map[string]any{"deep": map[string]any{"own": label, label: true}},
		map[string]any{"deep": map[string]any{}, "list": []any{label}},
		map[string]any{"deep": label},
		map[string]any{"deep": nil},
	)
	for range one(t, "rules", 0, 1, 1, 2, 1, 2) {
		side := one(t, "side", r.Before, r.After)
		phase := one(t, "phase", append([]string{reference.Access, reference.Access, reference.Access}, reference.Phases...)...)
		target := one(t, "target", slices.Concat(randomPlugins, randomInstances, []string{"nowhere"})...)
		side[phase] = append(side[phase], target)
	}
	return r
}

func drawRequest(t *rapid.T) reference.Request {
	req := reference.Request{
		Route: one(t, "route of the request", "r", "r", "r", "q", "lone", ""),
		Sets:  map[string]reference.Identity{}, Exits: map[string]bool{}, Truth: map[string]reference.Truth{},
	}
	for _, plugin := range []string{"key", "basic"} {
		if !chance(t, plugin+" finds nobody", 4) {
			req.Sets[plugin] = reference.Identity{
				Consumer: one(t, "consumer", "ann", "ann", "bob", ""),
				Groups:   one(t, "groups", nil, nil, nil, []string{"A"}, []string{"B"}, []string{"B", "A"}),
			}
		}
	}
	if chance(t, "exits", 4) {
		req.Exits[one(t, "who exits", randomPlugins...)] = true
	}
	for _, c := range []string{"K", "L", "M"} {
		req.Truth[c] = one(t, "truth",
			reference.True, reference.True, reference.False, reference.False, reference.False, reference.Known, reference.Broken,
		)
	}
	return req
}

// describe writes a case down as a vector without expectations.
func describe(w *reference.World, req *reference.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - name: found by chance\n    spec: \"\"\n")
	if w.Options.PriorityPreserving {
		fmt.Fprintln(&b, "    algorithm: priority_preserving")
	}
	if w.Options.Push {
		fmt.Fprintln(&b, "    mode: push")
	}
	if w.Options.Late != "" {
		fmt.Fprintf(&b, "    late: %s\n", w.Options.Late)
	}
	fmt.Fprintln(&b, "    plugins:")
	for _, name := range slices.Sorted(maps.Keys(w.Plugins)) {
		fmt.Fprintf(&b, "      %s: %d ", name, w.Plugins[name].Priority)
		for _, phase := range w.Plugins[name].Phases {
			b.WriteByte("RAPHBL"[slices.Index(reference.Phases, phase)])
		}
		fmt.Fprintln(&b)
	}
	fmt.Fprintf(&b, "    routes: {r: s, q: s, lone: \"\"}\n    groups: {")
	for i, g := range slices.Sorted(maps.Keys(w.Groups)) {
		fmt.Fprintf(&b, "%s%s: %d", []string{"", ", "}[min(i, 1)], g, w.Groups[g])
	}
	fmt.Fprintf(&b, "}\n    consumers: {")
	for i, c := range slices.Sorted(maps.Keys(w.Consumers)) {
		fmt.Fprintf(&b, "%s%s: [%s]", []string{"", ", "}[min(i, 1)], c, strings.Join(w.Consumers[c], ", "))
	}
	fmt.Fprintf(&b, "}\n    records:\n")
	for _, r := range w.Records {
		fmt.Fprintf(&b, "      %s: \"%s\"\n", r.Label, shortNotation(r))
	}
	fmt.Fprintf(&b, "    config:\n")
	for _, r := range w.Records {
		if r.Config != nil {
			text, _ := json.Marshal(r.Config) // also YAML
			fmt.Fprintf(&b, "      %s: %s\n", r.Label, text)
		}
	}
	if req != nil {
		fmt.Fprintf(&b, "    cases: [{route: \"%s\", sets: {", req.Route)
		for i, plugin := range slices.Sorted(maps.Keys(req.Sets)) {
			id := req.Sets[plugin]
			fmt.Fprintf(&b, "%s%s: {consumer: \"%s\", groups: [%s]}", []string{"", ", "}[min(i, 1)], plugin, id.Consumer, strings.Join(id.Groups, ", "))
		}
		fmt.Fprintf(&b, "}, exits: [%s], truth: {", strings.Join(slices.Sorted(maps.Keys(req.Exits)), ", "))
		for i, c := range slices.Sorted(maps.Keys(req.Truth)) {
			fmt.Fprintf(&b, "%s%s: \"%s\"", []string{"", ", "}[min(i, 1)], c, req.Truth[c])
		}
		fmt.Fprintln(&b, "}}]")
	}
	return b.String()
}

func shortNotation(r *reference.Record) string {
	words := []string{r.Plugin}
	if r.Instance != "" {
		words[0] += "/" + r.Instance
	}
	scopes := slices.DeleteFunc([]string{r.Consumer, r.Group, r.Route, r.Service}, func(s string) bool { return s == "" })
	if len(scopes) > 0 {
		words = append(words, "@"+strings.Join(scopes, ","))
	}
	for _, flag := range []struct {
		on   bool
		word string
	}{{r.Off, "off"}, {r.Disable, "disable"}, {r.Inherit, "inherit"}, {r.Stack, "stack"}} {
		if flag.on {
			words = append(words, flag.word)
		}
	}
	if r.Priority != nil {
		words = append(words, fmt.Sprintf("priority=%d", *r.Priority))
	}
	if r.Condition != "" {
		words = append(words, "if="+r.Condition+map[bool]string{true: ":next"}[r.Next])
	}
	for _, phase := range reference.Phases {
		for i, rules := range []map[string][]string{r.Before, r.After} {
			if len(rules[phase]) > 0 {
				words = append(words, []string{"before", "after"}[i]+"."+phase+"="+strings.Join(rules[phase], ","))
			}
		}
	}
	return strings.Join(words, " ")
}
