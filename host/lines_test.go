package host

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
)

type reporter struct{}

func (*reporter) Access(k *pdk.PDK) error {
	k.Log.Err("a line")
	return k.Telemetry.Log("another", map[string]any{}, "stats", "a record", map[string]any{"n": 1})
}

// A record of telemetry.log says which plugin and instance it is of as a line does, whatever name the plugin gives.
func TestTelemetryRecordsNameTheirPlugin(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gateway.yaml")
	text := `_format_version: "3.0"
routes: [{name: r, paths: [/]}]
plugins: [{name: reporter, instance_name: mine}]
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	h, err := New(Options{
		Flags:   map[string]string{"proxy_listen": "127.0.0.1:0", "declarative_config": path, "telemetry_logs": "on", "log_format": "json", "log_level": "info"},
		Plugins: []pdk.Plugin{{Name: "reporter", Version: "1", New: func() any { return new(reporter) }}}, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + h.Addresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()

	content, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]map[string]any{}
	for line := range strings.Lines(string(content)) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		said[fields["msg"].(string)] = fields
	}
	line, record := said["a line"], said["a record"]
	for _, name := range []string{"plugin", "record", "instance_name", "instance", "phase", "request_id"} {
		if line[name] == nil || !reflect.DeepEqual(line[name], record[name]) {
			t.Errorf("%s is %v in a line and %v in a record", name, line[name], record[name])
		}
	}
	want := map[string]any{"plugin": "reporter", "instance_name": "mine", "plugin_name": "another", "type": "stats", "level": "info"}
	for name, value := range want {
		if record[name] != value {
			t.Errorf("%s is %v, want %v", name, record[name], value)
		}
	}
	if !reflect.DeepEqual(record["attributes"], map[string]any{"n": 1.0}) {
		t.Errorf("attributes %v", record["attributes"])
	}
}
