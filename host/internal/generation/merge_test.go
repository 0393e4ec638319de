package generation

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
)

// family is a document whose records inherit from each other.
const family = `
services:
- {name: s, url: "http://h", routes: [{name: r, paths: [/r]}, {name: q, paths: [/q]}]}
- {name: t, url: "http://h", routes: [{name: z, paths: [/z]}]}
consumers: [{username: ann, groups: [gold]}, {username: bob}]
consumer_groups: [{name: gold}]
plugins:
- {name: limit, config: {v: 1, redis: {host: db, tls: {verify: true}}, days: [1, 2]}}
- {name: limit, service: s, inherit: true, config: {redis: {host: other}}}
- {name: limit, route: r, inherit: true, config: {v: 2, redis: {tls: {verify: false}}}}
- {name: limit, consumer: ann, inherit: true, config: {v: 5, redis: null}}
- {name: limit, consumer_group: gold, mode: disable}
- {name: limit, consumer: bob, inherit: true, config: {v: 9}}
`

func familyBuilder(t *testing.T, s *fakeServers) *Builder {
	m := manifest("limit", false)
	m.Schema = []byte(`{"type": "object", "required": ["v"], "additionalProperties": false, "properties": {"v": {"type": "integer"}, "days": {"type": "array"},
		"redis": {"type": ["object", "null"], "properties": {"host": {"type": "string"}, "port": {"type": "integer", "default": 6379}, "tls": {"type": "object"}}}}}`)
	s.manifests = []entity.Manifest{m}
	return newTestBuilder(t, s)
}

// A record that inherits gets its configuration from the records that the lookup meets next, merged before defaults and checks; a record that
// switches the plugin off ends the chain.
func TestConfigurationsAreMerged(t *testing.T) {
	s := &fakeServers{}
	g, err := buildDocument(familyBuilder(t, s), family)
	if err != nil {
		t.Fatal(err)
	}
	route := map[string]*entity.Route{}
	for _, r := range g.Set.Routes {
		route[r.Name] = r
	}
	consumer := map[string]*entity.Consumer{}
	for _, c := range g.Set.Consumers {
		consumer[c.Username] = c
	}
	for _, c := range []struct{ route, consumer, config, origins string }{
		{"z", "", `{"days":[1,2],"redis":{"host":"db","port":6379,"tls":{"verify":true}},"v":1}`, ""},
		{"q", "", `{"days":[1,2],"redis":{"host":"other","port":6379,"tls":{"verify":true}},"v":1}`, "days=global redis.host=service s redis.tls.verify=global v=global"},
		{"r", "", `{"days":[1,2],"redis":{"host":"other","port":6379,"tls":{"verify":false}},"v":2}`, "days=global redis.host=service s redis.tls.verify=route r v=route r"},
		{"z", "bob", `{"days":[1,2],"redis":{"host":"db","port":6379,"tls":{"verify":true}},"v":9}`, "days=global redis.host=global redis.tls.verify=global v=consumer bob"},
		{"z", "ann", `{"redis":null,"v":5}`, ""},
		{"r", "bob", `{"days":[1,2],"redis":{"host":"other","port":6379,"tls":{"verify":false}},"v":9}`, "days=global redis.host=service s redis.tls.verify=route r v=consumer bob"},
	} {
		steps := g.Plans.For(route[c.route], false, consumer[c.consumer]).Steps()
		if len(steps) != 1 {
			t.Fatalf("route %s, consumer %q: %d steps", c.route, c.consumer, len(steps))
		}
		in := steps[0].Instance
		text, err := json.Marshal(in.Record.Effective())
		if err != nil {
			t.Fatal(err)
		}
		var origins []string
		for _, path := range slices.Sorted(maps.Keys(in.Record.Origins)) {
			origins = append(origins, path+"="+in.Record.Origins[path].Scope())
		}
		if string(text) != c.config || strings.Join(origins, " ") != c.origins || in.Unavailable != "" {
			t.Errorf("route %s, consumer %q: %s from %v, want %s from %s", c.route, c.consumer, text, origins, c.config, c.origins)
		}
	}
	if len(s.live) != len(g.instances) {
		t.Errorf("%d instances are configured for %d of the generation", len(s.live), len(g.instances))
	}
	g.Discard()
	if len(s.live) != 0 {
		t.Errorf("instances %v stay", s.live)
	}
}

// What is wrong with a merged configuration is said where the value stands, whosever it is. Ann's record has nothing to inherit from: the one of
// her group switches the plugin off.
func TestMistakesInMergedConfigurations(t *testing.T) {
	_, err := buildDocument(familyBuilder(t, &fakeServers{}), family)
	if err != nil {
		t.Fatal(err)
	}
	_, err = buildDocument(familyBuilder(t, &fakeServers{}), strings.Replace(family, "host: other", "host: 7", 1))
	if err == nil || !strings.Contains(err.Error(), "gateway.yaml:10:") || !strings.Contains(err.Error(), "redis.host: found 7") {
		t.Errorf("%v", err)
	}
}

// A clone is a plugin of its own name and priority with the code of another.
func TestClones(t *testing.T) {
	s := &fakeServers{manifests: []entity.Manifest{manifest("a", false), manifest("b", false)}}
	b := newTestBuilder(t, s)
	g, err := buildDocument(b, "cloned_plugins: [{name: early, ref: a, priority: 99}, {name: same, ref: a}]\nplugins: [{name: a}, {name: early, config: {v: 7}}, {name: same}, {name: b}]\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, st := range g.Plans.ForRoute(nil, false).Steps() {
		got = append(got, st.Instance.Record.Name+" by "+s.code[st.Instance.ID])
	}
	if want := "early by a, same by a, b by b, a by a"; strings.Join(got, ", ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	if _, err := buildDocument(b, "cloned_plugins: [{name: early, ref: missing}]\nplugins: [{name: early}]\n"); err == nil || !strings.Contains(err.Error(), "cloned_plugins[0].ref") {
		t.Errorf("an unknown plugin: %v", err)
	}
}

// An instance stays what it is when only its place in the order changes; the plans see the record as it is now.
func TestInstancesKeepTheirStateWhenTheyMove(t *testing.T) {
	s := &fakeServers{manifests: []entity.Manifest{manifest("a", false), manifest("b", false)}}
	b := newTestBuilder(t, s)
	order := func(g *Generation) (names []string, ids map[string]uint64) {
		ids = map[string]uint64{}
		for _, st := range g.Plans.ForRoute(nil, false).Steps() {
			names = append(names, st.Record().Name)
			ids[st.Record().Name] = st.Instance.ID
		}
		return names, ids
	}
	first := mustBuild(t, b, "{name: a}, {name: b}")
	second := mustBuild(t, b, "{name: a, ordering: {before: {access: [b]}}}, {name: b}")
	third := mustBuild(t, b, "\n{name: a, priority: 11}, {name: b}")
	before, ids := order(first)
	for _, g := range []*Generation{second, third} {
		names, now := order(g)
		if slices.Equal(names, before) || !maps.Equal(ids, now) {
			t.Errorf("%v with ids %v, then %v with ids %v", before, ids, names, now)
		}
	}
	in := third.Plans.ForRoute(nil, false).Steps()[0].Instance
	if in.Record.Pos.Line != 4 {
		t.Errorf("the record is that of an old configuration: %v", in.Record.Pos)
	}
	open := first.Plans.ForRoute(nil, false).Steps()[1].Instance
	open.FailOpen, in.FailOpen = true, true
	if open.CloseForGood(); in.FailsOpen() {
		t.Error("an instance that has failed closed is open again in another generation")
	}
	first.Discard()
	second.Discard()
	if third.Discard(); len(s.live) != 0 {
		t.Errorf("instances %v stay", s.live)
	}
}

// Conditions are compiled for the generation, and refused where they stand.
func TestConditionsAreCompiled(t *testing.T) {
	b := newTestBuilder(t, &fakeServers{manifests: []entity.Manifest{manifest("a", false)}})
	const record = "{name: a, condition: never}"
	if _, err := build(b, record); err == nil || !strings.Contains(err.Error(), "config gateway.yaml:3:32: plugins[0].condition: found a condition") {
		t.Errorf("without a compiler: %v", err)
	}
	b.Condition = func(text string) (plan.Condition, error) {
		return nil, errors.New("found " + text + ", expected something else")
	}
	if _, err := build(b, record); err == nil || !strings.Contains(err.Error(), "config gateway.yaml:3:32: plugins[0].condition: found never, expected something else") {
		t.Errorf("refused: %v", err)
	}
	b.Condition = func(text string) (plan.Condition, error) { return never{}, nil }
	if st := mustBuild(t, b, record).Plans.ForRoute(nil, false).Steps()[0]; st.Condition != plan.Condition(never{}) || !st.Conditional() {
		t.Errorf("compiled: %+v", st)
	}
}

type never struct{}

func (never) Eval(plan.ConditionFacts) (bool, error) { return false, nil }

// Rules that go round refuse the configuration, and nothing of it stays.
func TestCyclesAreRefused(t *testing.T) {
	s := &fakeServers{manifests: []entity.Manifest{manifest("a", false), manifest("b", false)}}
	_, err := build(newTestBuilder(t, s), "{name: a, ordering: {before: {access: [b]}}}, {name: b, route: r, ordering: {before: {access: [a]}}}")
	var cycle *plan.CycleError
	if !errors.As(err, &cycle) || cycle.Route.Name != "r" || len(cycle.Records()) != 2 || len(s.live) != 0 {
		t.Errorf("%v; instances %v", err, s.live)
	}
}
