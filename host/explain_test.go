package host

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/admin"
	"github.com/outrigger-gateway/outrigger/host/internal/explain"
	"github.com/outrigger-gateway/outrigger/plugins"
)

const explained = `_format_version: "3.0"
routes:
- {name: plain, paths: [/plain]}
- name: ruled
  paths: [/ruled]
  plugins:
  - {name: rate-limiting, config: {minute: 1000}, ordering: {before: {access: [key-auth]}}}
- {name: secure, paths: [/secure], protocols: [https], plugins: [{name: ip-restriction, config: {allow: [192.0.2.1]}}]}
- name: without
  paths: [/without]
  plugins:
  - {name: rate-limiting, mode: disable}
consumer_groups:
- {name: gold, plugins: [{name: rate-limiting, config: {minute: 2000}}]}
consumers:
- {username: ann, keyauth_credentials: [{key: of-ann}], groups: [{name: gold}]}
- {username: bob, keyauth_credentials: [{key: of-bob}], plugins: [{name: request-size-limiting}]}
plugins:
- {name: key-auth}
- {name: rate-limiting, config: {minute: 3000}}
- {name: request-size-limiting, condition: http.method == "POST"}
- {name: correlation-id, condition: consumer.username == "ann"}
- {name: request-termination, config: {status_code: 200, message: done}}
`

// What the Admin listener explains is what requests get: the debug header names the same plugins with the same levels.
func TestExplainAgreesWithRequests(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gateway.yaml")
	if err := os.WriteFile(path, []byte(explained), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	h, err := New(Options{Plugins: plugins.All(), Log: log, Flags: map[string]string{
		"proxy_listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "declarative_config": path, "plugin_debug_header": "X-Plugins",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(method, target, key string, into any) http.Header {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			req.Header.Set("apikey", key)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if into != nil {
			if err := json.Unmarshal(body, into); err != nil {
				t.Fatalf("%s: %v in %s", target, err, body)
			}
		}
		return resp.Header
	}
	for _, route := range []string{"plain", "ruled", "secure", "without"} {
		for _, method := range []string{"GET", "POST"} {
			for _, key := range []string{"", "of-ann", "of-bob"} {
				said := ask(method, "http://"+h.Addresses()[0]+"/"+route, key, nil).Get("X-Plugins")
				query := url.Values{"method": {method}, "url": {"/" + route}}
				if key != "" {
					query.Set("credential", "key-auth="+key)
				}
				var report explain.Report
				ask("GET", "http://"+h.AdminAddress()+"/explain?"+query.Encode(), "", &report)
				var words []string
				for _, phase := range report.Plugins.Phases {
					for _, st := range phase.Steps {
						if phase.Phase == "access" && st.Runs {
							words = append(words, fmt.Sprintf("%s;level=%d", st.Plugin, st.Level))
						}
					}
				}
				if found := strings.Join(words, ", "); found != said || (said == "") != (report.Route.Answer != 0) || report.Route.Name != route {
					t.Errorf("%s /%s with key %q: the request says\n  %s\nexplain, for route %s:\n  %s", method, route, key, said, report.Route.Name, found)
				}
			}
		}
	}
	var status admin.Status
	ask("GET", "http://"+h.AdminAddress()+"/status", "", &status)
	if status.Generation.Number == 0 || status.Generation.Routes != 4 || status.Generation.Hash == "" || status.Version != Version {
		t.Errorf("status %+v", status)
	}
}
