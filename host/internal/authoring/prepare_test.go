package authoring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// tool is a program that writes its name and arguments into a file and then does what the script says.
const tool = `#!/bin/sh
line="$(basename "$0") $*"
echo "$line" >> "$CALLS"
case "$line" in $FAILING) echo "what went wrong" >&2; exit "$CODE";; esac
`

var scripts = map[string]string{
	"go":   "",
	"node": "echo v20.1.0",
	"npm":  `if [ "$1" = install ]; then mkdir -p node_modules; echo lock > package-lock.json; echo "added 35 packages"; fi; if [ "$1" = test ]; then echo tests; fi`,
	"python3": `case "$*" in
*" venv "*) mkdir -p .venv/bin; cp "$0" .venv/bin/python;;
"-m pytest") echo tests;;
-c*) echo 3.11;;
esac`,
}

// tools puts programs of the names that are needed into a folder that is all of PATH, and returns the file of what they were called with.
func fakeTools(t *testing.T, names ...string) (calls string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(tool+scripts[name]+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	calls = filepath.Join(dir, "calls")
	t.Setenv("PATH", dir+":/bin:/usr/bin")
	t.Setenv("CALLS", calls)
	t.Setenv("FAILING", "nothing")
	t.Setenv("CODE", "1")
	return calls
}

// taken returns the calls so far and forgets them.
func taken(t *testing.T, calls string) []string {
	t.Helper()
	text, err := os.ReadFile(calls)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	_ = os.Remove(calls)
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

const (
	npmInstall = "npm install --no-audit --no-fund --prefer-offline --loglevel=error ./.outrigger/outrigger-pdk.tgz"
	pip        = "python -m pip install --quiet --disable-pip-version-check "
	askPython  = "python3 -c import sys; print('%d.%d' % sys.version_info[:2]); sys.exit(sys.version_info < (3, 11))"
)

// What is needed is installed the first time, and again only after a change.
func TestInstallsOnce(t *testing.T) {
	for _, c := range []struct {
		language Language
		first    []string // calls
		again    []string // after a change of what is needed
		test     string
		needs    string // file that names what is needed
	}{
		{Go, nil, nil, "go test ./...", "go.mod"},
		{Python, []string{askPython, "python3 -m venv --clear .venv", pip + "-r requirements.txt"},
			[]string{pip + "-r requirements.txt", pip + "--force-reinstall --no-deps -r .outrigger/requirements.txt"}, "python -m pytest", "requirements.txt"},
		{JavaScript, []string{"node --version", npmInstall}, []string{"node --version", npmInstall}, "npm test --silent", "package.json"},
		{TypeScript, []string{"node --version", npmInstall}, []string{"node --version", npmInstall}, "npm test --silent", "package.json"},
	} {
		t.Run(string(c.language), func(t *testing.T) {
			calls := fakeTools(t, "go", "node", "npm", "python3")
			dir := filepath.Join(t.TempDir(), "p")
			kits := testKits(t, "one")
			if err := create("p", c.language, dir, kits); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			test := func(what string, want ...string) {
				t.Helper()
				said.Reset()
				p, err := open(dir, kits, &said)
				if err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				if code, err := p.test(context.Background(), &out, &said); err != nil || code != 0 {
					t.Fatalf("%s: exit code %d, %v\n%s", what, code, err, said.String())
				}
				want = slices.Clone(want)
				if c.language == Go {
					want = append(want, "go build -o "+dir+"/.outrigger/bin/plugin .")
				}
				want = append(want, c.test)
				if found := taken(t, calls); !slices.Equal(found, want) {
					t.Errorf("%s: found the calls\n%s\nexpected\n%s", what, strings.Join(found, "\n"), strings.Join(want, "\n"))
				}
				if c.language != Go && out.String() != "tests\n" {
					t.Errorf("%s: standard output is %q, expected that of the tests alone", what, out.String())
				}
				if installs := slices.ContainsFunc(want, func(call string) bool { return strings.Contains(call, "install") }); installs != (said.Len() > 0) {
					t.Errorf("%s: found the progress %q", what, said.String())
				}
			}
			test("the first time", c.first...)
			test("unchanged")
			path := filepath.Join(dir, c.needs)
			if err := os.WriteFile(path, []byte(content(t, dir, c.needs)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			test("needs changed", c.again...)
			test("unchanged again")
			kits = testKits(t, "two")
			test("another SDK", c.again...)
			test("unchanged once more")
		})
	}
}

func TestPrepare(t *testing.T) {
	for _, c := range []struct {
		language Language
		command  []string // DIR stands for the directory
		build    []string
	}{
		{Go, []string{"DIR/.outrigger/bin/plugin"}, []string{"go build -o DIR/.outrigger/bin/plugin ."}},
		{Python, []string{"DIR/.venv/bin/python", "-m", "outrigger", "serve", "DIR/plugin.py"}, nil},
		{JavaScript, []string{"node", "DIR/node_modules/.bin/outrigger-js", "serve", "DIR"}, nil},
		{TypeScript, []string{"node", "DIR/node_modules/.bin/outrigger-js", "serve", "DIR"}, []string{"npm run --silent build"}},
	} {
		t.Run(string(c.language), func(t *testing.T) {
			calls := fakeTools(t, "go", "node", "npm", "python3")
			dir := filepath.Join(t.TempDir(), "p")
			if err := create("p", c.language, dir, testKits(t, "one")); err != nil {
				t.Fatal(err)
			}
			real := func(all []string) []string {
				found := slices.Clone(all)
				for i := range found {
					found[i] = strings.ReplaceAll(found[i], "DIR", dir)
				}
				return found
			}
			prepare := func() ([]string, []string, error) {
				p, err := open(dir, testKits(t, "one"), io.Discard)
				if err != nil {
					t.Fatal(err)
				}
				return p.serve(context.Background())
			}
			if _, _, err := prepare(); err != nil {
				t.Fatal(err)
			}
			taken(t, calls)
			command, watch, err := prepare()
			if err != nil || !slices.Equal(command, real(c.command)) || !slices.Equal(watch, []string{dir}) {
				t.Errorf("found the command %q, to watch %q, %v; expected %q", command, watch, err, real(c.command))
			}
			if found := taken(t, calls); !slices.Equal(found, real(c.build)) {
				t.Errorf("found the calls %q, expected %q", found, real(c.build))
			}
			if c.build == nil {
				return
			}
			t.Setenv("FAILING", "*build*")
			if _, watch, err := prepare(); err == nil || !strings.Contains(err.Error(), "building the plugin in "+dir) || len(watch) != 1 {
				t.Errorf("a build that fails: found %v, to watch %q; expected an error, and the sources", err, watch)
			}
		})
	}
}

// The exit code of the tests is that of outrigger plugin test; what cannot be installed is an error, and tried again.
func TestFailures(t *testing.T) {
	kits := testKits(t, "one")
	for _, c := range []struct {
		language Language
		test     string
		install  string
		error    string
	}{
		{Go, "go test*", "go build*", "building the plugin in "},
		{Python, "*pytest", "*pip*", "installing Python packages in "},
		{Python, "*pytest", "*venv*", "making a Python environment in "},
		{JavaScript, "npm test*", "npm install*", "installing npm packages in "},
		{TypeScript, "npm test*", "npm install*", "installing npm packages in "},
	} {
		t.Run(string(c.language), func(t *testing.T) {
			fakeTools(t, "go", "node", "npm", "python3")
			dir := filepath.Join(t.TempDir(), "p")
			if err := create("p", c.language, dir, kits); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			p, err := open(dir, kits, &said)
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv("CODE", "7")
			if c.install != "" {
				t.Setenv("FAILING", c.install)
				_, err := p.test(context.Background(), io.Discard, &said)
				if err == nil || !strings.Contains(err.Error(), c.error+dir) || !strings.HasSuffix(err.Error(), "exit status 7") || !strings.Contains(said.String(), "what went wrong\n") {
					t.Errorf("found %v and the output %q, expected %q and that of the tool", err, said.String(), c.error)
				}
			}
			t.Setenv("FAILING", c.test)
			if code, err := p.test(context.Background(), io.Discard, &said); err != nil || code != 7 {
				t.Errorf("found exit code %d, %v; expected 7 from the tests", code, err)
			}
		})
	}
}

// What is missing on the machine is named.
func TestMissingTools(t *testing.T) {
	for _, c := range []struct {
		language Language
		script   map[string]string // what a tool does instead
		want     string
	}{
		{Go, nil, "the program go is not in PATH; install the Go toolchain"},
		{JavaScript, nil, "the program node is not in PATH; install Node.js, 20 or newer"},
		{JavaScript, map[string]string{"node": "echo v20.1.0"}, "the program npm is not in PATH"},
		{TypeScript, map[string]string{"node": "echo v18.19.1", "npm": ""}, "found Node.js v18.19.1, expected 20 or newer"},
		{Python, nil, "looking for Python 3.11 or newer in PATH: found none"},
		{Python, map[string]string{"python3": "echo 3.9; exit 1", "python": "echo 2.7; exit 1"}, "found python3 3.9, python 2.7"},
	} {
		dir := filepath.Join(t.TempDir(), "p")
		if err := create("p", c.language, dir, testKits(t, "one")); err != nil {
			t.Fatal(err)
		}
		path := t.TempDir()
		for name, script := range c.script {
			if err := os.WriteFile(filepath.Join(path, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv("PATH", path)
		p, err := open(dir, testKits(t, "one"), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.test(context.Background(), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: found %v, expected %q", c.language, err, c.want)
		}
	}
}

// Two that prepare one directory at once do not get in each other's way, and one of them gives up waiting when it is told to.
func TestOneAtATime(t *testing.T) {
	calls := fakeTools(t, "node", "npm")
	kits := testKits(t, "one")
	dir := filepath.Join(t.TempDir(), "p")
	if err := create("p", JavaScript, dir, kits); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			p, err := open(dir, kits, io.Discard)
			if err == nil {
				err = p.prepare(context.Background(), true)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if found := taken(t, calls); len(found) != 2 || found[1] != npmInstall {
		t.Errorf("found the calls %q, expected one installation", found)
	}

	p, err := open(dir, kits, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := p.lock(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	waits := &signalWriter{written: make(chan struct{})}
	q, err := open(dir, kits, waits)
	if err != nil {
		t.Fatal(err)
	}
	q.silence = 0
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.prepare(ctx, true) }()
	<-waits.written
	cancel(errors.New("told to stop"))
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "told to stop") {
			t.Errorf("found %v, expected the cause", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it waits on")
	}
	if found, want := waits.text.String(), fmt.Sprintf("outrigger: waiting for another outrigger that prepares %s\n", dir); found != want {
		t.Errorf("found the progress %q, expected %q", found, want)
	}
}

// What a tool has started ends with it, even when the tool does not see to that: go test leaves the program of the tests.
func TestInterruptEndsWhatToolsStarted(t *testing.T) {
	fakeTools(t, "go")
	kits := testKits(t, "one")
	dir := filepath.Join(t.TempDir(), "p")
	if err := create("p", Go, dir, kits); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PIPE", pipe)
	script := filepath.Join(strings.Split(os.Getenv("PATH"), ":")[0], "go")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nif [ $1 = test ]; then sleep 60 >$PIPE 2>&1 & wait; fi\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := open(dir, kits, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := p.test(ctx, io.Discard, io.Discard)
		ended <- err
	}()
	held, err := os.Open(pipe) // once sleep has it open
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	cancel(errors.New("told to stop"))
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "told to stop") {
		t.Errorf("found %v, expected the cause", err)
	}
	if err := held.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := held.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("found %v, expected the end: what the tool started still runs", err)
	}
}

// signalWriter tells when the first text was written.
type signalWriter struct {
	text    bytes.Buffer
	once    sync.Once
	written chan struct{}
}

func (w *signalWriter) Write(b []byte) (int, error) {
	defer w.once.Do(func() { close(w.written) })
	return w.text.Write(b)
}

// A Python directory that is the author's own is taken as it is.
func TestOwnEnvironment(t *testing.T) {
	calls := fakeTools(t, "python3")
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, ".venv/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"pyproject.toml": "", ".venv/bin/python": tool} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	test := func(want ...string) {
		t.Helper()
		p, err := open(dir, testKits(t, "one"), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if code, err := p.test(context.Background(), io.Discard, io.Discard); err != nil || code != 0 {
			t.Fatalf("exit code %d, %v", code, err)
		}
		if found := taken(t, calls); !slices.Equal(found, want) {
			t.Errorf("found the calls %q, expected %q", found, want)
		}
	}
	test("python -m pytest")
	if err := os.RemoveAll(filepath.Join(dir, ".venv")); err != nil {
		t.Fatal(err)
	}
	test(askPython, "python3 -m venv --clear .venv", pip+"-r .outrigger/requirements.txt pytest", "python -m pytest")
	test("python -m pytest")
}
