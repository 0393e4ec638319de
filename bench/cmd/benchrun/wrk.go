package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// load is what wrk measured.
type load struct {
	Requests  int
	Elapsed   time.Duration
	PerSecond float64
	P50, P99  time.Duration
	Errors    Errors
	// CPU is what wrk itself used.
	CPU time.Duration
}

// Errors counts what went wrong on the client's side.
type Errors struct {
	// Status counts the responses that were no success.
	Status  int `json:"status,omitempty"`
	Connect int `json:"connect,omitempty"`
	Read    int `json:"read,omitempty"`
	Write   int `json:"write,omitempty"`
	Timeout int `json:"timeout,omitempty"`
}

// Total is the number of all errors.
func (e Errors) Total() int { return e.Status + e.Connect + e.Read + e.Write + e.Timeout }

func (e Errors) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{e.Status, "no success"}, {e.Connect, "connect"}, {e.Read, "read"}, {e.Write, "write"}, {e.Timeout, "timeout"}} {
		if p.n > 0 {
			parts = append(parts, strconv.Itoa(p.n)+" "+p.what)
		}
	}
	return strings.Join(parts, ", ")
}

func (e *Errors) add(o Errors) {
	e.Status += o.Status
	e.Connect += o.Connect
	e.Read += o.Read
	e.Write += o.Write
	e.Timeout += o.Timeout
}

// wrk drives url for a time over a number of connections, from one thread.
func wrk(ctx context.Context, pinned []string, url string, headers map[string]string, connections int, d time.Duration) (load, error) {
	seconds := max(1, int(d.Round(time.Second)/time.Second))
	run, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+20*time.Second)
	defer cancel()
	args := slices.Concat(pinned, []string{"wrk", "--latency", "-t1", "-c" + strconv.Itoa(connections), "-d" + strconv.Itoa(seconds) + "s"})
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		args = append(args, "-H", name+": "+headers[name])
	}
	cmd := exec.CommandContext(run, args[0], append(args[1:], url)...)
	cmd.SysProcAttr = ownGroup()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return load{}, ctx.Err() // it was ended from outside
		}
		return load{}, fmt.Errorf("wrk at %s with %d connections: %w: %s", url, connections, err, bytes.TrimSpace(append(errOut.Bytes(), out.Bytes()...)))
	}
	l, err := parseWrk(out.String())
	l.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return l, err
}

var (
	wrkPercentile = regexp.MustCompile(`(?m)^\s+(50|99)%\s+(\S+)$`)
	wrkTotal      = regexp.MustCompile(`(?m)^\s+(\d+) requests in ([0-9.]+[a-z]+), `)
	wrkRate       = regexp.MustCompile(`(?m)^Requests/sec:\s+([0-9.]+)$`)
	wrkSocket     = regexp.MustCompile(`(?m)^\s+Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)$`)
	wrkStatus     = regexp.MustCompile(`(?m)^\s+Non-2xx or 3xx responses: (\d+)$`)
)

// parseWrk reads the report of wrk 4 with --latency.
func parseWrk(text string) (load, error) {
	var l load
	total := wrkTotal.FindStringSubmatch(text)
	rate := wrkRate.FindStringSubmatch(text)
	percentiles := wrkPercentile.FindAllStringSubmatch(text, -1)
	if total == nil || rate == nil || len(percentiles) != 2 {
		return l, fmt.Errorf("report of wrk: found %q, expected requests, a rate and the latencies at 50%% and 99%%", text)
	}
	var err error
	if l.Requests, err = strconv.Atoi(total[1]); err != nil {
		return l, fmt.Errorf("report of wrk: %w", err)
	}
	if l.Elapsed, err = wrkDuration(total[2]); err != nil {
		return l, err
	}
	if l.PerSecond, err = strconv.ParseFloat(rate[1], 64); err != nil {
		return l, fmt.Errorf("report of wrk: %w", err)
	}
	if l.P50, err = wrkDuration(percentiles[0][2]); err != nil {
		return l, err
	}
	if l.P99, err = wrkDuration(percentiles[1][2]); err != nil {
		return l, err
	}
	if m := wrkSocket.FindStringSubmatch(text); m != nil {
		for i, n := range []*int{&l.Errors.Connect, &l.Errors.Read, &l.Errors.Write, &l.Errors.Timeout} {
			if *n, err = strconv.Atoi(m[i+1]); err != nil {
				return l, fmt.Errorf("report of wrk: %w", err)
			}
		}
	}
	if m := wrkStatus.FindStringSubmatch(text); m != nil {
		if l.Errors.Status, err = strconv.Atoi(m[1]); err != nil {
			return l, fmt.Errorf("report of wrk: %w", err)
		}
	}
	if l.Requests == 0 {
		return l, fmt.Errorf("report of wrk: no request was answered (%s)", l.Errors)
	}
	return l, nil
}

// wrkDuration reads a time as wrk writes it: us, ms, s, m or h after a decimal number.
func wrkDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("report of wrk: found the time %q, expected one such as 1.25ms", s)
	}
	return d, nil
}
