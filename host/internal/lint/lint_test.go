package lint_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/lint"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/router"
	"github.com/outrigger-gateway/outrigger/host/internal/vault"
	"github.com/outrigger-gateway/outrigger/plugins"
)

var update = flag.Bool("update", false, "write what lint finds into the files of testdata, and the guide")

// separator stands between a document and what is found in it.
const separator = "#---- expected:\n"

// server is a plugin server with a few plugins; when it is asleep only their names are known. Beside it stand the options of the router.
type server struct {
	asleep bool
	router router.Options
}

func (s server) Manifests() []entity.Manifest {
	if s.asleep {
		return nil
	}
	open := `{"type":"object"}`
	return []entity.Manifest{
		{Name: "login", Priority: 1300, Phases: []string{"access"}, Schema: []byte(open), Server: "py", Authenticates: true},
		{Name: "limiter", Priority: 910, Phases: []string{"access"}, Schema: []byte(open), Server: "py"},
		{Name: "trace", Priority: 100_000, Phases: []string{"access", "log"}, Schema: []byte(open), Server: "py"},
		{Name: "logger", Priority: 12, Phases: []string{"log"}, Schema: []byte(open), Server: "py"},
		{Name: "store", Priority: 5, Phases: []string{"access"}, Server: "py", Schema: []byte(`{"type":"object","properties":{
			"password":{"type":"string","x-secret":true,"x-referenceable":true},"user":{"type":"string","x-referenceable":true},
			"token":{"type":"string","x-secret":true,"x-referenceable":true,"default":"none"},
			"keys":{"type":"array","items":{"type":"string","x-secret":true,"x-referenceable":true}}}}`)},
	}
}

func (s server) Pending() map[string]string {
	if s.asleep {
		return map[string]string{"py": "not asked"}
	}
	return nil
}

func (server) Remote(string) plan.Remote       { return nil }
func (server) Policy(string) generation.Policy { return generation.Policy{} }
func (server) Release(string, ...uint64)       {}

func (server) Configure(context.Context, string, uint64, string, *entity.Plugin, []byte) error {
	return nil
}

// find lints a document.
func find(t *testing.T, name, document string, s server) []lint.Finding {
	t.Helper()
	set, places, err := config.ParsePlaces(name, []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	b, err := generation.NewBuilder(plugins.All(), s)
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := b.Catalog(set)
	if err != nil {
		t.Fatal(err)
	}
	b.Router = s.router
	v := vault.New([]string{"PASSWORD=p", "FIRST_KEY=k"})
	own := set.WithOwnPlugins()
	b.Merge(own)
	if err := config.ResolvePlugins(own, catalog, v); err != nil {
		t.Fatal(err)
	}
	g, err := b.Build(context.Background(), own, catalog)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Discard()
	return lint.Lint(lint.Input{
		Written: set, Places: places, Set: g.Set, Catalog: catalog, Unknown: generation.Unknown(catalog), Vault: v, Router: g.Router, Plans: g.Plans,
	})
}

// golden compares what is found in the document of a file with what stands behind it, and returns the findings.
func golden(t *testing.T, file string, write func(*lint.Report, *bytes.Buffer) error) []lint.Finding {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	document, want, ok := strings.Cut(string(data), separator)
	if !ok {
		t.Fatalf("%s has no line %q", file, strings.TrimSpace(separator))
	}
	found := find(t, "gateway.yaml", document, server{})
	var got bytes.Buffer
	if err := write(lint.NewReport(found), &got); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, []byte(document+separator+got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if got.String() != want {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got.String(), want)
	}
	return found
}

func text(r *lint.Report, b *bytes.Buffer) error { return r.Text(b) }

// TestCodes has, for each code, a document with such findings only, and one without any.
func TestCodes(t *testing.T) {
	for _, c := range lint.Codes() {
		t.Run(c.Code, func(t *testing.T) {
			found := golden(t, filepath.Join("testdata", "codes", c.Code+".yaml"), text)
			if len(found) == 0 {
				t.Error("nothing was found")
			}
			for _, f := range found {
				if f.Code != c.Code || f.Severity != c.Severity || f.Line == 0 || f.Column == 0 || f.Path == "" || f.Found == "" || f.Why == "" || f.Fix == "" {
					t.Errorf("finding %+v", f)
				}
			}
			if found := golden(t, filepath.Join("testdata", "codes", c.Code+".not.yaml"), text); len(found) > 0 {
				t.Errorf("found %+v", found)
			}
		})
	}
	files, err := filepath.Glob("testdata/codes/*")
	if err != nil || len(files) != 2*len(lint.Codes()) {
		t.Errorf("%d files for %d codes: %v", len(files), len(lint.Codes()), err)
	}
}

// TestReports holds both forms of a report with several findings to what they are: programs read one of them.
func TestReports(t *testing.T) {
	golden(t, "testdata/report.yaml", text)
	golden(t, "testdata/report-json.yaml", func(r *lint.Report, b *bytes.Buffer) error { return r.JSON(b) })
}

func TestFails(t *testing.T) {
	warning, wrong := lint.Finding{Severity: lint.Warning}, lint.Finding{Severity: lint.Error}
	for _, c := range []struct {
		findings      []lint.Finding
		plain, strict bool
	}{
		{nil, false, false},
		{[]lint.Finding{warning}, false, true},
		{[]lint.Finding{warning, wrong}, true, true},
	} {
		if r := lint.NewReport(c.findings); r.Fails(false) != c.plain || r.Fails(true) != c.strict {
			t.Errorf("%+v: fails %t, strictly %t", c.findings, r.Fails(false), r.Fails(true))
		}
	}
}

// TestUnknownPlugins finds nothing that rests on what a plugin is of which only the name is known.
func TestUnknownPlugins(t *testing.T) {
	for code, rests := range map[string]bool{
		"before_authentication": true, "consumer_never_known": true, "consumer_without_credentials": false, "authentication_fails_open": true,
		"plain_secret": true, "unread_reference": false, "route_without_service": false, "record_shadowed": false, "dangling_name": false, "falls_through": false,
	} {
		data, err := os.ReadFile(filepath.Join("testdata", "codes", code+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		document, _, _ := strings.Cut(string(data), separator)
		if code == "route_without_service" { // which a plugin might answer that is not known
			document = strings.ReplaceAll(document, "logger", "response-transformer")
		}
		var codes []string
		for _, f := range find(t, code, document, server{asleep: true}) {
			codes = append(codes, f.Code)
		}
		if rests && len(codes) > 0 || !rests && !slices.Contains(codes, code) {
			t.Errorf("%s: found %v", code, codes)
		}
	}
}

// TestNothingInNothing lints a gateway without entities.
func TestNothingInNothing(t *testing.T) {
	if found := find(t, "gateway.yaml", "", server{}); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
}

// TestRouterOptions lints under options of the router: what they change is not warned of, and their rule for ties is named.
func TestRouterOptions(t *testing.T) {
	const document = "_format_version: \"3.0\"\nservices: [{name: s, url: \"http://h.test\", routes: [" +
		"{name: r, protocols: [http], paths: [/], methods: [GET, PUT], path_handling: v1}, {name: q, protocols: [http], paths: [/], methods: [GET, POST]}]}]\n"
	codes := func(o router.Options) (all []string, tie string) {
		for _, f := range find(t, "gateway.yaml", document, server{router: o}) {
			all = append(all, f.Code)
			if f.Code == lint.CodeRouteTie {
				tie = f.Found
			}
		}
		slices.Sort(all)
		return all, tie
	}
	if all, _ := codes(router.Options{}); !slices.Equal(all, []string{"path_handling_idle", "route_http_only", "route_http_only", "route_tie"}) {
		t.Errorf("found %q", all)
	}
	if all, _ := codes(router.Options{Flavor: router.Traditional}); !slices.Equal(all, []string{"route_http_only", "route_http_only", "route_tie"}) {
		t.Errorf("in the flavour traditional: found %q", all)
	}
	all, tie := codes(router.Options{StrictProtocols: true, TieBreak: router.TieKong})
	if !slices.Equal(all, []string{"path_handling_idle", "route_tie"}) || !strings.HasSuffix(tie, "as its UUID is larger") {
		t.Errorf("with strict_protocols and the rule of Kong: found %q, %q", all, tie)
	}
}

// TestExpressions tells of comparisons that no request makes true, and of the value that was meant.
func TestExpressions(t *testing.T) {
	found := find(t, "gateway.yaml", `
_format_version: "3.0"
services: [{name: s, url: "http://h.test"}]
routes:
- {name: good, service: s, expression: 'http.host == "a.test" && http.method == "GET"'}
- {name: bad, service: s, expression: 'http.host == "A.test" || http.path ^= "/b"'}
`, server{router: router.Options{Flavor: router.Expressions}})
	if len(found) != 1 || found[0].Code != lint.CodeNeverTrue || found[0].Line != 6 || found[0].Path != "routes[1].expression" || found[0].Fix != `write "a.test"` {
		t.Errorf("found %+v", found)
	}
}

// TestMergedRecords looks at a record that is merged over several others once, and at what the merged configurations say.
func TestMergedRecords(t *testing.T) {
	found := find(t, "gateway.yaml", `
_format_version: "3.0"
services:
- {name: a, url: http://h.test, routes: [{name: a, paths: [/a]}], plugins: [{name: key-auth, inherit: true, config: {anonymous: nobody}}]}
- {name: b, url: http://h.test, routes: [{name: b, paths: [/b], plugins: [{name: key-auth, inherit: true, config: {key_names: [k]}}]}]}
plugins: [{name: key-auth, config: {anonymous: guest}}]
consumers: [{username: guest, keyauth_credentials: [{key: k}]}]
`, server{})
	if len(found) != 1 || found[0].Code != lint.CodeMissingConsumer || found[0].Line != 4 || !strings.Contains(found[0].Fix, "add the consumer") {
		t.Errorf("found %+v", found)
	}
}

// TestSameEveryTime lints a configuration in which several plugins could be named, and expects the same text each time.
func TestSameEveryTime(t *testing.T) {
	document := `
_format_version: "3.0"
services:
- {name: a, url: http://h.test, routes: [{name: a, paths: [/a]}], plugins: [{name: login}]}
- {name: b, url: http://h.test, routes: [{name: b, paths: [/b]}], plugins: [{name: key-auth}]}
- {name: c, url: http://h.test, routes: [{name: c, paths: [/c]}], plugins: [{name: key-auth}, {name: login}]}
consumers: [{username: ann, keyauth_credentials: [{key: k}]}]
plugins: [{name: trace, consumer: ann}, {name: trace}]
`
	first := find(t, "gateway.yaml", document, server{})
	if len(first) != 1 || first[0].Code != "consumer_never_known" {
		t.Fatalf("found %+v", first)
	}
	for range 20 {
		if again := find(t, "gateway.yaml", document, server{}); !slices.Equal(again, first) {
			t.Fatalf("found %+v, then %+v", first, again)
		}
	}
}

// TestManyRoutes lints a configuration of 10,000 routes, 2,000 plugin records and 1,000 consumers.
func TestManyRoutes(t *testing.T) {
	var b strings.Builder
	b.WriteString("_format_version: \"3.0\"\nservices:\n- name: s\n  url: http://h.test\n  routes:\n")
	for i := range 10_000 {
		fmt.Fprintf(&b, "  - {name: r%d, hosts: [h%d.test], paths: [/api/%d], created_at: 1}\n", i, i%100, i)
	}
	b.WriteString("  - {name: twin, hosts: [h5.test], paths: [/api/5], created_at: 2}\nconsumers:\n")
	for i := range 1_000 {
		fmt.Fprintf(&b, "- {username: c%d}\n", i)
	}
	b.WriteString("plugins:\n- {name: login}\n")
	for i := range 1_000 {
		fmt.Fprintf(&b, "- {name: limiter, consumer: c%d}\n- {name: logger, route: r%d}\n", i, i*7)
	}
	found := find(t, "gateway.yaml", b.String(), server{})
	if len(found) != 1 || found[0].Code != lint.CodeRouteUnreachable || !strings.Contains(found[0].Found, `"twin"`) {
		t.Errorf("found %d: %+v", len(found), found[:min(3, len(found))])
	}
}

// TestGuide holds the table of codes in the guide to the codes.
func TestGuide(t *testing.T) {
	const page, from, to = "../../../docs/guides/lint.md", "<!-- codes: written by \"go test ./host/internal/lint -run Guide -update\" -->\n", "<!-- end of codes -->\n"
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), from)
	table, after, ends := strings.Cut(rest, to)
	if !ok || !ends {
		t.Fatalf("%s does not have the lines around the table", page)
	}
	var want strings.Builder
	want.WriteString("\n| Code | Severity | It finds | Why it matters | What to do |\n|---|---|---|---|---|\n")
	for _, c := range lint.Codes() {
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s | %s |\n", c.Code, c.Severity, c.Title, c.Why, c.Fix)
	}
	want.WriteString("\n")
	if *update {
		if err := os.WriteFile(page, []byte(before+from+want.String()+to+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if table != want.String() {
		t.Errorf("the table of codes in %s is not what the codes are: run this test with -update", page)
	}
}
