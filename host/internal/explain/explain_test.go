package explain

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/condition"
	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// handlers handles access and log.
type handlers struct {
	V int `json:"v"`
}

func (*handlers) Access(*pdk.PDK) error { return nil }
func (*handlers) Log(*pdk.PDK) error    { return nil }

func testPlugins() []pdk.Plugin {
	fresh := func() any { return &handlers{} }
	return []pdk.Plugin{
		{Name: "early", Version: "1", Priority: 3000, New: fresh},
		{Name: "auth", Version: "1", Priority: 2000, Authenticates: true, New: fresh},
		{Name: "late", Version: "1", Priority: 1000, New: fresh},
	}
}

type noServers struct{}

func (noServers) Manifests() []entity.Manifest    { return nil }
func (noServers) Pending() map[string]string      { return nil }
func (noServers) Remote(string) plan.Remote       { return nil }
func (noServers) Policy(string) generation.Policy { return generation.Policy{} }
func (noServers) Release(string, ...uint64)       {}
func (noServers) Configure(context.Context, string, uint64, string, *entity.Plugin, []byte) error {
	return nil
}

// generationOf builds the entities of a text.
func generationOf(t testing.TB, text string) *generation.Generation {
	t.Helper()
	b, err := generation.NewBuilder(testPlugins(), noServers{})
	if err != nil {
		t.Fatal(err)
	}
	b.Condition = func(text string) (plan.Condition, error) { return condition.Compile(text) }
	set, err := config.Parse("gateway.yaml", []byte("_format_version: \"3.0\"\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := b.Catalog(set)
	if err != nil {
		t.Fatal(err)
	}
	b.Merge(set)
	if err := config.ResolvePlugins(set, catalog, nil); err != nil {
		t.Fatal(err)
	}
	g, err := b.Build(t.Context(), set, catalog)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Discard)
	return g
}

func explained(t *testing.T, g *generation.Generation, q Query) *Report {
	t.Helper()
	r, err := Explain(g, q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// chain lists the steps of access as "plugin@scope", with what is special about them behind.
func chain(r *Report) string {
	var words []string
	for _, p := range r.Plugins.Phases {
		for _, st := range p.Steps {
			if p.Phase != "access" {
				continue
			}
			word := st.Plugin + "@" + st.Scope
			if !st.Runs {
				word += "!"
			}
			if st.ConditionError != "" {
				word += "!"
			}
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

func outcome(r *Report, name string) string {
	i := slices.IndexFunc(r.Plugins.Choices, func(c Choice) bool { return c.Name == name })
	if i < 0 {
		return ""
	}
	return r.Plugins.Choices[i].Outcome
}

func TestRoutes(t *testing.T) {
	g := generationOf(t, `
services: [{name: s, url: "http://h", routes: [{name: re, paths: ['~/items/(?<id>\d+)/(\w+)']}, {name: p, paths: [/port], hosts: ["a.b:81"]}]}]
routes: [{name: alone, paths: [/alone], headers: {X-A: [one]}}, {name: tls, snis: [x.y], paths: [/tls]}]
`)
	r := explained(t, g, Query{URL: "http://h/items/7/name?x=1"})
	if r.Route == nil || r.Route.Name != "re" || r.Route.Captures["1"] != "7" || r.Route.Captures["2"] != "name" || r.Route.Captures["id"] != "7" || r.Route.MatchedPath != "/items/7/name" {
		t.Errorf("route %+v", r.Route)
	}
	for _, c := range []struct {
		q    Query
		want string
	}{
		{Query{URL: "/%2e/alone/", Headers: []string{"x-a: ONE"}}, "alone"},
		{Query{URL: "http://A.B:81/port"}, "p"},
		{Query{URL: "http://a.b/port"}, ""},
		{Query{URL: "http://a.b/port", ListenPort: 81}, "p"},
		{Query{URL: "http://other/port", Headers: []string{"Host: a.b:81"}}, "p"},
		{Query{URL: "https://x.y/tls"}, "tls"},
		{Query{URL: "http://x.y/tls"}, "tls"},
		{Query{URL: "https://x.z/tls"}, ""},
		{Query{URL: "http://x.z/tls", SNI: "X.Y"}, "tls"},
	} {
		r := explained(t, g, c.q)
		found := ""
		if r.Route != nil {
			found = r.Route.Name
		}
		if found != c.want {
			t.Errorf("%+v: found route %q, expected %q", c.q, found, c.want)
		}
	}
	var text bytes.Buffer
	if err := explained(t, g, Query{URL: "/none"}).Text(&text); err != nil || !strings.Contains(text.String(), "route: none matches (404)") || strings.Contains(text.String(), "access") {
		t.Errorf("%v\n%s", err, text.String())
	}
}

func TestPlugins(t *testing.T) {
	const people = `
consumer_groups: [{name: gold}, {name: silver}]
consumers: [{username: ann, groups: [{name: gold}]}, {username: bob}]
routes: [{name: r, paths: [/]}]
`
	for _, c := range []struct {
		name, plugins string
		q             Query
		want          string
		late          string // outcome of the plugin late
	}{
		{"nobody", "{name: auth}, {name: late}, {name: late, consumer: ann}", Query{}, "auth@global late@global", "runs"},
		{"a consumer", "{name: auth}, {name: late}, {name: late, consumer: ann}", Query{Consumer: "ann"}, "auth@global late@consumer ann", "runs"},
		{"nobody authenticates", "{name: late}, {name: late, consumer: ann}", Query{Consumer: "ann"}, "late@global", "runs"},
		{"the consumer's group", "{name: auth}, {name: late, consumer_group: gold}", Query{Consumer: "ann"}, "auth@global late@consumer_group gold", "runs"},
		{"a group that a plugin sets", "{name: auth}, {name: late, consumer_group: gold}, {name: late, consumer_group: silver}", Query{Consumer: "ann", Groups: []string{"silver"}}, "auth@global late@consumer_group silver", "runs"},
		{"switched off", "{name: auth}, {name: late}, {name: late, consumer: ann, mode: disable}", Query{Consumer: "ann"}, "auth@global", "disabled"},
		{"no record", "{name: auth}, {name: late, consumer: ann}", Query{Consumer: "bob"}, "auth@global", "none"},
		{"a condition before authentication", `{name: early, condition: 'default(consumer.username, "") == "ann"'}, {name: auth}`, Query{Consumer: "ann"}, "early@global! auth@global", ""},
		{"a condition after authentication", `{name: auth}, {name: late, condition: 'consumer.username == "ann"'}`, Query{Consumer: "ann"}, "auth@global late@global", "conditional"},
		{"the next record", `{name: late}, {name: late, route: r, condition: http.method == "PUT", on_false: next}`, Query{}, "late@route r! late@global", "conditional"},
		{"the first record", `{name: late}, {name: late, route: r, condition: http.method == "PUT", on_false: next}`, Query{Method: "PUT"}, "late@route r late@global!", "conditional"},
		{"a condition that fails", `{name: late, route: r, condition: 'consumer.username.startsWith("a")', on_false: next}, {name: late}`, Query{}, "late@route r!! late@global!!", "conditional"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := explained(t, generationOf(t, people+"plugins: ["+c.plugins+"]\n"), c.q)
			if found := chain(r); found != c.want || outcome(r, "late") != c.late {
				t.Errorf("found %q, late %q; expected %q, %q", found, outcome(r, "late"), c.want, c.late)
			}
			var text bytes.Buffer
			if err := r.Text(&text); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	const base = `
consumer_groups: [{name: gold}, {name: silver}]
routes: [{name: r, paths: [/]}, {name: other, paths: [/o]}]
`
	const people = "consumers: [{username: ann, groups: [{name: gold}]}, {username: bob}, {username: eve, groups: [{name: gold}]}]\n"
	for _, c := range []struct {
		name          string
		before, after string // plugins, and more behind them
		want          []string
	}{
		{"nothing", "[{name: auth}, {name: late}]", "[{name: late}, {name: auth}]", nil},
		{"a plugin comes", "[{name: auth}]", "[{name: auth}, {name: late, route: r}]", []string{"[r] [nobody] access:  auth@global +late@route r", "[r] [nobody] log:  auth@global +late@route r"}},
		{"a plugin goes", "[{name: late}]", "[]", []string{"[ r other] [nobody] log: -late@global", "[r other] [nobody] access: -late@global"}},
		{"a record for a consumer", "[{name: auth}, {name: late}]", "[{name: auth}, {name: late}, {name: late, consumer: bob, config: {v: 2}}]", []string{
			"[r other] [consumer bob] access:  auth@global -late@global +late@consumer bob", "[r other] [consumer bob] log:  auth@global -late@global +late@consumer bob",
		}},
		{"a record for a group", "[{name: auth}]", "[{name: auth}, {name: late, consumer_group: gold}]", []string{
			"[r other] [groups gold] access:  auth@global +late@consumer_group gold", "[r other] [groups gold] log:  auth@global +late@consumer_group gold",
		}},
		{"another configuration", "[{name: late}]", "[{name: late, config: {v: 2}}]", []string{"[ r other] [nobody] log: ~late@global", "[r other] [nobody] access: ~late@global"}},
		{"a condition", "[{name: late, route: r}]", `[{name: late, route: r, condition: http.method == "GET"}]`, []string{"[r] [nobody] access: ~late@route r", "[r] [nobody] log: ~late@route r"}},
		{"another order of one phase", "[{name: early}, {name: late}]", "[{name: early}, {name: late, ordering: {before: {access: [early]}}}]", []string{"[r other] [nobody] access: -early@global  late@global +early@global"}},
		{"a plugin is switched off for a consumer", "[{name: auth}, {name: late}]", "[{name: auth}, {name: late}, {name: late, consumer: ann, mode: disable}]", []string{
			"[r other] [consumer ann] access:  auth@global -late@global", "[r other] [consumer ann] log:  auth@global -late@global",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := compared(t, generationOf(t, base+people+"plugins: "+c.before+"\n"), generationOf(t, base+people+"plugins: "+c.after+"\n"))
			if found := changes(d); !slices.Equal(found, c.want) || d.Differs != (len(c.want) > 0) {
				t.Errorf("found differs %v\n  %s\nexpected\n  %s", d.Differs, strings.Join(found, "\n  "), strings.Join(c.want, "\n  "))
			}
			var text bytes.Buffer
			if err := d.Text(&text); err != nil || (text.String() == "no chain changes\n") == d.Differs {
				t.Errorf("%v, %q", err, text.String())
			}
		})
	}
}

// compared compares two generations, and finds nothing else when it looks everywhere.
func compared(t *testing.T, before, after *generation.Generation) *Diff {
	t.Helper()
	d, err := Compare(t.Context(), before, after)
	if err != nil {
		t.Fatal(err)
	}
	everywhere, err := compare(t.Context(), before, after, edits{all: true})
	if err != nil || !slices.Equal(changes(d), changes(everywhere)) {
		t.Errorf("found %q, and when it looks everywhere %q, %v", changes(d), changes(everywhere), err)
	}
	return d
}

// A comparison that is interrupted ends.
func TestCompareInterrupted(t *testing.T) {
	g := generationOf(t, "routes: [{name: r, paths: [/]}]\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Compare(ctx, g, g); !errors.Is(err, context.Canceled) {
		t.Errorf("found %v", err)
	}
}

// changes writes each change in one line, sorted.
func changes(d *Diff) []string {
	marks := map[string]string{Same: " ", Added: "+", Removed: "-", Changed: "~"}
	var lines []string
	for _, c := range d.Changes {
		line := "[" + strings.Join(c.Routes, " ") + "] [" + strings.Join(c.Who, " ") + "] " + c.Phase + ":"
		for _, l := range c.Chain {
			line += " " + marks[l.Change] + l.Plugin + "@" + l.Scope
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// Routes come and go, and a consumer that changes its groups gets other plugins.
func TestCompareRoutesAndConsumers(t *testing.T) {
	const plugins = "plugins: [{name: auth}, {name: late, consumer_group: gold}]\nconsumer_groups: [{name: gold}]\n"
	before := generationOf(t, plugins+"routes: [{name: r, paths: [/]}, {name: old, paths: [/o]}]\nconsumers: [{username: ann, groups: [{name: gold}]}, {username: gone, groups: [{name: gold}]}]\n")
	after := generationOf(t, plugins+"routes: [{name: r, paths: [/]}, {name: new, paths: [/n]}]\nconsumers: [{username: ann}]\n")
	d := compared(t, before, after)
	want := []string{
		"[r] [consumer ann consumer gone] access:  auth@global -late@consumer_group gold",
		"[r] [consumer ann consumer gone] log:  auth@global -late@consumer_group gold",
	}
	if !slices.Equal(d.RoutesAdded, []string{"new"}) || !slices.Equal(d.RoutesRemoved, []string{"old"}) || !slices.Equal(changes(d), want) {
		t.Errorf("added %q, removed %q\n%s", d.RoutesAdded, d.RoutesRemoved, strings.Join(changes(d), "\n"))
	}
	var text bytes.Buffer
	if err := d.Text(&text); err != nil || !strings.HasPrefix(text.String(), "+ route new\n- route old\n\nroute r, access, for consumer ann; consumer gone\n") {
		t.Errorf("%v\n%s", err, text.String())
	}
}

// Requests that do not come to access meet the plugins for all requests only, and those not in access.
func TestWithoutAccess(t *testing.T) {
	g := generationOf(t, `
routes:
- {name: r, paths: [/r], protocols: [https], https_redirect_status_code: 301, plugins: [{name: late}]}
plugins: [{name: early}]
`)
	for _, c := range []struct {
		url, route   string
		answer       int
		access, logs []string
	}{
		{"https://a/r", "r", 0, []string{"early", "late"}, []string{"early", "late"}},
		{"http://a/r", "r", 301, nil, []string{"early"}},
		{"http://a/elsewhere", "", 0, nil, []string{"early"}},
	} {
		r := explained(t, g, Query{URL: c.url})
		if (r.Route == nil) != (c.route == "") || r.Route != nil && (r.Route.Name != c.route || r.Route.Answer != c.answer) {
			t.Errorf("%s: route %+v", c.url, r.Route)
		}
		for _, p := range r.Plugins.Phases {
			var found []string
			for _, st := range p.Steps {
				found = append(found, st.Plugin)
			}
			if p.Phase == "access" && !slices.Equal(found, c.access) || p.Phase == "log" && !slices.Equal(found, c.logs) {
				t.Errorf("%s: %s of %v", c.url, p.Phase, found)
			}
		}
	}
}
