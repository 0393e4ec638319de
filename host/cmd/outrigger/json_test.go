package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// Every command with --json prints one object to standard output when it fails, too, and the same text for people to standard error.
func TestFailuresAsJSON(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"message": "refused for a reason"}`))
	}))
	t.Cleanup(refusing.Close)
	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	t.Cleanup(strange.Close)
	bad, good := write(t, "bad.yaml", "nonsense"), write(t, "good.yaml", "_format_version: '3.0'\n")
	ask := func(command ...string) map[string][]string {
		with := func(more ...string) []string { return append(slices.Clone(command), append(more, "--json")...) }
		return map[string][]string{
			"refused for a reason": with("--admin", strings.TrimPrefix(refusing.URL, "http://")),
			"expected the JSON of": with("--admin", strings.TrimPrefix(strange.URL, "http://")),
			"asking the Admin":     with("--admin", "unix:///does/not/exist"),
			"/does/not/exist.yaml": with("--settings", "/does/not/exist.yaml"),
		}
	}
	tried := map[string]bool{}
	for _, cases := range []map[string][]string{
		ask("upgrade"), ask("log-level", "debug"), ask("replace", "plugins"), ask("config", "diff", good),
		{"bad.yaml": {"config", "diff", bad, good, "--json"}},
		{"bad.yaml:1": {"lint", "--config", bad, "--json"}, "none.yaml": {"lint", "--settings", "none.yaml", "--json"}},
		{"bad.yaml:1": {"explain", "--config", bad, "--json"}},
		{"none.json": {"replay", "none.json", "--json", "--", "true"}},
		{"none.yaml": {"bench", "--settings", "none.yaml", "--json", "--quick"}},
	} {
		for want, args := range cases {
			tried[args[0]] = true
			var out, errOut bytes.Buffer
			code := run(args, &out, &errOut)
			var object map[string]any
			err := json.Unmarshal(out.Bytes(), &object)
			if code == exitOK || err != nil || !strings.Contains(out.String(), want) || !strings.Contains(errOut.String(), want) {
				t.Errorf("%q: exit code %d, output %q, errors %q; expected an object with %q, and the same for people", args, code, out.String(), errOut.String(), want)
			}
		}
	}
	for _, c := range commands() {
		if slices.Contains(sorted(c.flags()), "--json") && !tried[c.name] {
			t.Errorf("%s has --json and is not tried here", c.name)
		}
	}
}
