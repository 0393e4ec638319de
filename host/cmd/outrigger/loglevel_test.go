package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestLogLevelCommand(t *testing.T) {
	var asked string
	status, answer := 200, ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.RequestURI
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	admin := strings.TrimPrefix(s.URL, "http://")
	settings := write(t, "outrigger.yaml", "admin_listen: "+admin+"\n")
	const shown = `{"message": "log level: debug", "level": "debug", "setting": "notice", "until": "2026-11-22T20:00:00.5+01:00"}`
	for _, c := range []struct {
		name   string
		args   []string
		status int
		answer string
		code   int
		asked  string
		out    string
		err    string
	}{
		{name: "shown", args: []string{"--admin", admin}, answer: shown, asked: "GET ", out: "log level: debug until 2026-11-22T19:00:00Z; then notice\n"},
		{name: "changed", args: []string{"debug", "--admin", admin}, answer: `{"message": "log level changed to debug"}`, asked: "PUT /debug", out: "log level changed to debug\n"},
		{name: "for a while", args: []string{"debug", "--timeout", "5m", "--admin=" + admin}, answer: shown, asked: "PUT /debug?timeout=300", out: "until"},
		{name: "in seconds", args: []string{"--timeout=1.5", "info", "--admin", admin}, answer: shown, asked: "PUT /info?timeout=1.5", out: "log level"},
		{name: "for good", args: []string{"info", "--timeout", "0", "--admin", admin}, answer: shown, asked: "PUT /info?timeout=0", out: "log level"},
		{name: "by the settings", args: []string{"info", "--settings", settings}, answer: shown, asked: "PUT /info", out: "log level"},
		{name: "json", args: []string{"--json", "--admin", admin}, answer: shown, asked: "GET ", out: shown},
		{name: "refused", args: []string{"loud", "--admin", admin}, status: 400, answer: `{"message": "found loud"}`, code: 1, asked: "PUT /loud", err: "found loud"},
		{name: "something else", args: []string{"--admin", admin}, answer: "<html>", code: 1, asked: "GET ", err: "expected the JSON of an Admin listener"},
		{name: "nobody", args: []string{"--admin", "unix:///none"}, code: 1, err: "asking the Admin listener at unix:///none"},
		{name: "no listener", args: []string{"info"}, code: 2, err: "found no Admin listener in the settings"},
		{name: "two levels", args: []string{"info", "warn", "--admin", admin}, code: 2, err: `found "warn", expected one level`},
		{name: "a time for nothing", args: []string{"--timeout", "5m", "--admin", admin}, code: 2, err: "without a level"},
		{name: "no time", args: []string{"info", "--timeout", "soon"}, code: 2, err: `--timeout: found "soon"`},
		{name: "a negative time", args: []string{"info", "--timeout=-5s"}, code: 2, err: "expected a time such as 30s"},
		{name: "no value", args: []string{"info", "--timeout"}, code: 2, err: "--timeout needs a value"},
		{name: "help", args: []string{"--help"}, out: "outrigger log-level shows the log level"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked, status, answer = "", max(c.status, 200), c.answer
			var out, errOut bytes.Buffer
			code := run(append([]string{"log-level"}, c.args...), &out, &errOut)
			if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errOut.String(), c.err) {
				t.Errorf("exit code %d, output %q, errors %q; expected %d, %q, %q", code, out.String(), errOut.String(), c.code, c.out, c.err)
			}
			want := strings.Replace(strings.Replace(c.asked, "GET ", "GET /debug/node/log-level", 1), "PUT ", "PUT /debug/node/log-level", 1)
			if asked != want {
				t.Errorf("the gateway was asked %q, expected %q", asked, want)
			}
		})
	}
}
