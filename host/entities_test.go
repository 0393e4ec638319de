package host

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/admin"
	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// secretive answers with its configuration.
type secretive struct {
	Secret string `json:"secret" schema:"secret,referenceable"`
}

func (s *secretive) Access(k *pdk.PDK) error {
	return k.Response.Exit(200, []byte("secret "+s.Secret), nil)
}

func secretivePlugin() pdk.Plugin {
	return pdk.Plugin{Name: "secretive", Version: "1", Priority: 1, New: func() any { return &secretive{} }}
}

// A plugin whose secret is missing answers 503 when its vault says so, and works when the secret is there; another secret takes the place of the old one.
func TestSecretsComeAndChange(t *testing.T) {
	h, get, set := started(t, secretivePlugin())
	dir := t.TempDir()
	document := `
vaults: [{prefix: files, name: file, config: {directory: ` + dir + `, ttl: 1}, on_failure: POLICY}]
routes: [{name: r, paths: [/a], plugins: [{name: secretive, config: {secret: "{vault://files/key?ttl=TTL}"}}]}]
`
	load := func(policy, ttl string) error {
		set(strings.NewReplacer("POLICY", policy, "TTL", ttl).Replace(document))
		return h.Reload(t.Context())
	}
	if err := load("reject_config", "1"); err == nil || !strings.Contains(err.Error(), `vault files: there is no file "key"`) || !strings.Contains(err.Error(), "gateway.yaml:") {
		t.Errorf("found %v", err)
	}
	if err := load("empty", "1"); err != nil {
		t.Fatal(err)
	}
	if status, body := get("/a"); status != 200 || body != "secret " {
		t.Errorf("empty: %d %q", status, body)
	}
	if err := load("fail_request", "1"); err != nil {
		t.Fatal(err)
	}
	if status, body := get("/a"); status != 503 || strings.Contains(body, "vault") {
		t.Errorf("without the secret: %d %q", status, body)
	}
	if len(setWarnings(h.generations.Current().Set)) != 1 || h.generations.Current().Waiting() {
		t.Errorf("warnings %q", setWarnings(h.generations.Current().Set))
	}
	h.renewSecrets(t.Context())
	if status, _ := get("/a"); status != 503 {
		t.Errorf("still without the secret: %d", status)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "key"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one\n")
	h.renewSecrets(t.Context())
	if status, body := get("/a"); status != 200 || body != "secret one" {
		t.Errorf("with the secret: %d %q", status, body)
	}
	number := h.generations.Current().Number
	h.renewSecrets(t.Context())
	if h.generations.Current().Number != number {
		t.Error("nothing has changed, and there is another generation")
	}
	// What a vault keeps is not read again before its time: the secret of another reference is not kept yet.
	write("two\n")
	if err := load("fail_request", "2"); err != nil {
		t.Fatal(err)
	}
	if _, body := get("/a"); body != "secret two" {
		t.Errorf("another secret: %q", body)
	}
}

// hostWith starts a gateway with a file and a state directory.
func hostWith(t *testing.T, file, state string, flags map[string]string) (*Host, string, error) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	all := map[string]string{"proxy_listen": "127.0.0.1:0", "declarative_config": file, "state_dir": state, "drain_timeout": "1s"}
	for name, value := range flags {
		all[name] = value
	}
	h, err := New(Options{Flags: all, Plugins: []pdk.Plugin{secretivePlugin()}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		return nil, log.Name(), err
	}
	t.Cleanup(func() { _ = h.Shutdown(context.Background()) })
	return h, log.Name(), nil
}

// The gateway starts with the last good configuration only when it is told so; a restored file is good again.
func TestLastGood(t *testing.T) {
	dir := t.TempDir()
	file, state := filepath.Join(dir, "gateway.yaml"), filepath.Join(dir, "state")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const good = "_format_version: '3.0'\nroutes: [{name: r, paths: [/a]}]\n"
	write(good)
	h, _, err := hostWith(t, file, state, nil)
	if err != nil {
		t.Fatal(err)
	}
	hash := h.generations.Current().Set.Hash
	status := operator{h, h.servers}.Status()
	if status.Generation.Origin != fromFile || status.LastGood == nil || status.LastGood.Hash != hash {
		t.Errorf("status %+v, %+v", status.Generation, status.LastGood)
	}
	for _, bad := range []string{"spoilt", "_format_version: '3.0'\nplugins: [{name: nonsense}]\n"} { // unreadable, and refused later
		write(bad)
		if err := h.Reload(t.Context()); err == nil {
			t.Fatal("a bad file is taken")
		}
		if kept, err := h.KeptConfigurations(); err != nil || len(kept) != 1 || kept[0].Hash != hash {
			t.Errorf("kept %+v, %v", kept, err)
		}
		if _, _, err := hostWith(t, file, state, nil); err == nil {
			t.Error("started with the last good configuration without being told")
		}
		again, log, err := hostWith(t, file, state, map[string]string{"start_with_last_good": "on"})
		if err != nil {
			t.Fatal(err)
		}
		status := operator{again, again.servers}.Status()
		text, lerr := os.ReadFile(log)
		if status.Generation.Origin != fromLastGood || status.Generation.Hash != hash || lerr != nil || !bytes.Contains(text, []byte("the last good configuration is live")) || !bytes.Contains(text, []byte(hash)) {
			t.Errorf("status %+v, log %s, %v", status.Generation, text, lerr)
		}
	}
	if _, before, err := h.Restore("", file); err != nil || before.Path == "" {
		t.Fatal(before, err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != good {
		t.Errorf("found %q, %v", text, err)
	}
	if err := h.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	if _, _, err := hostWith(t, filepath.Join(dir, "gone.yaml"), filepath.Join(dir, "nothing"), map[string]string{"start_with_last_good": "on"}); err == nil {
		t.Error("started with nothing")
	}
}

// The difference to what is live is that of the entities as they were written, without a secret.
func TestDiffEntities(t *testing.T) {
	h, _, set := started(t, secretivePlugin())
	set("routes: [{name: r, paths: [/a], plugins: [{name: secretive, config: {secret: hunter2}}]}]\n")
	if err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := operator{h, h.servers}
	same, err := o.DiffEntities("new.yaml", []byte("_format_version: '3.0'\nplugins: [{name: secretive, route: r, config: {secret: hunter2}}]\nroutes: [{name: r, paths: [/a]}]\n"), true)
	if err != nil || same.Differs {
		t.Errorf("found %+v, %v", same, err)
	}
	d, err := o.DiffEntities("new.yaml", []byte("_format_version: '3.0'\nroutes: [{name: r, paths: [/b], plugins: [{name: secretive, config: {secret: hunter3}}]}, {name: s, paths: [/s]}]\n"), true)
	if err != nil || d.Changed != 2 || d.Added != 1 {
		t.Fatalf("found %+v, %v", d, err)
	}
	var text bytes.Buffer
	if err := d.Text(&text); err != nil || strings.Contains(text.String(), "hunter") || !strings.Contains(text.String(), "config.secret: a secret is another one") {
		t.Errorf("found %s, %v", text.String(), err)
	}
	var errs config.Errors
	if _, err := o.DiffEntities("new.yaml", []byte("a: ["), true); !errors.As(err, &errs) || errs[0].File != "new.yaml" {
		t.Errorf("found %v", err)
	}
}

// Whoever reaches a TCP listener cannot learn the environment of the gateway by comparing a document that takes values from it.
func TestDiffEntitiesKeepsTheEnvironment(t *testing.T) {
	h, _, set := started(t)
	h.opts.Env = []string{"DB_PASS=hunter2"}
	set("routes: [{name: r, paths: [/a]}]\n")
	if err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	document := []byte("_format_version: '3.0'\nroutes: [{name: r, paths: [/a], tags: ['${{ env \"DB_PASS\" }}']}]\n")
	o := operator{h, h.servers}
	d, err := o.DiffEntities("new.yaml", document, false)
	var refusal *admin.Refusal
	if !errors.As(err, &refusal) || refusal.Status != http.StatusForbidden || d != nil {
		t.Errorf("over TCP: %+v, %v", d, err)
	}
	if d, err := o.DiffEntities("new.yaml", document, true); err != nil || d.Changed != 1 {
		t.Errorf("over a unix socket: %+v, %v", d, err)
	}
}

// Two files are compared with what the schemas of the plugins call secret; where nobody says it, names do, and the difference tells.
func TestDiffEntitiesOfFiles(t *testing.T) {
	document := func(version string) config.Source {
		return config.Source{Name: "gateway.yaml", Data: []byte(strings.ReplaceAll(`{_format_version: "3.0", routes: [{name: r, paths: [/a]}], plugins: [
{name: discreet, config: {door: hunter2-VERSION, floor: VERSION}}, {name: elsewhere, route: r, config: {door: open-VERSION, door_key: hunter3-VERSION}}]}`, "VERSION", version))}
	}
	settings := filepath.Join(t.TempDir(), "outrigger.yaml")
	if err := os.WriteFile(settings, []byte("plugin_servers: [{name: s, command: [/does/not/exist]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{"no plugin servers": {}, "offline": {SettingsFile: settings}} {
		o.Plugins = []pdk.Plugin{{Name: "discreet", Version: "1", New: func() any { return &discreet{} }}}
		h, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		d, err := h.DiffEntities(t.Context(), document("1"), document("2"), name == "offline")
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := d.Text(&b); err != nil {
			t.Fatal(err)
		}
		want := `~ plugins discreet (global)
    config.door: a secret is another one
    config.floor: 1 -> 2
~ plugins elsewhere (route r)
    config.door: "open-1" -> "open-2"
    config.door_key: a secret is another one
0 added, 0 removed, 2 changed
note: which fields of elsewhere are secret is not known: what sounds or looks like it is not shown
`
		if b.String() != want {
			t.Errorf("%s: found\n%s\nexpected\n%s", name, b.String(), want)
		}
	}
}

// discreet has a secret whose name does not say so.
type discreet struct {
	Door  string `json:"door" schema:"secret"`
	Floor int    `json:"floor"`
}

func (*discreet) Access(*pdk.PDK) error { return nil }
