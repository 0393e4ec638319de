package dialect

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

var update = flag.Bool("update", false, "write what the code answers into the files of testdata")

// separator stands between a document and what is expected of it.
const separator = "#---- expected:\n"

// golden runs answer on the document of every file of a directory.
func golden(t *testing.T, dir string, answer func(t *testing.T, name string, document []byte) string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			document, want, _ := strings.Cut(string(data), separator)
			got := answer(t, filepath.Base(file), []byte(document))
			if *update {
				if err := os.WriteFile(file, []byte(document+separator+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestFormat(t *testing.T) {
	golden(t, "format", func(t *testing.T, name string, document []byte) string {
		out, err := Format(name, document)
		if err != nil {
			return "error: " + err.Error() + "\n"
		}
		again, err := Format(name, out)
		if err != nil || string(again) != string(out) {
			t.Errorf("formatted twice: %v\n%s", err, again)
		}
		return string(out)
	})
}

// environment is what the documents of the tests take their values from.
var environment = []string{
	"ORDERS_URL=http://orders.example", "P=8080", "H=h.example", "PASSWORD=s3cret",
	"DECK_PORT=81", "DECK_TAG=env", "DECK_TEXT=a: [\"b", "DECK_PASSWORD=open sesame",
}

func parsed(t *testing.T, name string, data []byte) *entity.Set {
	t.Helper()
	set, _, err := config.Source{Name: name, Data: data, Env: environment}.Parse()
	if err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	return set
}

// facts are what a set says, without ids that only the place of an entity gives, in no order.
func facts(set *entity.Set) map[string]int {
	facts := map[string]int{}
	add := func(format string, args ...any) { facts[fmt.Sprintf(format, args...)]++ }
	for _, s := range set.Services {
		add("service %s %s %s://%s:%d%s %d %d %q", s.ID, s.Name, s.Protocol, s.Host, s.Port, s.Path, s.Retries, s.ConnectTimeout, s.Tags)
	}
	for _, r := range set.Routes {
		service := ""
		if r.Service != nil {
			service = r.Service.ID
		}
		add("route %s %s %s %q %q %t %t", r.ID, r.Name, service, r.Paths, r.Tags, r.StripPath, r.PreserveHost)
	}
	for _, c := range set.Consumers {
		var groups []string
		for _, g := range c.Groups {
			groups = append(groups, g.Name)
		}
		add("consumer %s %s %q", c.ID, c.Username, groups)
	}
	for _, g := range set.ConsumerGroups {
		add("group %s %s", g.ID, g.Name)
	}
	for _, k := range set.KeyAuths {
		add("key %s %s %s", k.ID, k.Key, k.Consumer.ID)
	}
	for _, c := range set.BasicAuths {
		add("basic %s %s %s %s", c.ID, c.Username, c.Password, c.Consumer.ID)
	}
	for _, a := range set.ACLs {
		add("acl %s %s %s", a.ID, a.Group, a.Consumer.ID)
	}
	for _, u := range set.Upstreams {
		for _, target := range u.Targets {
			add("target %s %s %d %q", u.Name, target.Target, target.Weight, target.Tags)
		}
	}
	for _, p := range set.Plugins {
		add("plugin %s %s %s %v %q", p.ID, p.Name, p.Scope(), p.Config, p.Tags)
	}
	for _, s := range set.SNIs {
		add("sni %s %s", s.Name, s.Certificate.ID)
	}
	for _, v := range set.Vaults {
		add("vault %s %s %v", v.Prefix, v.Type, v.Config)
	}
	return facts
}

// TestConvert leads each document to both dialects and to JSON. All of them mean what it means.
func TestConvert(t *testing.T) {
	golden(t, "convert", func(t *testing.T, name string, document []byte) string {
		var b strings.Builder
		for _, o := range []Options{{To: Kong}, {To: Deck}, {JSON: true}} {
			fmt.Fprintf(&b, "#-- to %s%s\n", o.To, map[bool]string{true: "JSON"}[o.JSON])
			out, notes, err := Convert(name, document, o)
			if err != nil {
				fmt.Fprintf(&b, "error: %v\n", err)
				continue
			}
			b.Write(out)
			for _, n := range notes {
				b.WriteString("#- note: " + n + "\n")
			}
			before, after := facts(parsed(t, name, document)), facts(parsed(t, name, out))
			for fact, n := range before {
				if after[fact] != n {
					t.Errorf("%v: %d times %s, now %d", o, n, fact, after[fact])
				}
			}
			for fact := range after {
				if before[fact] == 0 {
					t.Errorf("%v: new: %s", o, fact)
				}
			}
		}
		return b.String()
	})
}

func TestConvertErrors(t *testing.T) {
	for _, c := range []struct{ name, document, to, want string }{
		{"no YAML", "a: [", Kong, "config g.yaml:1:"},
		{"a list", "[1]", Kong, "found a list or plain text"},
		{"no version", "services: []", Kong, `found no "_format_version"`},
		{"another workspace", "_format_version: '3.0'\n_workspace: team", Kong, "g.yaml:2:13: found the workspace team"},
		{"overrides", "_format_version: '3.0'\n_info: {consumer_group_policy_overrides: true}", Kong, "consumer_group_policy_overrides"},
		{"an unknown configuration", "_format_version: '3.0'\nplugins: [{name: a, _config: b}]", Kong, "found the configuration b, expected a name of _plugin_configs"},
		{"a group without name", "_format_version: '3.0'\nconsumer_groups: [{consumers: [ann]}]", Kong, "a group with consumers without name and id"},
		{"a route of nobody", "_format_version: '3.0'\nroutes: [{name: r, service: gone}]", Deck, "one of routes whose service is not in the file"},
		{"a membership of nobody", "_format_version: '3.0'\nconsumer_group_consumers: [{consumer: a, consumer_group: g}]", Deck, "a consumer that is not in the file"},
		{"half a membership", "_format_version: '3.0'\nconsumer_group_consumers: [{consumer: a}]", Deck, "without consumer or consumer_group"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Convert("g.yaml", []byte(c.document), Options{To: c.to})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("found %v, expected %s", err, c.want)
			}
			var errs config.Errors
			if !errors.As(err, &errs) {
				t.Errorf("error of type %T", err)
			}
		})
	}
}

func seeds(f *testing.F) {
	f.Helper()
	for _, dir := range []string{"testdata/format", "testdata/convert", "../config/testdata/good", "../config/testdata/bad"} {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) == 0 {
			f.Fatalf("no files in %s: %v", dir, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			document, _, _ := strings.Cut(string(data), separator)
			f.Add([]byte(document))
		}
	}
}

// What is formatted means the same, and does not change when it is formatted again.
func FuzzFormat(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := Format("fuzz.yaml", data)
		if err != nil || len(data) > 1<<16 {
			return
		}
		if !config.SameValues(data, out) {
			t.Fatalf("%q became %q", data, out)
		}
	})
}

// Converting never panics, and gives a document, which means what it meant when that was right.
func FuzzConvert(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, o := range []Options{{To: Kong}, {To: Deck}, {To: Deck, JSON: true}, {}} {
			out, _, err := Convert("fuzz.yaml", data, o)
			if err != nil || len(data) > 1<<16 {
				return
			}
			if err := config.Syntax("fuzz.yaml", out); err != nil {
				t.Fatalf("%v: %q became %q: %v", o, data, out, err)
			}
		}
		travel(t, "fuzz.yaml", data, environment)
	})
}
