package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPluginCommandLine(t *testing.T) {
	full := filepath.Dir(write(t, "file", "text"))
	for _, c := range []struct {
		args     string
		code     int
		out, err string
	}{
		{"plugin", exitUsage, "", "found no command; expected new or test"},
		{"plugin --help", exitOK, "outrigger plugin new NAME", ""},
		{"plugin help", exitOK, "outrigger plugin test [DIR]", ""},
		{"plugin new -h", exitOK, "outrigger plugin new NAME", ""},
		{"help plugin", exitOK, "outrigger plugin new NAME", ""},
		{"plugin nwe", exitUsage, "", `unknown command "nwe"; expected new or test`},
		{"plugin new", exitUsage, "", "found no name; expected one such as my-plugin"},
		{"plugin new --lang go", exitUsage, "", "found no name"},
		{"plugin new greeter", exitUsage, "", "found no --lang; expected --lang go, python, js or ts"},
		{"plugin new greeter --lang", exitUsage, "", "--lang needs a value"},
		{"plugin new greeter --lang --dir x", exitUsage, "", "--lang needs a value"},
		{"plugin new greeter --dir= --lang go", exitUsage, "", "--dir needs a value"},
		{"plugin new greeter --lang go --lang=js", exitUsage, "", "--lang is given twice"},
		{"plugin new greeter --langauge go", exitUsage, "", "unknown flag --langauge; did you mean --lang?; expected --lang or --dir"},
		{"plugin new greeter -l go", exitUsage, "", "unknown flag -l; expected --lang or --dir"},
		{"plugin new greeter other --lang go", exitUsage, "", `found a second name, "other", after "greeter"`},
		{"plugin new Greeter --lang go", exitUsage, "", `found the plugin name "Greeter"; expected lower-case letters`},
		{"plugin new ../greeter --lang go", exitUsage, "", `found the plugin name "../greeter"`},
		{"plugin new key-auth --lang go", exitUsage, "", `the name "key-auth" is that of a plugin in the gateway`},
		{"plugin new greeter --lang typescript", exitUsage, "", `unknown language "typescript"; did you mean ts?; expected go, python, js or ts`},
		{"plugin new greeter --lang JavaScript", exitUsage, "", "did you mean js?"},
		{"plugin new greeter --lang pyhton", exitUsage, "", "did you mean python?"},
		{"plugin new greeter --lang Go", exitUsage, "", "did you mean go?"},
		{"plugin new greeter --lang rust", exitUsage, "", `unknown language "rust"; expected go, python, js or ts`},
		{"plugin test --fast", exitUsage, "", "unknown flag --fast"},
		{"plugin test a b", exitUsage, "", "found 2 arguments; expected one directory"},
		{"plugin test " + full, exitFailed, "", "found none of go.mod, pyproject.toml, package.json"},
		{"plugin test " + full + "/nowhere", exitFailed, "", "nowhere"},
	} {
		var out, errOut bytes.Buffer
		code := run(strings.Fields(c.args), &out, &errOut)
		if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errOut.String(), c.err) || c.err == "" && errOut.Len() > 0 {
			t.Errorf("outrigger %s: exit %d, want %d\n%s%s", c.args, code, c.code, out.String(), errOut.String())
		}
	}
}

func TestParseNew(t *testing.T) {
	for _, c := range []struct{ args, name, dir, lang string }{
		{"greeter --lang go", "greeter", "greeter", "go"},
		{"--lang=python greeter", "greeter", "greeter", "python"},
		{"--dir a/b --lang js greeter", "greeter", "a/b", "js"},
		{"greeter --dir=. --lang ts", "greeter", ".", "ts"},
	} {
		n, err := parseNew(strings.Fields(c.args))
		if err != nil || n.name != c.name || n.dir != c.dir || string(n.language) != c.lang {
			t.Errorf("%s: found %+v, %v", c.args, n, err)
		}
	}
}

// Whether this test binary carries the SDK packages depends on how it was made: either there is a plugin, or an error says how to get them.
func TestPluginNew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "greeter")
	var out, errOut bytes.Buffer
	code := run([]string{"plugin", "new", "greeter", "--lang", "python", "--dir", dir}, &out, &errOut)
	if code == exitFailed {
		if !strings.Contains(errOut.String(), "this outrigger was built without the SDK packages: build with make build") {
			t.Errorf("exit 1 with %q", errOut.String())
		}
		return
	}
	if _, err := os.Stat(filepath.Join(dir, "plugin.py")); code != exitOK || err != nil || !strings.Contains(out.String(), "cd "+dir) {
		t.Errorf("exit %d, %v\n%s%s", code, err, out.String(), errOut.String())
	}
	errOut.Reset()
	if code := run([]string{"plugin", "new", "greeter", "--lang", "go", "--dir", dir}, &out, &errOut); code != exitFailed || !strings.Contains(errOut.String(), "expected an empty directory") {
		t.Errorf("the second time: exit %d, %q", code, errOut.String())
	}
}
