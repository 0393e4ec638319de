package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/report"
	"github.com/outrigger-gateway/outrigger/bench/scenario"
)

// baselines are where a checkout keeps the programs that lanes are compared with.
const baselines = "bench/baselines"

// laneResult is what role lane says of one target at one number of callers.
type laneResult struct {
	Name      string  `json:"name"`
	Pinned    bool    `json:"pinned"`
	Callers   int     `json:"callers"`
	Round     int     `json:"round"`
	Rate      float64 `json:"calls_per_s"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	CPUHost   float64 `json:"cpu_host_us"`
	CPUServer float64 `json:"cpu_server_us"`
	Allocs    float64 `json:"allocs_host"`
}

// lane runs a scenario of lanes: no gateway, but the plugin servers alone, each beside an echo in its language, and a ping-pong.
func (r *Runner) lane(ctx context.Context, s *scenario.Scenario) (report.Result, error) {
	r.say("%s: %s", s.Name, s.Question)
	out, err := r.runLane(ctx, r.laneArguments(s))
	if err != nil {
		return report.Result{}, err
	}
	var found struct {
		Rounds []laneResult `json:"rounds"`
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return report.Result{}, fmt.Errorf("reading what the measurement of lanes says: %w", err)
	}
	return laneReport(s, found.Rounds), nil
}

// laneReport makes a point of the rounds of each target at each number of callers.
func laneReport(s *scenario.Scenario, rounds []laneResult) report.Result {
	result := report.Result{Name: s.Name, Question: s.Question}
	for _, l := range s.Loads {
		for _, x := range rounds {
			if x.Callers != l.Connections {
				continue
			}
			name := x.Name
			if x.Pinned {
				name += "-pinned"
			}
			if result.Find(name, l) == nil {
				result.Points = append(result.Points, report.Point{Variant: name, Baseline: name, Load: l})
			}
			p := result.Find(name, l)
			p.Samples = append(p.Samples, x.sample())
		}
	}
	for i := range result.Points {
		result.Points[i].Summarise()
	}
	return result
}

// sample is one round. The ping-pong has no server whose processor time it tells.
func (x *laneResult) sample() report.Sample {
	values := map[string]float64{report.PerSecond: x.Rate, report.P50: x.P50, report.P99: x.P99, report.HostCPU: x.CPUHost, report.HostAllocs: x.Allocs}
	if x.CPUServer > 0 {
		values[report.ServerCPU], values[report.CPU] = x.CPUServer, x.CPUHost+x.CPUServer
	}
	return report.Sample{Round: x.Round, Values: values}
}

// laneArguments are those of role lane.
func (r *Runner) laneArguments(s *scenario.Scenario) []string {
	var callers []string
	for _, l := range s.Loads {
		callers = append(callers, strconv.Itoa(l.Connections))
	}
	args := []string{
		"lane", "--json", "--rounds", strconv.Itoa(r.Rounds), "--duration", r.Sample.String(), "--callers", strings.Join(callers, ","),
		"--plugin", "bench-work", "--pin", "0",
	}
	echoes := map[string]string{"go": "", "python": "echo.py", "js": "echo.mjs"}
	for _, v := range s.Variants {
		kit, _ := v.Servers[0]["kit"].(string)
		command := r.kits[kit]
		args = append(args, "--target", v.Name+"=server:"+strings.Join(command, " "))
		if file := echoes[kit]; file == "" {
			args = append(args, "--target", v.Name+"-echo=echo:")
		} else if path, err := filepath.Abs(filepath.Join(baselines, file)); err == nil && exists(path) {
			args = append(args, "--target", v.Name+"-echo=echo:"+command[0]+" "+path)
		}
	}
	if source := filepath.Join(baselines, "pingpong.c"); exists(source) {
		args = append(args, "--pingpong", source)
	} else {
		r.skip("the ping-pong in C and the echoes: found no %s; run it in a checkout", baselines)
	}
	return args
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (r *Runner) runLane(ctx context.Context, args []string) ([]byte, error) {
	// It makes directories of its own, which it cannot remove when it is ended from outside: they go with the scratch directory.
	words := r.role("", args...)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "TMPDIR="+r.scratch)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("measuring lanes: %w\n%s", err, strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}
