package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host"
)

// write makes a file in a directory of the test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommands(t *testing.T) {
	good := write(t, "gateway.yaml", "_format_version: \"3.0\"\nservices: [{name: s, url: \"http://127.0.0.1:1\", routes: [{name: r, paths: [/]}]}]\nplugins: [{name: key-auth, route: r}]\n")
	bad := write(t, "gateway.yaml", "_format_version: \"3.0\"\nservices: [{name: s, url: \"http://127.0.0.1:1\", routes: [{name: r, paths: [orders]}]}]\n")
	badPlugin := write(t, "gateway.yaml", "_format_version: \"3.0\"\nplugins: [{name: key-auth, config: {key_names: 7}}]\n")
	settings := write(t, "outrigger.yaml", "nonsense: 1\n")
	tidy := write(t, "gateway.yaml", "_format_version: \"3.0\"\nservices: [{name: s, url: \"http://127.0.0.1:1\", routes: [{name: r, paths: [/]}]}]\n")
	untidy := write(t, "gateway.yaml", "_format_version: \"3.0\"\nservices:\n- name: s\n  url: http://127.0.0.1:1\n  routes:\n  - name: r\n    paths: [/a, /a]\n")
	wrong := write(t, "gateway.yaml", "_format_version: \"3.0\"\nplugins: [{name: key-auth, config: {anonymous: nobody}}]\n")
	for _, c := range []struct {
		args     []string
		code     int
		out, err string
	}{
		{nil, exitOK, "Usage:", ""},
		{[]string{"help"}, exitOK, "Usage:", ""},
		{[]string{"--help"}, exitOK, "Usage:", ""},
		{[]string{"run", "--help"}, exitOK, "Usage:", ""},
		{[]string{"check", "-h"}, exitOK, "Usage:", ""},
		{[]string{"dev", "--help"}, exitOK, "Usage:", ""},
		{[]string{"dev", "/no/such/plugin"}, exitFailed, "", "/no/such/plugin"},
		{[]string{"dev", "--confg", "x"}, exitUsage, "", "unknown flag --confg; did you mean --config?"},
		{[]string{"help", "settings"}, exitOK, "OUTRIGGER_PROXY_LISTEN", ""},
		{[]string{"help", "version"}, exitOK, "Usage:", ""},
		{[]string{"help", "nonsense"}, exitUsage, "", `unknown topic "nonsense"`},
		{[]string{"version"}, exitOK, "outrigger " + host.Version + " (go", ""},
		{[]string{"nonsense"}, exitUsage, "", `unknown command "nonsense"`},
		{[]string{"run", "file"}, exitUsage, "", `found "file", expected a flag`},
		{[]string{"run", "--confg", "x"}, exitUsage, "", "unknown flag --confg; did you mean --config?"},
		{[]string{"check", "--config"}, exitUsage, "", "--config needs a value"},
		{[]string{"check", "--config", "a", "--config=b"}, exitUsage, "", "--config is given twice"},
		{[]string{"check", "--config", good}, exitOK, "the configuration is valid: 1 services, 1 routes, 0 consumers, 1 plugins, 0 plugin servers", ""},
		{[]string{"check", "--config=" + good}, exitOK, "the configuration is valid", ""},
		{[]string{"check"}, exitOK, "0 services", ""},
		{[]string{"check", "--config", bad}, exitFailed, "", "gateway.yaml:2:"},
		{[]string{"check", "--config", badPlugin}, exitFailed, "", "key_names"},
		{[]string{"check", "--config", "/no/such/file"}, exitFailed, "", "/no/such/file"},
		{[]string{"check", "--settings", settings}, exitFailed, "", "nonsense"},
		{[]string{"help", "lint"}, exitOK, "outrigger lint", ""},
		{[]string{"help", "top"}, exitOK, "outrigger top", ""},
		{[]string{"top", "--help"}, exitOK, "--interval", ""},
		{[]string{"top"}, exitUsage, "", "found neither status_listen nor admin_listen in the settings"},
		{[]string{"top", "--interval", "1"}, exitUsage, "", `--interval: found "1", expected a time from 100ms to 1h`},
		{[]string{"top", "--admin", "a", "--status", "b"}, exitUsage, "", "found two addresses"},
		{[]string{"top", "--status", "unix:///no/such/socket", "--once"}, exitFailed, "", "asking the gateway at unix:///no/such/socket"},
		{[]string{"lint", "--help"}, exitOK, "--strict", ""},
		{[]string{"lint", "--config", tidy}, exitOK, "no findings", ""},
		{[]string{"lint", "--config", tidy, "--json", "--strict", "--offline"}, exitOK, `"findings": []`, ""},
		{[]string{"lint", "--config", untidy}, exitOK, "7:17     warning  duplicate_path", ""},
		{[]string{"lint", "--strict", "--config", untidy}, exitFindings, "0 errors, 1 warning", ""},
		{[]string{"lint", "--json", "--config", wrong}, exitFindings, `"code": "missing_consumer"`, ""},
		{[]string{"lint"}, exitOK, "no findings", ""},
		{[]string{"lint", "--config", bad}, exitFailed, "", "gateway.yaml:2:"},
		{[]string{"lint", "--config", badPlugin}, exitFailed, "", "key_names"},
		{[]string{"lint", "--config", "/no/such/file"}, exitFailed, "", "/no/such/file"},
		{[]string{"lint", "--fast"}, exitUsage, "", "unknown flag --fast"},
		{[]string{"lint", "file"}, exitUsage, "", `found "file", expected a flag`},
		{[]string{"run", "--config", bad}, exitFailed, "", "gateway.yaml:2:"},
	} {
		var out, errOut bytes.Buffer
		code := run(c.args, &out, &errOut)
		if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errOut.String(), c.err) || c.err == "" && errOut.Len() > 0 {
			t.Errorf("outrigger %s: exit %d, want %d\n%s%s", strings.Join(c.args, " "), code, c.code, out.String(), errOut.String())
		}
	}
}

func TestParseFlags(t *testing.T) {
	settings := []host.Setting{{Name: "proxy_listen", Flag: "listen", Type: "list"}, {Name: "allow_debug_header", Flag: "allow-debug-header", Type: "on or off"}}
	got, rest, err := parseFlags([]string{"a", "--listen=127.0.0.1:1", "--allow-debug-header", "--settings", "f", "b"}, settings)
	if err != nil || len(rest) != 2 || rest[0] != "a" || rest[1] != "b" || got["proxy_listen"] != "127.0.0.1:1" || got["allow_debug_header"] != "on" || got["settings"] != "f" {
		t.Errorf("%v %v", got, err)
	}
	got, rest, err = parseFlags([]string{"--allow_debug_header", "off", "--proxy_listen", ""}, settings)
	if err != nil || got["allow_debug_header"] != "off" || len(got) != 2 || len(rest) != 0 {
		t.Errorf("%v %v", got, err)
	}
}
