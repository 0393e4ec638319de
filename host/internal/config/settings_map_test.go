package config

import (
	"encoding/json"
	"strings"
	"testing"
)

// Every setting is shown to plugins under its name, and nothing that may be a secret is.
func TestSettingsMap(t *testing.T) {
	s, err := parseSettings("outrigger.yaml", []byte(`
plugin_servers:
- {name: py, command: [python3, --token, s3cret], env: {PASSWORD: s3cret}, working_dir: /s3cret, timeouts: {log: 250ms}}
trusted_ips: 10.0.0.0/8
cluster_id: 4e8d95d4-40f2-4818-adcb-30e00c349618
`), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := s.Map()
	for _, doc := range SettingDocs() {
		if _, ok := m[doc.Name]; !ok {
			t.Errorf("setting %s is missing", doc.Name)
		}
		delete(m, doc.Name)
	}
	for name := range m {
		t.Errorf("%s is no setting", name)
	}
	m = s.Map()
	b, err := json.Marshal(m)
	if err != nil || strings.Contains(string(b), "s3cret") {
		t.Errorf("%s, %v", b, err)
	}
	server := m["plugin_servers"].([]any)[0].(map[string]any)
	if server["name"] != "py" || server["timeout"] != "1s" || server["timeouts"].(map[string]any)["log"] != "250ms" {
		t.Errorf("server %v", server)
	}
	if m["max_body"] != int64(8<<20) || m["trusted_ips"].([]any)[0] != "10.0.0.0/8" || m["headers"].([]any)[0] != "server_tokens" || m["drain_timeout"] != "10s" {
		t.Errorf("settings %v", m)
	}
}
