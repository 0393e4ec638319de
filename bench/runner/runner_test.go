package runner

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/report"
	"github.com/outrigger-gateway/outrigger/bench/scenario"
)

func TestParentOf(t *testing.T) {
	if parent, err := parentOf("42 (a (b) c) S 17 42 42 0 -1"); err != nil || parent != 17 {
		t.Errorf("found %d, %v", parent, err)
	}
	for _, line := range []string{"", "42 (a", "42 (a) S", "42 (a) S x"} {
		if _, err := parentOf(line); err == nil {
			t.Errorf("%q was read", line)
		}
	}
}

func TestBelow(t *testing.T) {
	children := map[int][]int{1: {5, 2}, 2: {9}, 9: {3}, 7: {8}}
	if found := below(children, 1); !slices.Equal(found, []int{2, 3, 5, 9}) {
		t.Errorf("found %v", found)
	}
}

func TestUsed(t *testing.T) {
	if sum, err := used([]time.Duration{1, 2}, "it"); err != nil || sum != 3 {
		t.Errorf("found %d, %v", sum, err)
	}
	if _, err := used([]time.Duration{1, -1}, "it"); err == nil || err.Error() != "it was restarted, or has ended" {
		t.Errorf("found %v", err)
	}
}

func TestMachineCPU(t *testing.T) {
	m, err := parseMachineCPU("cpu  10 5 20 1000 7 3 4 2 0 0\ncpu0 1 1\n")
	if want := (machineCPU{Busy: 350 * time.Millisecond, Steal: 20 * time.Millisecond, Idle: 10070 * time.Millisecond}); err != nil || m != want {
		t.Errorf("found %+v, %v", m, err)
	}
	for _, text := range []string{"", "cpu 1 2", "cpu a b c d e f g h"} {
		if _, err := parseMachineCPU(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
	before, after := machineCPU{Busy: time.Second, Idle: time.Second}, machineCPU{Busy: 3 * time.Second, Steal: time.Second, Idle: 2 * time.Second}
	if found := others(before, after, time.Second); found != 0.5 {
		t.Errorf("others: found %v, expected 0.5: one second of two was ours, one was stolen, one idle", found)
	}
	if found := others(before, before, 0); found != 0 {
		t.Errorf("no time: found %v", found)
	}
}

func TestStatusField(t *testing.T) {
	text := "Name:\tx\nVmRSS:\t  1234 kB\nMemTotal: 9 kB\n"
	if n, err := statusField(text, "VmRSS"); err != nil || n != 1234 {
		t.Errorf("found %d, %v", n, err)
	}
	if _, err := statusField(text, "VmSwap"); err == nil {
		t.Error("a field that is not there was read")
	}
	if n, err := residentMemory([]int{os.Getpid()}); err != nil || n < 1<<20 {
		t.Errorf("own memory: found %d, %v", n, err)
	}
}

func TestProcessTalks(t *testing.T) {
	dir := t.TempDir()
	p, err := start(program{name: "A Shell", dir: dir, args: []string{"/bin/sh", "-c", "echo noise; echo ready $NAME; echo trouble >&2; sleep 60 & wait"}, env: []string{"NAME=x"}})
	if err != nil {
		t.Fatal(err)
	}
	found, err := p.line(context.Background(), "ready ", 20*time.Second)
	if err != nil || found != "x" || p.running() != nil {
		t.Errorf("found %q, %v, %v", found, err, p.running())
	}
	children, err := descendants(p.pid())
	for end := time.Now().Add(20 * time.Second); len(children) == 0 && err == nil && time.Now().Before(end); {
		children, err = descendants(p.pid())
	}
	if err != nil || len(children) != 1 {
		t.Errorf("found the children %v, %v", children, err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	for _, pid := range children { // sleep does not end with the shell
		child, _ := os.FindProcess(pid)
		_ = child.Kill()
		if err := gone(pid, 20*time.Second); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "a-shell.log")); err != nil {
		t.Error(err)
	}
	if err := p.running(); err == nil || !strings.Contains(err.Error(), "A Shell ended") || !strings.Contains(err.Error(), "trouble") {
		t.Errorf("found %v, expected that it ended, and its log", err)
	}
}

func TestProcessThatEndsEarly(t *testing.T) {
	p, err := start(program{name: "p", dir: t.TempDir(), args: []string{"/bin/sh", "-c", "echo no room >&2; exit 3"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.line(context.Background(), "ready ", 20*time.Second); err == nil || !strings.Contains(err.Error(), "p ended: exit status 3\nno room") {
		t.Errorf("found %v", err)
	}
	if _, err := start(program{name: "p", dir: t.TempDir(), args: []string{"/nowhere/at/all"}}); err == nil {
		t.Error("a program that is not there was started")
	}
}

func TestHeadOf(t *testing.T) {
	head := []byte("GET / HTTP/1.1\r\nhost: a\r\nx-bench: hello, bench\r\n\r\n")
	if found := headOf(head, "X-Bench"); found != "hello, bench" {
		t.Errorf("found %q", found)
	}
	if found := headOf(head, "X-Other"); found != "" {
		t.Errorf("found %q", found)
	}
}

func TestListensAt(t *testing.T) {
	for _, c := range []struct {
		words          []string
		last           bool
		network, where string
	}{
		{[]string{"agent", "--listen", "unix:/a"}, false, "unix", "/a"},
		{[]string{"agent", "--listen", "127.0.0.1:1"}, false, "tcp", "127.0.0.1:1"},
		{[]string{"agent"}, false, "", ""},
		{[]string{"gateway", "--listen", "unix:/a"}, true, "tcp", "g:1"},
	} {
		if network, where := listensAt(c.words, c.last, "g:1"); network != c.network || where != c.where {
			t.Errorf("%v: found %s %s", c.words, network, where)
		}
	}
}

func TestLookIn(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"tool": 0o755, "text": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := lookIn("/nowhere:"+dir, "tool"); err != nil || found != filepath.Join(dir, "tool") {
		t.Errorf("found %s, %v", found, err)
	}
	if _, err := lookIn(dir, "text"); err == nil {
		t.Error("a file that is no program was found")
	}
}

// A directory of the cache is named after what is in it, prepared again without being written again, and removed when nobody used it for long.
func TestPrepareKit(t *testing.T) {
	cache := t.TempDir()
	old := filepath.Join(cache, "python-old")
	recent := filepath.Join(cache, "python-recent")
	other := filepath.Join(cache, "js-old")
	for _, dir := range []string{old, recent, other} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * keepFor)
	for _, dir := range []string{old, other} {
		if err := os.Chtimes(dir, long, long); err != nil {
			t.Fatal(err)
		}
	}
	var prepared []string
	sdk := 1
	r := Runner{
		Cache: cache, SDK: func(string) (string, error) { return strconv.Itoa(sdk), nil },
		Prepare: func(_ context.Context, dir string, _ io.Writer) ([]string, error) {
			prepared = append(prepared, dir)
			if _, err := os.Stat(filepath.Join(dir, "plugin.py")); err != nil {
				return nil, err
			}
			return []string{"python", dir}, nil
		},
	}
	for range 2 {
		if command, err := r.prepareKit(context.Background(), "python"); err != nil || command[0] != "python" {
			t.Fatal(command, err)
		}
	}
	sdk = 2
	if _, err := r.prepareKit(context.Background(), "python"); err != nil {
		t.Fatal(err)
	}
	if len(prepared) != 3 || prepared[0] != prepared[1] || prepared[1] == prepared[2] {
		t.Errorf("prepared %v", prepared)
	}
	for dir, want := range map[string]bool{old: false, recent: true, other: true} {
		if exists(dir) != want {
			t.Errorf("%s: there %v, expected %v", filepath.Base(dir), exists(dir), want)
		}
	}
}

func TestAllowsFiles(t *testing.T) {
	if err := allowsFiles(1); err != nil {
		t.Error(err)
	}
	if err := allowsFiles(1 << 40); err == nil || !strings.Contains(err.Error(), "raise it with ulimit -n") {
		t.Errorf("found %v", err)
	}
}

// Lanes have a sample for each round, so that their spread is seen and ratios are taken within a round.
func TestLaneReport(t *testing.T) {
	s := &scenario.Scenario{Name: "lane", Loads: scenario.Loads{{Connections: 1}}}
	r := laneReport(s, []laneResult{
		{Name: "go", Callers: 1, Round: 1, Rate: 10, P50: 3, CPUHost: 1, CPUServer: 2}, {Name: "c", Callers: 1, Round: 1, CPUHost: 1}, {Name: "go", Callers: 64, Round: 1, P50: 9},
		{Name: "go", Callers: 1, Round: 2, Rate: 30, P50: 5, CPUHost: 1, CPUServer: 2}, {Name: "go", Callers: 1, Round: 1, Pinned: true, P50: 7},
	})
	if len(r.Points) != 3 || r.Points[0].Variant != "go" || r.Points[1].Variant != "c" || r.Points[2].Variant != "go-pinned" {
		t.Fatalf("found %+v", r.Points)
	}
	if m := r.Points[0].Measures; m[report.P50].Min != 3 || m[report.P50].Max != 5 || m[report.PerSecond].Median != 20 || m[report.CPU].Median != 3 {
		t.Errorf("found %+v", m)
	}
	if _, found := r.Points[1].Measures[report.ServerCPU]; found {
		t.Error("the ping-pong tells no processor time of a server")
	}
}
