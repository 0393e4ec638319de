package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
)

// fakeReplacer notes what it is to do.
type fakeReplacer struct {
	did string
	err error
}

func (f *fakeReplacer) Replace(server string, body []byte, private bool) (pluginserver.Replacement, error) {
	f.did = "replace " + server + " " + string(body)
	if private {
		f.did += " in private"
	}
	return pluginserver.Replacement{Build: 7, Result: pluginserver.ResultLive}, f.err
}

func (f *fakeReplacer) Decide(server string, promote bool) (pluginserver.Replacement, error) {
	f.did = map[bool]string{true: "promote ", false: "roll back "}[promote] + server
	return pluginserver.Replacement{Build: 8, Result: pluginserver.ResultRolledBack}, f.err
}

func TestReplace(t *testing.T) {
	const kind = "application/json"
	for _, c := range []struct {
		name, method, target, kind, body, origin string
		err                                      error
		status                                   int
		did, message                             string
	}{
		{name: "replace", target: "py/replace", kind: kind, body: `{"command": ["x"]}`, status: 200, did: `replace py {"command": ["x"]}`},
		{name: "without a body", target: "py/replace", kind: kind + "; charset=utf-8", status: 200, did: "replace py "},
		{name: "promote", target: "py/promote", kind: kind, status: 200, did: "promote py"},
		{name: "roll back", target: "py/rollback", kind: kind, status: 200, did: "roll back py"},
		{name: "no type", target: "py/replace", status: 415, message: `found content type "", expected application/json, also without a body`},
		{name: "a form", target: "py/rollback", kind: "text/plain", status: 415, message: "text/plain"},
		{name: "a page", target: "py/replace", kind: kind, origin: "http://evil.example", status: 403, message: "web page"},
		{name: "method", method: "GET", target: "py/replace", status: 405, message: "expected POST"},
		{name: "unknown", target: "px/replace", kind: kind, err: &Refusal{404, errors.New("there is no plugin server")}, status: 404, did: "replace px ", message: "there is no plugin server"},
		{name: "busy", target: "py/replace", kind: kind, err: &Refusal{409, errors.New("under way")}, status: 409, did: "replace py ", message: "under way"},
		{name: "fails", target: "py/replace", kind: kind, err: errors.New("it does not start: ImportError"), status: 422, did: "replace py ", message: "ImportError"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeReplacer{err: c.err}
			client := served(t, &fakeGateway{Replacer: f}, "127.0.0.1:0")
			if c.method == "" {
				c.method = "POST"
			}
			req, err := http.NewRequestWithContext(t.Context(), c.method, "http://localhost/plugin-servers/"+c.target, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if c.kind != "" {
				req.Header.Set("Content-Type", c.kind)
			}
			if c.origin != "" {
				req.Header.Set("Origin", c.origin)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var body struct {
				Message, Server, Result string
				Build                   int
			}
			if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status || f.did != c.did || !strings.Contains(body.Message, c.message) {
				t.Errorf("found %d %+v and did %q; expected %d, %q, %q", resp.StatusCode, body, f.did, c.status, c.message, c.did)
			}
			if c.status == 200 && (body.Server != "py" || body.Build < 7 || body.Result == "") {
				t.Errorf("found %+v", body)
			}
		})
	}
}

// Only over a unix socket is it certain who asks.
func TestReplaceInPrivate(t *testing.T) {
	f := &fakeReplacer{}
	client := served(t, &fakeGateway{Replacer: f}, "unix://"+filepath.Join(t.TempDir(), "admin.sock"))
	resp, err := client.Post("http://localhost/plugin-servers/py/replace", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if want := "replace py  in private"; f.did != want {
		t.Errorf("did %q, expected %q", f.did, want)
	}
}
