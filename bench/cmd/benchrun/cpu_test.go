package main

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestParseProcStat(t *testing.T) {
	line := "4121 (a (strange) name) S 77 4121 4121 0 -1 4194304 1500 0 0 0 250 125 3 4 20 0 12 0 100 1000000 500 18446744073709551615\n"
	got, err := parseProcStat(line)
	if want := (procStat{Parent: 77, CPU: 3750 * time.Millisecond}); err != nil || got != want {
		t.Fatalf("found %+v, %v, expected %+v", got, err, want)
	}
	for _, bad := range []string{"", "4121 (x) S 77", "4121 (x) S a 4121 4121 0 -1 4194304 1500 0 0 0 250 125 3"} {
		if got, err := parseProcStat(bad); err == nil {
			t.Errorf("%q: found %+v, expected an error", bad, got)
		}
	}
}

func TestParseMachineCPU(t *testing.T) {
	got, err := parseMachineCPU("cpu  100 10 50 700 20 3 4 5 0 0\ncpu0 1 2 3\n")
	if want := (machineCPU{Busy: 160 * tick, Steal: 5 * tick, Idle: 720 * tick}); err != nil || got != want {
		t.Fatalf("found %+v, %v, expected %+v", got, err, want)
	}
	for _, bad := range []string{"", "cpu 1 2 3", "cpu a b c d e f g h", "intr 1 2 3 4 5 6 7 8"} {
		if got, err := parseMachineCPU(bad); err == nil {
			t.Errorf("%q: found %+v, expected an error", bad, got)
		}
	}
}

func TestBelow(t *testing.T) {
	children := map[int][]int{1: {10, 20}, 10: {30}, 30: {5}, 99: {40}}
	if got := below(children, 1); !slices.Equal(got, []int{5, 10, 20, 30}) {
		t.Fatalf("found %v", got)
	}
}

func TestDescendantsOfThisProcess(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it says that it was killed
	})
	got, err := descendants(os.Getpid())
	if err != nil || !slices.Contains(got, cmd.Process.Pid) {
		t.Fatalf("found %v, %v, expected %d among them", got, err, cmd.Process.Pid)
	}
}

func TestOthersPart(t *testing.T) {
	before := usage{}
	after := usage{host: time.Second, servers: time.Second / 2, upstream: time.Second / 4}
	after.machine = machineCPU{Busy: 3 * time.Second, Steal: time.Second / 4, Idle: 750 * time.Millisecond}
	if got := othersPart(before, after, time.Second, 2*time.Second); got != 0.125 {
		t.Fatalf("found %v, expected (3 - 2.75 + 0.25) / 4", got)
	}
	if got := othersPart(before, before, 0, time.Second); got != 0 {
		t.Fatalf("found %v for a machine that did nothing", got)
	}
}
