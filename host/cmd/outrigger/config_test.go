package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host"
	"github.com/outrigger-gateway/outrigger/host/internal/lastgood"
)

// configRun is outrigger config with the given arguments.
func configRun(args ...string) (code int, out, errOut string) {
	var o, e bytes.Buffer
	code = run(append([]string{"config"}, args...), &o, &e)
	return code, o.String(), e.String()
}

func inDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const untidy = "services: [{host: h, name: a}] # all\n_format_version: 3.0\n"

const tidy = "_format_version: \"3.0\"\n\nservices: [{name: a, host: h}] # all\n"

func TestConfigFmt(t *testing.T) {
	dir := inDir(t, map[string]string{"a.yaml": untidy, "b.yaml": tidy, "bad.yaml": "a: ["})
	a, b, bad := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml"), filepath.Join(dir, "bad.yaml")
	if code, out, _ := configRun("fmt", a); code != exitOK || out != tidy {
		t.Errorf("code %d, found\n%s", code, out)
	}
	if code, out, _ := configRun("fmt", "--check", a, b); code != exitDiffers || out != a+"\n" {
		t.Errorf("--check: code %d, found %q", code, out)
	}
	if code, out, errOut := configRun("fmt", "--write", a, b); code != exitOK || out+errOut != "" {
		t.Errorf("--write: code %d, found %q %q", code, out, errOut)
	}
	if text, err := os.ReadFile(a); err != nil || string(text) != tidy {
		t.Errorf("found %q, %v", text, err)
	}
	if code, out, _ := configRun("fmt", "--check", a, b); code != exitOK || out != "" {
		t.Errorf("--check again: code %d, found %q", code, out)
	}
	if code, _, errOut := configRun("fmt", bad); code != exitFailed || !strings.Contains(errOut, "config "+bad+":1:") {
		t.Errorf("code %d, found %q", code, errOut)
	}
}

func TestConfigConvert(t *testing.T) {
	dir := inDir(t, map[string]string{"k.yaml": "_format_version: '2.1'\nroutes: [{name: r, service: a, paths: ['/x\\d']}]\nservices: [{name: a, host: h}]\nplugins: [{name: p, priority: 5}]\n"})
	file, output := filepath.Join(dir, "k.yaml"), filepath.Join(dir, "out.json")
	code, out, errOut := configRun("convert", file, "--to", "deck")
	want := "_format_version: \"3.0\"\n\nservices: [{name: a, host: h, routes: [{name: r, paths: ['~/x\\d']}]}]\n\nplugins: [{name: p, priority: 5}]\n"
	if code != exitOK || out != want || strings.Count(errOut, "note: ") != 2 {
		t.Errorf("code %d, found\n%s%s", code, out, errOut)
	}
	if code, out, _ := configRun("convert", "--json", "--output="+output, file); code != exitOK || out != "" {
		t.Errorf("code %d, found %q", code, out)
	}
	text, err := os.ReadFile(output)
	if err != nil || !json.Valid(text) {
		t.Errorf("found %q, %v", text, err)
	}
	if st, err := os.Stat(output); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("a new file: %v, %v", st.Mode(), err)
	}
	if err := os.Chmod(output, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := configRun("convert", "--json", "--output="+output, file); code != exitOK {
		t.Errorf("code %d, found %q", code, errOut)
	}
	if st, err := os.Stat(output); err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("a file that was there: %v, %v", st.Mode(), err)
	}
	if code, out, _ := configRun("convert", output, "--yaml"); code != exitOK || !strings.HasPrefix(out, "_format_version: \"3.0\"\n") {
		t.Errorf("code %d, found %q", code, out)
	}
}

func TestConfigDiff(t *testing.T) {
	t.Setenv("PORT", "8080")
	dir := inDir(t, map[string]string{
		"old.yaml": "_format_version: '3.0'\nservices: [{name: a, host: h, port: 8080}]\n",
		"new.yaml": "_format_version: '3.0'\nservices: [{name: a, host: i, port: ${{ env \"PORT\" }}}]\n",
		"bad.yaml": "_format_version: '3.0'\nservice: []\n",
	})
	old, fresh, bad := filepath.Join(dir, "old.yaml"), filepath.Join(dir, "new.yaml"), filepath.Join(dir, "bad.yaml")
	code, out, _ := configRun("diff", old, fresh)
	if want := "~ services a\n    host: \"h\" -> \"i\"\n0 added, 0 removed, 1 changed\n"; code != exitDiffers || out != want {
		t.Errorf("code %d, found\n%s", code, out)
	}
	code, out, _ = configRun("diff", "--json", old, fresh)
	var d struct{ Differs bool }
	if err := json.Unmarshal([]byte(out), &d); err != nil || !d.Differs || code != exitDiffers {
		t.Errorf("code %d, found %s, %v", code, out, err)
	}
	if code, out, _ := configRun("diff", old, old); code != exitOK || out != "nothing is different\n" {
		t.Errorf("code %d, found %s", code, out)
	}
	if code, _, errOut := configRun("diff", bad, old); code != exitFailed || !strings.Contains(errOut, `found unknown key "service"`) {
		t.Errorf("code %d, found %s", code, errOut)
	}
}

func TestConfigRestore(t *testing.T) {
	dir := inDir(t, map[string]string{"gateway.yaml": "spoilt"})
	state, file := filepath.Join(dir, "state"), filepath.Join(dir, "gateway.yaml")
	store := lastgood.In(state)
	first, second := strings.Repeat("1", 32), strings.Repeat("2", 32)
	for i, hash := range []string{first, second} {
		if err := store.Keep(hash, "g.yaml", []byte("_format_version: '3.0'\n# "+hash+"\n"), time.Unix(int64(i+1)*1e9, 0)); err != nil {
			t.Fatal(err)
		}
	}
	flags := []string{"--state-dir", state, "--config", file}
	code, out, _ := configRun(append([]string{"restore", "--list"}, flags...)...)
	if want := second + "  2033-05-18T03:33:20Z\n" + first + "  2001-09-09T01:46:40Z\n"; code != exitOK || out != want {
		t.Errorf("code %d, found %s", code, out)
	}
	restored := func(want string) {
		t.Helper()
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("found %q, %v", text, err)
		}
	}
	code, out, errOut := configRun(append([]string{"restore"}, flags...)...)
	if code != exitOK || !strings.Contains(out, "holds the configuration "+second) || !strings.Contains(out, file+".before-restore") {
		t.Errorf("code %d, found %s%s", code, out, errOut)
	}
	restored(second)
	if text, err := os.ReadFile(file + ".before-restore"); err != nil || string(text) != "spoilt" {
		t.Errorf("found %q, %v", text, err)
	}
	if code, _, _ := configRun(append([]string{"restore", "11"}, flags...)...); code != exitOK {
		t.Errorf("code %d", code)
	}
	restored(first)
	if text, err := os.ReadFile(file + ".before-restore"); err != nil || string(text) != "spoilt" {
		t.Errorf("after the second one: found %q, %v", text, err)
	}
	if code, _, errOut := configRun(append([]string{"restore", "33"}, flags...)...); code != exitFailed || !strings.Contains(errOut, "the hash 33") {
		t.Errorf("code %d, found %s", code, errOut)
	}
	restored(first)
}

func TestConfigUsage(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"frob", `unknown word "frob"`}, {"fmt", "found no file"}, {"fmt --write --check x", "expected one of them"}, {"fmt --write -", "expected files"},
		{"fmt --frob x", "unknown flag --frob"}, {"convert a b", "found 2 files"}, {"convert --to x a", `found "x"`}, {"convert --to", "--to needs a value"},
		{"convert --to kong --to deck a", "given twice"}, {"convert --json --yaml a", "expected one of them"}, {"diff", "found 0 files"}, {"diff a b c", "found 3 files"},
		{"diff a", "no Admin listener"}, {"restore a b", "expected one hash"}, {"restore --list a", "nothing beside --list"}, {"restore", "found no state_dir"},
		{"restore --state-dir /nowhere", "found no declarative_config"},
	} {
		code, out, errOut := configRun(strings.Fields(c.args)...)
		if code != exitUsage || out != "" || !strings.Contains(errOut, c.want) || !strings.Contains(errOut, "outrigger help config") {
			t.Errorf("config %s: code %d, found %q %q", c.args, code, out, errOut)
		}
	}
	for _, args := range [][]string{nil, {"--help"}, {"fmt", "--help"}} {
		if code, out, _ := configRun(args...); code != exitOK || out != configUsage {
			t.Errorf("config %q: code %d", args, code)
		}
	}
}

var configCommands = regexp.MustCompile("(?s)```sh( exit ([0-9]+))?\noutrigger (config [^\n]+)\n```\n\n```text\n(.*?)```\n")

// Every command of the guide is run, with the files that it shows, and prints what it says.
func TestDeclarativeGuide(t *testing.T) {
	const guide = "../../../docs/guides/declarative.md"
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs(guide)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for _, file := range guideFile.FindAllSubmatch(text, -1) {
		if err := os.WriteFile(string(file[1]), file[2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found := configCommands.FindAllSubmatchIndex(text, -1)
	if len(found) != 3 {
		t.Fatalf("%d commands", len(found))
	}
	part := func(m []int, n int) string {
		if m[2*n] < 0 {
			return ""
		}
		return string(text[m[2*n]:m[2*n+1]])
	}
	out := append([]byte(nil), text...)
	for i := len(found) - 1; i >= 0; i-- {
		m := found[i]
		var o, e bytes.Buffer
		code := run(strings.Fields(part(m, 3)), &o, &e)
		if want, _ := strconv.Atoi(part(m, 2)); code != want || o.String() != part(m, 4) {
			t.Errorf("outrigger %s: code %d\n%s%s", part(m, 3), code, o.String(), e.String())
		}
		out = append(out[:m[8]:m[8]], append(o.Bytes(), out[m[9]:]...)...)
	}
	if *update {
		if err := os.WriteFile(path, out, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// With one file diff asks a running gateway, which says what a reload would change.
func TestConfigDiffWithAGateway(t *testing.T) {
	dir := inDir(t, map[string]string{
		"live.yaml": "_format_version: '3.0'\nservices: [{name: a, host: h}]\nconsumers: [{username: ann, keyauth_credentials: [{key: hunter2, id: 4e8d95d4-40f2-4818-adcb-30e00c349618}]}]\n",
		"new.yaml":  "_format_version: '3.0'\nservices: [{name: a, host: i}]\nconsumers: [{username: ann, keyauth_credentials: [{key: hunter3, id: 4e8d95d4-40f2-4818-adcb-30e00c349618}]}]\n",
		"bad.yaml":  "_format_version: '3.0'\nservice: []\n",
	})
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	h, err := host.New(host.Options{Flags: map[string]string{
		"proxy_listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "declarative_config": filepath.Join(dir, "live.yaml"), "drain_timeout": "1s",
	}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	admin := "--admin=" + h.AdminAddress()
	code, out, errOut := configRun("diff", filepath.Join(dir, "new.yaml"), admin)
	want := "~ services a\n    host: \"h\" -> \"i\"\n~ keyauth_credentials of ann 4e8d95d4-40f2-4818-adcb-30e00c349618\n    key: a secret is another one\n0 added, 0 removed, 2 changed\n"
	if code != exitDiffers || out != want {
		t.Errorf("code %d, found\n%s%s", code, out, errOut)
	}
	if code, out, errOut := configRun("diff", filepath.Join(dir, "live.yaml"), admin); code != exitOK || out != "nothing is different\n" {
		t.Errorf("code %d, found\n%s%s", code, out, errOut)
	}
	if code, _, errOut := configRun("diff", filepath.Join(dir, "bad.yaml"), admin); code != exitFailed || !strings.Contains(errOut, "bad.yaml:2:1: service: found unknown key") {
		t.Errorf("code %d, found %s", code, errOut)
	}
	if code, _, errOut := configRun("diff", filepath.Join(dir, "new.yaml"), "--admin", "127.0.0.1:1"); code != exitFailed || !strings.Contains(errOut, "asking the Admin listener at 127.0.0.1:1: dial tcp 127.0.0.1:1") {
		t.Errorf("code %d, found %s", code, errOut)
	}
}
