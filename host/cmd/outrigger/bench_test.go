package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBenchCommandLine(t *testing.T) {
	result := write(t, "r.json", `{"scenarios": [{"name": "s", "points": [{"variant": "v", "baseline": "b", "connections": 1, "body": -1, "response": -1,
		"measures": {"ratio": {"median": 0.9, "min": 0.9, "max": 0.9}}, "samples": [{"round": 1}]}]}]}`)
	worse := write(t, "w.json", strings.ReplaceAll(contents(t, result), "0.9", "0.5"))
	brief := write(t, "b.json", `{"results": []}`)
	config := write(t, "gateway.yaml", "services: []\n")
	for _, c := range []struct {
		args     string
		code     int
		out, err string
	}{
		{"bench --help", exitOK, "outrigger bench compare OLD.json NEW.json", ""},
		{"help bench", exitOK, "with commas: calls, ", ""},
		{"bench --quikc", exitUsage, "", "unknown flag --quikc; did you mean --quick?"},
		{"bench compar a b", exitUsage, "", `found the argument "compar"; did you mean compare?`},
		{"bench --rounds 0", exitUsage, "", "--rounds is 0: expected 1 to 1000"},
		{"bench --rounds x", exitUsage, "", `--rounds is "x": expected a whole number`},
		{"bench --time 5", exitUsage, "", `--time is "5": expected a length of time such as 800ms or 2s`},
		{"bench -H", exitUsage, "", "-H has no value"},
		{"bench --variant", exitUsage, "", "--variant has no value"},
		{"bench --plans --quick", exitUsage, "", "found --quick beside --plans: expected --rounds and --results at most"},
		{"bench --time 1ms", exitUsage, "", "--time is 1ms: expected 100ms to 1h"},
		{"bench --connections 1,many", exitUsage, "", `--connections has "many"`},
		{"bench --scenarios plugin", exitFailed, "", `unknown scenario "plugin"; did you mean plugins?`},
		{"bench --scenarios ./nowhere.yaml", exitFailed, "", "reading a scenario: open ./nowhere.yaml"},
		{"bench --scenarios plugins --variant rust", exitFailed, "", `no variant with "rust" in its name`},
		{"bench --request /a", exitUsage, "", "without --settings or --config"},
		{"bench --config " + config + " --scenarios calls", exitUsage, "", "beside --settings or --config"},
		{"bench --config " + config + " -H apikey", exitUsage, "", `-H is "apikey": expected a name and a value`},
		{"bench --config " + config, exitFailed, "", "has no plugin: expected at least one whose cost is to be measured"},
		{"bench --config " + config + " --request orders", exitFailed, "", "has no plugin"},
		{"bench compare", exitUsage, "", "found 0 files; expected two"},
		{"bench compare a b --tolerance x", exitUsage, "", `--tolerance is "x"`},
		{"bench compare " + brief + " " + result, exitFailed, "", "not what --json prints"},
		{"bench compare " + result + " " + filepath.Join(t.TempDir(), "none"), exitFailed, "", "reading a result"},
		{"bench compare " + result + " " + result, exitOK, "0 of 1 figures changed", ""},
		{"bench compare " + result + " " + worse, exitFailed, "**worse**", ""},
		{"bench compare --tolerance=0.6 " + result + " " + worse, exitOK, "0 got worse", ""},
		{"bench-internal", exitFailed, "", "it is started by outrigger bench"},
		{"bench-internal gatway", exitFailed, "", `unknown role "gatway"`},
	} {
		var out, errOut bytes.Buffer
		code := run(strings.Fields(c.args), &out, &errOut)
		if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errOut.String(), c.err) || c.err == "" && errOut.Len() > 0 {
			t.Errorf("outrigger %s: exit %d, want %d\n%s%s", c.args, code, c.code, out.String(), errOut.String())
		}
	}
}

func TestParseBench(t *testing.T) {
	o, err := parseBench(strings.Fields("--quick --json --rounds 7 --scenarios calls,./mine.yaml --connections 1,64 --variant go --variant js"))
	if err != nil || !o.Quick || !o.JSON || o.Runner.Rounds != 7 || o.Runner.Sample != 800*time.Millisecond || o.Results != "" ||
		len(o.Scenarios) != 2 || len(o.Connections) != 2 || len(o.Variants) != 2 || o.Own != nil {
		t.Errorf("found %+v, %v", o, err)
	}
	if o, err = parseBench(nil); err != nil || o.Results == "" {
		t.Errorf("everything: found results in %q, %v", o.Results, err)
	}
	o, err = parseBench([]string{"--settings", "o.yaml", "--request", "POST /orders?a=b", "-H", "apikey: a:b", "-H", "accept: x", "--own-upstreams", "--results", "r"})
	if err != nil || o.Own == nil || o.Own.Settings != "o.yaml" || o.Own.Request.Method != "POST" || o.Own.Request.Path != "/orders?a=b" || !o.Own.KeepUpstreams || o.Results != "r" {
		t.Fatalf("found %+v, %v", o, err)
	}
	headers := o.Own.Request.Headers
	if headers["apikey"] != "a:b" || headers["accept"] != "x" || headers["Accept"] != "" || headers["User-Agent"] == "" {
		t.Errorf("found the headers %v", headers)
	}
}

func TestCommandLineIsQuoted(t *testing.T) {
	if found := commandLine([]string{"outrigger", "bench", "-H", "a: b"}); found != `outrigger bench -H "a: b"` {
		t.Errorf("found %s", found)
	}
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
