package runner

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/report"
)

// Machine reads what Linux tells; what it does not tell stays empty.
func Machine() report.Machine {
	memory, _ := statusField(contents("/proc/meminfo"), "MemTotal")
	return report.Machine{
		CPU: cpuModel(contents("/proc/cpuinfo")), Cores: runtime.NumCPU(), Memory: memory << 10,
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

var modelLine = regexp.MustCompile(`(?m)^model name\s*:\s*(.+)$`)

func cpuModel(cpuinfo string) string {
	if m := modelLine.FindStringSubmatch(cpuinfo); m != nil {
		return strings.TrimSpace(m[1])
	}
	return runtime.GOARCH
}

// Versions asks the languages that take part; one that does not answer is left out.
func (r *Runner) Versions(ctx context.Context) map[string]string {
	v := map[string]string{"go": strings.TrimPrefix(runtime.Version(), "go")}
	for language, name := range map[string]string{"python": "python", "js": "node"} {
		command := r.kits[language]
		if len(command) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		out, _ := exec.CommandContext(ctx, command[0], "--version").CombinedOutput()
		cancel()
		if number := versionNumber.FindString(string(out)); number != "" {
			v[name] = number
		}
	}
	return v
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+`)

// Commit is the one that this program was built from, or else that of the checkout here, with -dirty when files differ from it; unknown when
// neither tells.
func Commit(ctx context.Context) string {
	id, dirty := "", ""
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, s := range build.Settings {
			switch {
			case s.Key == "vcs.revision":
				id = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = "-dirty"
			}
		}
	}
	if id == "" && exists("bench/targets.yaml") { // built without it, which GOFLAGS may say
		id = git(ctx, "rev-parse", "HEAD")
		if git(ctx, "status", "--porcelain", "--untracked-files=no", "--", ":!bench/results") != "" {
			dirty = "-dirty"
		}
	}
	if len(id) < 10 {
		return "unknown"
	}
	return id[:10] + dirty
}

// git asks git about this directory; "" when it does not answer.
func git(ctx context.Context, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "git", args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
