package dialect

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entitydiff"
)

// journeys are dialects that a document is led to one after another.
var journeys = [][]Options{
	{{JSON: true}, {}},
	{{To: Kong}, {To: Deck}, {To: Kong}},
	{{To: Deck}, {To: Kong, JSON: true}, {To: Deck}},
}

// travel leads a document along a journey and reports where it begins to mean something else: nothing may come, go or change, ids included. A document
// that a dialect has no words for stops.
func travel(t *testing.T, name string, data []byte, env []string) {
	t.Helper()
	before, _, err := config.Source{Name: name, Data: data, Env: env}.Parse()
	if err != nil {
		return
	}
	for _, journey := range journeys {
		text := data
		for i, o := range journey {
			out, _, err := Convert(name, text, o)
			if err != nil {
				break
			}
			after, _, err := config.Source{Name: name, Data: out, Env: env}.Parse()
			if err != nil {
				t.Fatalf("%s %v, step %d: %v in\n%s\nmade of\n%s", name, journey, i, err, out, text)
			}
			if d := entitydiff.Compare(before, after); d.Differs {
				var b strings.Builder
				_ = d.Text(&b)
				t.Fatalf("%s %v, step %d: %s in\n%s\nmade of\n%s", name, journey, i, b.String(), out, text)
			}
			text = out
		}
	}
}

// documents are all declarative files of the tree.
func documents(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, pattern := range []string{
		"testdata/format/*", "testdata/convert/*", "../config/testdata/good/*", "../../../examples/*.yaml", "../../../examples/*/*.yaml", "../../../examples/*/*/*.yaml", "../../../bench/*/*.yaml",
	} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text, _, _ := strings.Cut(string(data), separator)
			if strings.Contains(text, "_format_version") && !strings.HasPrefix(text, "go test fuzz") {
				all[file] = []byte(text)
			}
		}
	}
	if len(all) < 20 {
		t.Fatalf("found %d documents", len(all))
	}
	return all
}

func TestRoundTrips(t *testing.T) {
	env := slices.Concat(environment, []string{"ORDERS_PORT=80", "TIMEOUT=5"})
	for name, data := range documents(t) {
		travel(t, name, data, env)
		formatted, err := Format(name, data)
		if err != nil {
			continue
		}
		again, err := Format(name, formatted)
		if err != nil || string(again) != string(formatted) {
			t.Errorf("%s formatted twice: %v\n%s", name, err, again)
		}
		out, _, err := Convert(name, data, Options{To: Deck})
		if err != nil {
			continue
		}
		if again, _, err = Convert(name, out, Options{To: Deck}); err != nil || string(again) != string(out) {
			t.Errorf("%s converted twice: %v\n%s\nand first\n%s", name, err, again, out)
		}
	}
}
