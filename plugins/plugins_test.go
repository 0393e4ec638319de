package plugins

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/schema"
)

var update = flag.Bool("update", false, "write the schemas in testdata")

func TestAll(t *testing.T) {
	want := []struct {
		name          string
		priority      int
		phases        pdk.Phase
		authenticates bool
	}{
		{"acl", 950, pdk.PhaseAccess, false},
		{"basic-auth", 1100, pdk.PhaseAccess, true},
		{"bot-detection", 2500, pdk.PhaseAccess, false},
		{"correlation-id", 100001, pdk.PhaseAccess | pdk.PhaseHeaderFilter, false},
		{"cors", 2000, pdk.PhaseAccess | pdk.PhaseHeaderFilter, false},
		{"ip-restriction", 990, pdk.PhaseAccess, false},
		{"key-auth", 1250, pdk.PhaseAccess, true},
		{"rate-limiting", 910, pdk.PhaseAccess, false},
		{"redirect", 779, pdk.PhaseAccess, false},
		{"request-size-limiting", 951, pdk.PhaseAccess, false},
		{"request-termination", 2, pdk.PhaseAccess, false},
		{"request-transformer", 801, pdk.PhaseAccess, false},
		{"response-transformer", 800, pdk.PhaseHeaderFilter | pdk.PhaseBodyFilter, false},
	}
	all := All()
	if len(all) != len(want) {
		t.Fatalf("%d plugins, want %d", len(all), len(want))
	}
	for i, w := range want {
		p := all[i]
		if p.Name != w.name || p.Priority != w.priority || p.Version == "" {
			t.Errorf("plugin %d is %s %s with priority %d, want %s with %d", i, p.Name, p.Version, p.Priority, w.name, w.priority)
		}
		h, err := pdk.HandlersOf(p.New())
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if h.Phases() != w.phases {
			t.Errorf("%s handles %v, want %v", p.Name, h.Phases(), w.phases)
		}
		if p.Authenticates != w.authenticates {
			t.Errorf("%s: Authenticates is %v", p.Name, p.Authenticates)
		}
	}
}

// Schemas are what users see of a configuration: names, types, defaults. They change on purpose only: go test ./plugins -update
func TestSchemas(t *testing.T) {
	for _, p := range All() {
		text, err := schema.Of(p.New())
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		var got bytes.Buffer
		if err := json.Indent(&got, text, "", "  "); err != nil {
			t.Fatal(err)
		}
		got.WriteByte('\n')
		file := "testdata/" + p.Name + ".schema.json"
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("the schema of %s is not that of %s:\n%s", p.Name, file, got.Bytes())
		}
	}
}
