package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the outputs of docs/guides/explain.md and testdata/explain anew")

const explainGuide = "docs/guides/explain.md"

var (
	guideFile    = regexp.MustCompile("(?s)```yaml ([a-z.]+)\n(.*?)```\n")
	guideCommand = regexp.MustCompile("(?s)```sh( exit ([0-9]+))?\noutrigger (explain [^\n]+)\n```\n\n```text\n(.*?)```\n")
)

// Every command of the guide is run, with the files that it shows, and prints what it says; with --json it prints what stands in
// testdata/explain.
func TestExplainGuide(t *testing.T) {
	repo, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(repo, explainGuide))
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join(repo, "host/cmd/outrigger/testdata/explain")
	t.Chdir(t.TempDir())
	for _, file := range guideFile.FindAllSubmatch(text, -1) {
		if err := os.WriteFile(string(file[1]), file[2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	text = guideCommand.ReplaceAllFunc(text, func(block []byte) []byte {
		seen++
		parts := guideCommand.FindSubmatch(block)
		args := strings.Fields(string(parts[3]))
		code, _ := strconv.Atoi(string(parts[2])) // without: 0
		var out, errOut bytes.Buffer
		if got := run(args, &out, &errOut); got != code {
			t.Errorf("outrigger %s: exit code %d, expected %d; %s", parts[3], got, code, errOut.String())
		}
		printed := out.String() + errOut.String()
		if printed != string(parts[4]) && !*update {
			t.Errorf("outrigger %s: found\n%s\nexpected\n%s", parts[3], printed, parts[4])
		}
		checkJSON(t, append(args, "--json"), filepath.Join(golden, fmt.Sprintf("%d-%s.json", seen, jsonName(args))), code)
		block, _ = bytes.CutSuffix(block, append(parts[4], "```\n"...))
		return append(bytes.Clone(block), printed+"```\n"...)
	})
	if seen != 7 {
		t.Errorf("the guide has %d commands, expected 7", seen)
	}
	if *update {
		if err := os.WriteFile(filepath.Join(repo, explainGuide), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// jsonName is the name of the first file of a command.
func jsonName(args []string) string {
	for _, a := range args {
		if name, ok := strings.CutSuffix(a, ".yaml"); ok {
			return name
		}
	}
	return "none"
}

func checkJSON(t *testing.T, args []string, golden string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	if got := run(args, &out, &errOut); got != code || !json.Valid(out.Bytes()) {
		t.Errorf("outrigger %q: exit code %d, expected %d; %s%s", args, got, code, out.String(), errOut.String())
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(golden), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("outrigger %q: found\n%s\nexpected\n%s", args, out.Bytes(), want)
	}
}

// What is wrong with a query or a command line is said with what was expected.
func TestExplainErrors(t *testing.T) {
	file := write(t, "gateway.yaml", `_format_version: "3.0"
services: [{name: s, url: "http://127.0.0.1:1", routes: [{name: r, paths: [/]}]}]
consumer_groups: [{name: gold}]
consumers: [{username: annika, keyauth_credentials: [{key: k}]}]
`)
	for _, c := range []struct {
		args []string
		code int
		err  string
	}{
		{[]string{"--consumer", "anna"}, exitFailed, `consumer: found "anna", expected the username or id of a consumer (nearest: annika)`},
		{[]string{"--group", "golden"}, exitFailed, `group: found "golden", expected the name or id of a consumer group (nearest: gold)`},
		{[]string{"--credential", "key-auth=secret"}, exitFailed, `credential: found "key-auth=…", expected a credential that a consumer has`},
		{[]string{"--credential", "jwt=secret"}, exitFailed, `credential: found "jwt=…", expected the kind key-auth or basic-auth`},
		{[]string{"--credential", "key-auth"}, exitFailed, `key-auth=KEY or basic-auth=USERNAME`},
		{[]string{"--credential", "key-auth=k", "--consumer", "annika"}, exitFailed, "not both"},
		{[]string{"--header", "nonsense"}, exitFailed, `header: found "nonsense", expected a name and a value`},
		{[]string{"--url", "ftp://x/"}, exitFailed, `url: found "ftp://x/", expected a URL such as`},
		{[]string{"--client-ip", "me"}, exitFailed, `client-ip: found "me", expected an IP address`},
		{[]string{"--url"}, exitUsage, "--url needs a value"},
		{[]string{"--url=/a", "--url=/b"}, exitUsage, "--url is given twice"},
		{[]string{"orders"}, exitUsage, `found "orders", expected a flag`},
		{[]string{"--diff", "a.yaml"}, exitUsage, "found 1 files after --diff, expected two"},
		{[]string{"--diff", "a.yaml", "b.yaml", "--url", "/"}, exitUsage, "--diff compares all routes"},
		{[]string{"--confg", "x"}, exitUsage, "unknown flag --confg; did you mean --config?"},
	} {
		var out, errOut bytes.Buffer
		args := append([]string{"explain", "--config", file}, c.args...)
		if code := run(args, &out, &errOut); code != c.code || !strings.Contains(errOut.String(), c.err) || out.Len() > 0 || strings.Contains(errOut.String(), "secret") {
			t.Errorf("%q: exit code %d, %q%q, expected %d and %q", c.args, code, out.String(), errOut.String(), c.code, c.err)
		}
	}
	var out, errOut bytes.Buffer
	if code := run([]string{"explain", "--config", file, "--consumer", "anna", "--json"}, &out, &errOut); code != exitFailed || !strings.Contains(out.String(), `"code": "query"`) {
		t.Errorf("with --json: exit code %d, %s", code, out.String())
	}
	out.Reset()
	if code := run([]string{"explain", "--help"}, &out, &errOut); code != exitOK || !strings.Contains(out.String(), "--credential KIND=KEY") {
		t.Errorf("--help: exit code %d, %s", code, out.String())
	}
}

// Offline no server is started: its plugins are known by name.
func TestExplainOffline(t *testing.T) {
	file := write(t, "gateway.yaml", "_format_version: \"3.0\"\nroutes: [{name: r, paths: [/], plugins: [{name: somebodys-own}]}]\n")
	settings := write(t, "outrigger.yaml", "plugin_servers: [{name: theirs, command: /no/such/program, start_timeout: 1s}]\n")
	var out, errOut bytes.Buffer
	code := run([]string{"explain", "--offline", "--config", file, "--settings", settings}, &out, &errOut)
	for _, part := range []string{"somebodys-own  ?", "route r", "unknown plugin", `server "theirs" (not asked)`} {
		if code != exitOK || !strings.Contains(out.String(), part) {
			t.Errorf("exit code %d, no %q in\n%s%s", code, part, out.String(), errOut.String())
		}
	}
}
