package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Machine is where the figures come from.
type Machine struct {
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"`
	// Memory in bytes.
	Memory int64  `json:"memory"`
	Kernel string `json:"kernel"`
}

// describeMachine reads what Linux tells; what it does not tell stays empty.
func describeMachine() Machine {
	return Machine{
		CPU: cpuModel(contents("/proc/cpuinfo")), Cores: runtime.NumCPU(), Memory: memory(contents("/proc/meminfo")),
		Kernel: strings.TrimSpace(contents("/proc/sys/kernel/osrelease")),
	}
}

func contents(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}

var (
	modelLine  = regexp.MustCompile(`(?m)^model name\s*:\s*(.+)$`)
	memoryLine = regexp.MustCompile(`(?m)^MemTotal:\s+(\d+) kB$`)
)

func cpuModel(cpuinfo string) string {
	if m := modelLine.FindStringSubmatch(cpuinfo); m != nil {
		return strings.TrimSpace(m[1])
	}
	return runtime.GOARCH
}

func memory(meminfo string) int64 {
	m := memoryLine.FindStringSubmatch(meminfo)
	if m == nil {
		return 0
	}
	kib, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// toolVersions asks the tools that take part; one that does not answer is left out.
func toolVersions(ctx context.Context, root string) map[string]string {
	v := map[string]string{"go": strings.TrimPrefix(runtime.Version(), "go")}
	for name, command := range map[string][]string{
		"python": {filepath.Join(root, ".venv/bin/python"), "--version"},
		"node":   {"node", "--version"},
		"wrk":    {"wrk", "--version"}, // it ends with an error and prints the version all the same
	} {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		out, _ := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
		cancel()
		if number := versionIn(string(out)); number != "" {
			v[name] = number
		}
	}
	return v
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+`)

// versionIn finds the first version number of a text.
func versionIn(text string) string { return versionNumber.FindString(text) }

// commit names the commit of a checkout, with -dirty when files differ from it; unknown outside of git.
func commit(ctx context.Context, root string) string {
	git := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	id, err := git("rev-parse", "--short=10", "HEAD")
	if err != nil || id == "" {
		return "unknown"
	}
	changed, err := git("status", "--porcelain", "--untracked-files=no", "--", ":!bench/results")
	if err != nil || changed != "" {
		id += "-dirty"
	}
	return id
}
