package main

import (
	"bytes"
	"strings"
	"testing"
)

// A flag with a value is read the same way by every command: once, and not without a value.
func TestFlagsWithValues(t *testing.T) {
	for _, line := range []string{
		"run --config", "check --config", "lint --config", "explain --config", "explain --url", "explain --group", "explain --credential",
		"config convert --to", "config convert --output", "config diff --admin", "config restore --output", "replace --admin", "replace --canary",
		"upgrade --admin", "log-level --admin", "log-level --timeout", "top --admin", "top --status", "top --interval", "plugin new a --dir",
		"replay --server", "bench compare --tolerance",
	} {
		words := strings.Fields(line)
		flag := words[len(words)-1]
		for _, c := range []struct {
			args []string
			want string
		}{
			{nil, flag + " needs a value"},
			{[]string{"--json"}, flag + " needs a value"},
			{[]string{"x", flag + "=y"}, flag + " is given twice"},
		} {
			if flag == "--group" && strings.HasSuffix(c.want, "twice") {
				continue // it may be given several times
			}
			var out, errOut bytes.Buffer
			code := run(append(append([]string{}, words...), c.args...), &out, &errOut)
			if code != exitUsage || !strings.Contains(errOut.String(), c.want) {
				t.Errorf("%s %v: code %d, found %q, expected %q", line, c.args, code, errOut.String(), c.want)
			}
		}
		if flag == "--config" { // the empty value of a setting is a value
			continue
		}
		words[len(words)-1] += "="
		var out, errOut bytes.Buffer
		if code := run(words, &out, &errOut); code != exitUsage || !strings.Contains(errOut.String(), flag+" needs a value") {
			t.Errorf("%s=: code %d, found %q", line, code, errOut.String())
		}
	}
}
