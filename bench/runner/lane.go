package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
		Results []laneResult `json:"results"`
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return report.Result{}, fmt.Errorf("reading what the measurement of lanes says: %w", err)
	}
	result := report.Result{Name: s.Name, Question: s.Question}
	for _, l := range s.Loads {
		for _, x := range found.Results {
			if x.Callers == l.Connections {
				result.Points = append(result.Points, x.point(l))
			}
		}
	}
	return result, nil
}

// point takes what is a median already for the only sample.
func (x *laneResult) point(l scenario.Load) report.Point {
	name := x.Name
	if x.Pinned {
		name += "-pinned"
	}
	p := report.Point{Variant: name, Baseline: name, Load: l, Samples: []report.Sample{{Round: 1, Values: map[string]float64{
		report.PerSecond: x.Rate, report.P50: x.P50, report.P99: x.P99, report.HostCPU: x.CPUHost, report.ServerCPU: x.CPUServer,
		report.CPU: x.CPUHost + x.CPUServer, report.HostAllocs: x.Allocs,
	}}}}
	p.Summarise()
	return p
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
	words := r.role("", args...)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("measuring lanes: %w\n%s", errors.Join(err, context.Cause(ctx)), strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}
