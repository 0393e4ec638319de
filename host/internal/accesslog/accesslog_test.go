package accesslog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

// patience is how long a test waits for what must happen. It is long: the machine may be busy.
const patience = 20 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// told is what a logger has written so far.
type told struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *told) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *told) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *told) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func open(t *testing.T, path string, room int) (*Log, *told) {
	t.Helper()
	lines := &told{}
	l, err := Open(Options{Path: path, Room: room, Logger: lines.logger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, l) })
	return l, lines
}

func closed(t *testing.T, l *Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Error(err)
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

// Every line of many goroutines is in the file, whole, and those of one in its order.
func TestLinesAreWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l, _ := open(t, path, 1<<20)
	const writers, each = 8, 500
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for n := range each {
				l.Append([]byte(fmt.Sprintf("%d %d\n", w, n)))
			}
		})
	}
	all.Wait()
	closed(t, l)
	next := [writers]int{}
	for line := range strings.Lines(text(t, path)) {
		var w, n int
		if _, err := fmt.Sscanf(line, "%d %d\n", &w, &n); err != nil || n != next[w] {
			t.Fatalf("found %q, expected %d of %d", line, next[w], w)
		}
		next[w]++
	}
	for w, n := range next {
		if n != each {
			t.Errorf("%d lines of %d, expected %d", n, w, each)
		}
	}
	if l.Dropped() != 0 {
		t.Errorf("%d lines dropped", l.Dropped())
	}
	l.Append([]byte("late\n"))
	if l.Dropped() != 1 || strings.Contains(text(t, path), "late") {
		t.Errorf("a line behind the end: %d dropped", l.Dropped())
	}
}

func TestALineIsThereSoon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l, _ := open(t, path, 1<<20)
	l.Append([]byte("one\n"))
	eventually(t, "the first line", func() bool { return text(t, path) == "one\n" })
	l.Append([]byte("two\n"))
	eventually(t, "the second line", func() bool { return text(t, path) == "one\ntwo\n" })
	if is, err := os.Stat(path); err != nil || is.Mode().Perm()&0o007 != 0 {
		t.Errorf("everybody may use the file: %v %v", is.Mode(), err)
	}
}

// What was there stays: a restart goes on.
func TestTheFileIsContinued(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	for _, line := range []string{"one\n", "two\n"} {
		l, _ := open(t, path, 1<<20)
		l.Append([]byte(line))
		closed(t, l)
	}
	if got := text(t, path); got != "one\ntwo\n" {
		t.Errorf("%q", got)
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l, _ := open(t, path, 1<<20)
	l.Append([]byte("one\n"))
	eventually(t, "the first line", func() bool { return text(t, path) == "one\n" })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Reopen()
	l.Append([]byte("two\n"))
	eventually(t, "the second line in a new file", func() bool { return text(t, path) == "two\n" })
	if got := text(t, path+".1"); got != "one\n" {
		t.Errorf("the old file has %q", got)
	}
}

// Whoever rotates need not tell.
func TestTheFileIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l, _ := open(t, path, 1<<20)
	for i, away := range []func() error{
		func() error { return os.Rename(path, path+".1") },
		func() error { return os.Remove(path) },
		func() error { return os.Truncate(path, 0) },
	} {
		if err := away(); err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("line %d\n", i)
		eventually(t, "a line in the file that is there", func() bool {
			l.Append([]byte(line))
			return strings.Contains(text(t, path), line)
		})
	}
}

// When the path cannot be opened anew, the open file goes on.
func TestAPathThatIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "access.log")
	l, lines := open(t, path, 1<<20)
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	l.Reopen()
	l.Append([]byte("one\n"))
	moved := filepath.Join(dir+".old", "access.log")
	eventually(t, "the line", func() bool { return text(t, moved) == "one\n" })
	closed(t, l)
	if !strings.Contains(lines.String(), "not opened anew") {
		t.Errorf("the log says %q", lines.String())
	}
}

// A reader that is stuck holds up nobody: what finds no room is dropped and counted, and told a few times.
func TestAWriterThatIsStuck(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var lines told
	l := &Log{
		room: 64 << 10, logger: lines.logger(), file: &output{path: "pipe", file: w},
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go l.run()
	line := []byte(strings.Repeat("x", 1023) + "\n")
	const sent = 2000 // the pipe holds 64 KiB, and the log twice as much
	for range sent {
		l.Append(line)
	}
	eventually(t, "dropped lines", func() bool { l.Append(line); return l.Dropped() > 0 })
	eventually(t, "a line about it", func() bool { return strings.Contains(lines.String(), "lines of the access log are dropped") })
	dropped := l.Dropped()
	if times := strings.Count(lines.String(), "lines of the access log are dropped"); times > 13 {
		t.Errorf("%d lines tell of %d that were dropped", times, dropped)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Close(ctx); err == nil {
		t.Error("a close that may not wait has no error")
	}
	var read sync.WaitGroup
	read.Go(func() { _, _ = io.Copy(io.Discard, r) })
	closed(t, l)
	w.Close()
	read.Wait()
}

// Both logs may lead to one reader: requests do not wait for the line either that tells of those that were dropped.
func TestALoggerThatIsStuck(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := &Log{
		room: 64 << 10, logger: slog.New(slog.NewTextHandler(w, nil)), file: &output{path: "pipe", file: w},
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go l.run()
	served := make(chan struct{})
	go func() {
		defer close(served)
		line := []byte(strings.Repeat("x", 1023) + "\n")
		for l.Dropped() < 100 {
			l.Append(line)
		}
	}()
	select {
	case <-served:
	case <-time.After(patience):
		t.Error("requests wait for the log")
	}
	var read sync.WaitGroup
	read.Go(func() { _, _ = io.Copy(io.Discard, r) })
	<-served
	closed(t, l)
	eventually(t, "the line about it to be written", func() bool { return !l.telling.Load() })
	w.Close()
	read.Wait()
	r.Close()
}

// A line that comes behind the end says so: no buffer is too small for it.
func TestALineThatIsLate(t *testing.T) {
	l, lines := open(t, filepath.Join(t.TempDir(), "access.log"), 1<<20)
	closed(t, l)
	l.Append([]byte("late\n"))
	eventually(t, "a line about it", func() bool { return strings.Contains(lines.String(), "the log is closed") })
	if said := lines.String(); l.Dropped() != 1 || strings.Contains(said, "proxy_access_log_buffer") {
		t.Errorf("dropped %d, the log says %q", l.Dropped(), said)
	}
}

// A disk that is full costs the lines that it does not take. The next line begins at the beginning of one.
func TestAFileThatTakesOnlyAPart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	o, err := openOutput(path)
	if err != nil {
		t.Fatal(err)
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limited := before
	limited.Cur = 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
		t.Fatal(err)
	}
	rest, werr := o.write([]byte("one\ntwo\nthree\nfour\n"))
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if werr == nil || string(rest) != "ree\nfour\n" {
		t.Fatalf("rest %q, %v", rest, werr)
	}
	if rest, err := o.write([]byte("five\n")); err != nil || len(rest) > 0 {
		t.Fatal(err)
	}
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	if got := text(t, path); got != "one\ntwo\nth\nfive\n" {
		t.Errorf("%q", got)
	}
	// Whoever makes room by truncating the file leaves no line to be ended.
	if o, err = openOutput(path); err != nil {
		t.Fatal(err)
	}
	o.torn = true
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if rest, err := o.write([]byte("six\n")); err != nil || len(rest) > 0 {
		t.Fatal(err)
	}
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	if got := text(t, path); got != "six\n" {
		t.Errorf("%q", got)
	}
}

func TestPathsThatAreNoFiles(t *testing.T) {
	dir := t.TempDir()
	pipe, socket := filepath.Join(dir, "pipe"), filepath.Join(dir, "socket")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for path, want := range map[string]string{
		dir: "found a directory, expected a file", pipe: "found a named pipe", socket: "found a socket",
		filepath.Join(dir, "none", "access.log"): "no such file or directory",
	} {
		if _, err := Open(Options{Path: path, Room: 1 << 20, Logger: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	l, _ := open(t, os.DevNull, 1<<20)
	l.Append([]byte("x\n"))
	closed(t, l)
	if l.Dropped() != 0 {
		t.Error("the device that takes everything takes nothing")
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	l, _ := open(t, os.DevNull, 1<<20)
	line := []byte(strings.Repeat("x", 300) + "\n")
	if n := testing.AllocsPerRun(1000, func() { l.Append(line) }); n > 0.1 { // the room grows at the beginning
		t.Errorf("%v allocations", n)
	}
}

func TestFields(t *testing.T) {
	for _, name := range Names() {
		f, err := ParseField(name)
		if err != nil || f.Name != name || f.Key() != `"`+name+`":` {
			t.Errorf("%s: %+v %v", name, f, err)
		}
	}
	if f, err := ParseField("response_header.X-Cache_Status"); err != nil || f.Code != ResponseHeader || f.Header != "x-cache_status" {
		t.Errorf("%+v %v", f, err)
	}
	for _, name := range []string{"", "Time", "request_header", "request_header.", "request_header.a b", `request_header.a"b`, "response_header.a:b", "x"} {
		if f, err := ParseField(name); err == nil {
			t.Errorf("%s is %+v", name, f)
		}
	}
}

// The page about the access log has every field with its meaning.
func TestFieldsAreDocumented(t *testing.T) {
	page := text(t, filepath.Join("..", "..", "..", "docs", "guides", "access-log.md"))
	for _, f := range Docs() {
		if row := "| `" + f.Name + "` | " + f.Text + " |\n"; !strings.Contains(page, row) {
			t.Errorf("docs/guides/access-log.md lacks the row\n%s", row)
		}
	}
}

// Whatever text is in a field, the line is one line of JSON that says the same.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", `a"b\c`, "\x00\x1f\x7f\u0080\u009f\u00a0", "\xff\xc3(", "\u2028 ä 😀", "\u202egnp.exe\u2066\u200e\u061c\u2027\u202f", "\ufffd", strings.Repeat("x\n", 9)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := AppendString([]byte("x"), s)
		var got string
		if err := json.Unmarshal(b[1:], &got); err != nil {
			t.Fatalf("%q gives %q: %v", s, b, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); utf8.ValidString(s) && got != want || len([]rune(s)) != len([]rune(got)) {
			t.Fatalf("%q gives %q", s, got)
		}
		for _, r := range string(b[1:]) {
			if r < ' ' || r >= 0x7f && r < 0xa0 || strings.ContainsRune("\u061c\u200e\u2028\u2029\u202a\u202e\u2066\u2069", r) {
				t.Fatalf("%q gives %q", s, b)
			}
		}
	})
}

func TestTimes(t *testing.T) {
	at := time.Date(2026, 11, 22, 1, 2, 3, 456789000, time.FixedZone("x", 3600))
	if got := string(AppendTime(nil, at)); got != `"2026-11-22T00:02:03.456789Z"` {
		t.Error(got)
	}
	for d, want := range map[time.Duration]string{0: "0.000", time.Microsecond: "0.001", 1234567 * time.Microsecond: "1234.567", -time.Second: "0.000", 99 * time.Millisecond: "99.000"} {
		if got := string(AppendMilliseconds(nil, d)); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
