package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReplaceCommand(t *testing.T) {
	var asked, said string
	status, answer := 200, `{"server": "py", "build": 3, "result": "live", "took_ms": 41.7}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked, said = r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type"), string(body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	admin := strings.TrimPrefix(s.URL, "http://")
	settings := write(t, "outrigger.yaml", "admin_listen: "+admin+"\n")

	for _, c := range []struct {
		name   string
		args   []string
		status int
		answer string
		code   int
		asked  string
		said   string
		out    string
		err    string
	}{
		{name: "live", args: []string{"py", "--admin", admin}, asked: "replace", said: "{}", out: "plugin server py: build 3 takes all requests (42 ms)"},
		{name: "by the settings", args: []string{"--settings", settings, "py"}, asked: "replace", said: "{}", out: "build 3"},
		{name: "command", args: []string{"py", "--admin=" + admin, "--", "prog", "--json"}, asked: "replace", said: `{"command":["prog","--json"]}`, out: "takes all"},
		{name: "share", args: []string{"py", "--canary", "5%", "--admin", admin}, answer: `{"build": 4, "result": "canary"}`, asked: "replace", said: `{"canary":{"share":"5%"}}`, out: "build 4 takes a share"},
		{name: "object", args: []string{"py", "--canary", `{"share": 0.5}`, "--admin", admin}, asked: "replace", said: `{"canary":{"share":0.5}}`},
		{name: "no canary", args: []string{"py", "--canary", "off", "--admin", admin}, asked: "replace", said: `{"canary":null}`},
		{name: "promote", args: []string{"py", "--promote", "--admin", admin}, asked: "promote", said: "{}"},
		{name: "roll back", args: []string{"py", "--rollback", "--admin", admin}, answer: `{"build": 4, "result": "rolled back"}`, asked: "rollback", said: "{}", out: "build 4 takes no requests any more"},
		{name: "json", args: []string{"py", "--json", "--admin", admin}, asked: "replace", said: "{}", out: `"result": "live"`},
		{name: "fails", args: []string{"py", "--admin", admin}, status: 422, answer: `{"message": "it does not start"}`, code: 1, asked: "replace", said: "{}", err: "plugin server py: it does not start"},
		{name: "busy", args: []string{"py", "--admin", admin}, status: 409, answer: `{"message": "under way"}`, code: 3, asked: "replace", said: "{}", err: "under way"},
		{name: "something else", args: []string{"py", "--admin", admin}, answer: "<html>", code: 1, asked: "replace", said: "{}", err: "expected the JSON of an Admin listener"},
		{name: "nobody", args: []string{"py", "--admin", "unix:///none"}, code: 1, err: "asking the Admin listener at unix:///none"},
		{name: "no listener", args: []string{"py"}, code: 2, err: "found no Admin listener in the settings"},
		{name: "no name", args: []string{"--admin", admin}, code: 2, err: "found 0 names"},
		{name: "two names", args: []string{"a", "b", "--admin", admin}, code: 2, err: "found 2 names"},
		{name: "two actions", args: []string{"a", "--promote", "--rollback"}, code: 2, err: "expected one of them"},
		{name: "too much", args: []string{"a", "--promote", "--canary", "5%"}, code: 2, err: "expected it alone"},
		{name: "wrong canary", args: []string{"a", "--canary", "{"}, code: 2, err: "expected a share such as 5%"},
		{name: "no value", args: []string{"a", "--canary"}, code: 2, err: "--canary needs a value"},
		{name: "no command", args: []string{"a", "--"}, code: 2, err: "found nothing behind --"},
		{name: "help", args: []string{"--help"}, out: "outrigger replace puts a new build"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked, said = "", ""
			status, answer = 200, `{"server": "py", "build": 3, "result": "live", "took_ms": 41.7}`
			if c.status != 0 {
				status = c.status
			}
			if c.answer != "" {
				answer = c.answer
			}
			var out, errOut bytes.Buffer
			code := run(append([]string{"replace"}, c.args...), &out, &errOut)
			if c.asked != "" {
				c.asked = "POST /plugin-servers/py/" + c.asked + " application/json"
			}
			if code != c.code || asked != c.asked || said != c.said || !strings.Contains(out.String(), c.out) || !strings.Contains(errOut.String(), c.err) {
				t.Errorf("code %d, asked %q %q, said %q and %q", code, asked, said, out.String(), errOut.String())
			}
		})
	}
}
