package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
)

// fakeUpgrader says how an upgrade went.
type fakeUpgrader struct{ err error }

func (f fakeUpgrader) Upgrade() (Upgraded, error) {
	return Upgraded{PID: 4121, Version: "9.9.9"}, f.err
}

func TestUpgrade(t *testing.T) {
	for _, c := range []struct {
		name, kind string
		err        error
		status     int
		message    string
	}{
		{name: "done", kind: "application/json", status: 200},
		{name: "fails", kind: "application/json", err: errors.New("the new process 4121 did not come to serve"), status: 422, message: "4121 did not come to serve"},
		{name: "stopping", kind: "application/json", err: &Refusal{503, errors.New("the gateway is shutting down")}, status: 503, message: "shutting down"},
		{name: "a form", kind: "text/plain", status: 415, message: "expected application/json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := served(t, &fakeGateway{Upgrader: fakeUpgrader{c.err}}, "127.0.0.1:0")
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/upgrade", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", c.kind)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var answer struct {
				Message, Version string
				PID              int
			}
			if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status || !strings.Contains(answer.Message, c.message) {
				t.Errorf("found %d %+v, expected %d and %q", resp.StatusCode, answer, c.status, c.message)
			}
			if c.status == 200 && (answer.PID != 4121 || answer.Version != "9.9.9") {
				t.Errorf("found %+v", answer)
			}
		})
	}
}
