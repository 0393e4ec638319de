package lanebench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// pingPong is the compiled ping-pong; nil: there is none.
type pingPong struct{ dir, program string }

// buildPingPong compiles the source. Where there is no compiler the ping-pong is missing, and standard error says so.
func buildPingPong(source string) (*pingPong, error) {
	if source == "" {
		return nil, nil
	}
	if _, err := os.Stat(source); err != nil {
		return nil, fmt.Errorf("--pingpong: %w", err)
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		fmt.Fprintln(os.Stderr, "pingpong is missing: there is no C compiler called cc")
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "pingpong")
	if err != nil {
		return nil, err
	}
	p := &pingPong{dir, filepath.Join(dir, "pingpong")}
	if said, err := exec.Command(cc, "-O2", "-o", p.program, source).CombinedOutput(); err != nil {
		p.remove()
		return nil, fmt.Errorf("compiling %s: %w\n%s", source, err, said)
	}
	return p, nil
}

// run sends so many bytes and waits for so many, again and again.
func (p *pingPong) run(sent, received int, duration time.Duration) (Result, error) {
	said, err := exec.Command(p.program, strconv.Itoa(sent), strconv.Itoa(received), strconv.FormatInt(duration.Milliseconds(), 10)).Output()
	if err != nil {
		return Result{}, fmt.Errorf("pingpong: %w", err)
	}
	var n int
	var p50, p99, cpu float64 // nanoseconds
	if _, err := fmt.Sscan(strings.TrimSpace(string(said)), &n, &p50, &p99, &cpu); err != nil || n == 0 {
		return Result{}, fmt.Errorf("pingpong said %q; expected round trips, p50, p99 and CPU time of one side in nanoseconds", said)
	}
	return Result{
		Name: "c-pingpong", Callers: 1, Rate: float64(n) / duration.Seconds(), P50: p50 / 1000, P99: p99 / 1000, CPUHost: cpu / 1000 / float64(n),
		Sent: sent, Received: received,
	}, nil
}

func (p *pingPong) remove() {
	if p != nil {
		_ = os.RemoveAll(p.dir)
	}
}
