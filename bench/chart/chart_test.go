package chart

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

func drawings() map[string][]byte {
	lines := Chart{
		Title: "Throughput <against> calls", XTitle: "calls", YTitle: "relative", Reference: 1,
		Series: []Series{
			{"Go", []Point{{0, 0.95, 0.9, 0.97}, {10, 0.9, 0.88, 0.93}, {30, 0.91, 0.91, 0.91}}},
			{"Python & others", []Point{{0, 0.8, 0.7, 0.9}, {10, 0.75, 0.7, 5}, {30, 0.7, 0.6, 0.8}}},
			{"c", []Point{{10, 0.5, 0.5, 0.5}}}, {"d", []Point{{30, 0.4, 0.4, 0.4}}},
		},
	}
	bars := Chart{
		Title: "Latency", YTitle: "µs", Names: []string{"no-plugin", "go-msgpack", "python-grpc"},
		Series: []Series{{"ours", []Point{{1, 1234.5, 1200, 1300}, {2, 85.25, 80, 90}}}, {"base", []Point{{0, 7.25, 7.25, 7.25}}}},
	}
	return map[string][]byte{"lines.svg": lines.Lines(), "bars.svg": bars.Bars()}
}

func TestGolden(t *testing.T) {
	for name, found := range drawings() {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, found, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(found) != string(want) {
			t.Errorf("%s differs (go test ./bench/chart -update writes it): found\n%s", path, found)
		}
	}
}

// What is drawn is XML with names escaped, and no number in it is endless.
func TestWellFormed(t *testing.T) {
	empty := Chart{Title: "Nothing", Series: []Series{{"a", nil}}}
	all := drawings()
	all["empty lines"], all["empty bars"] = empty.Lines(), empty.Bars()
	for name, found := range all {
		d := xml.NewDecoder(strings.NewReader(string(found)))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v in\n%s", name, err, found)
			}
		}
		if text := string(found); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") || !strings.Contains(text, "prefers-color-scheme:dark") {
			t.Errorf("%s: found\n%s", name, text)
		}
	}
}

func TestAxis(t *testing.T) {
	for _, c := range []struct{ high, end, step float64 }{
		{1, 1, 0.2}, {0.93, 1, 0.2}, {6, 6, 1}, {7, 8, 2}, {48_000, 50_000, 10_000}, {130, 150, 50}, {0, 1, 0.5}, {math.Inf(1), 1, 0.5},
	} {
		end, step := axis(c.high)
		if math.Abs(end-c.end) > 1e-9*c.end || math.Abs(step-c.step) > 1e-9*c.step {
			t.Errorf("%v: found %v in steps of %v, expected %v of %v", c.high, end, step, c.end, c.step)
		}
	}
}

func TestNumbers(t *testing.T) {
	for found, want := range map[string]string{
		label(0.2, 0.2): "0.2", label(10_000, 10_000): "10,000", label(0.05, 0.05): "0.05", figure(0.954): "0.95", figure(85.25): "85.2", figure(1234.5): "1,234",
	} {
		if found != want {
			t.Errorf("found %s, expected %s", found, want)
		}
	}
}
