package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// footprint is what a gateway uses.
type footprint struct {
	Goroutines  int     `json:"goroutines"`
	HeapMiB     float64 `json:"heap_mib"` // objects, dead ones that wait for the collector too
	RSSMiB      float64 `json:"rss_mib"`
	Descriptors int     `json:"descriptors"`
}

// least is the smaller of two footprints, field by field: what is used whatever else happened to be going on.
func least(a, b footprint) footprint {
	return footprint{
		Goroutines: min(a.Goroutines, b.Goroutines), HeapMiB: min(a.HeapMiB, b.HeapMiB),
		RSSMiB: min(a.RSSMiB, b.RSSMiB), Descriptors: min(a.Descriptors, b.Descriptors),
	}
}

// admin asks the Admin listener of a gateway, which is a unix socket.
type admin struct{ http http.Client }

func newAdmin(socket string) *admin {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &admin{http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: clientLimit}}
}

func (a *admin) get(path string) ([]byte, error) {
	resp, err := a.http.Get("http://admin" + path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s of the Admin listener: status %d: %.200q", path, resp.StatusCode, body)
	}
	return body, nil
}

// serverStatus is what the status says about the only plugin server.
type serverStatus struct {
	Ready     bool   `json:"ready"`
	Reason    string `json:"reason"`
	Processes []struct {
		PID    int    `json:"pid"`
		State  string `json:"state"`
		Reason string `json:"reason"`
		Starts int    `json:"starts"`
	} `json:"processes"`
}

func (s *serverStatus) starts() (n int) {
	for _, p := range s.Processes {
		n += p.Starts
	}
	return n
}

func (a *admin) status() (*serverStatus, error) {
	body, err := a.get("/status")
	if err != nil {
		return nil, err
	}
	var all struct {
		PluginServers []serverStatus `json:"plugin_servers"`
	}
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("/status of the Admin listener: %w", err)
	}
	if len(all.PluginServers) != 1 {
		return nil, fmt.Errorf("/status of the Admin listener: found %d plugin servers, expected 1", len(all.PluginServers))
	}
	return &all.PluginServers[0], nil
}

// quarantined is how many requests the gateway refuses because they killed the plugin server.
func (a *admin) quarantined() (int, error) {
	body, err := a.get("/status")
	if err != nil {
		return 0, err
	}
	var st struct {
		Quarantine struct {
			Count int `json:"count"`
		} `json:"quarantine"`
	}
	if err := json.Unmarshal(body, &st); err != nil {
		return 0, fmt.Errorf("/status of the Admin listener: %w", err)
	}
	return st.Quarantine.Count, nil
}

// metric reads the value of a metric without labels from Prometheus' text format.
func metric(text []byte, name string) (float64, error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == name {
			return strconv.ParseFloat(fields[1], 64)
		}
	}
	return 0, fmt.Errorf("metrics: no %s among %d bytes", name, len(text))
}

// measure reads the footprint of a gateway.
func measure(a *admin, pid int) (footprint, error) {
	text, err := a.get("/metrics")
	if err != nil {
		return footprint{}, err
	}
	goroutines, err := metric(text, "go_goroutines")
	if err != nil {
		return footprint{}, err
	}
	heap, err := metric(text, "go_memstats_heap_alloc_bytes")
	if err != nil {
		return footprint{}, err
	}
	rss, err := residentKiB(pid)
	if err != nil {
		return footprint{}, err
	}
	open, err := os.ReadDir(procPath(pid, "fd"))
	if err != nil {
		return footprint{}, err
	}
	return footprint{Goroutines: int(goroutines), HeapMiB: heap / (1 << 20), RSSMiB: float64(rss) / 1024, Descriptors: len(open)}, nil
}

// measureLeast is the least footprint of a second.
func measureLeast(ctx context.Context, a *admin, pid int) (footprint, error) {
	low, err := measure(a, pid)
	for range 4 {
		if err != nil || !pause(ctx, 200*time.Millisecond) {
			return low, err
		}
		var f footprint
		if f, err = measure(a, pid); err == nil {
			low = least(low, f)
		}
	}
	return low, err
}

func procPath(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

// residentKiB is the memory of a process that is in RAM.
func residentKiB(pid int) (int, error) {
	text, err := os.ReadFile(procPath(pid, "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
		}
	}
	return 0, fmt.Errorf("process %d: no VmRSS in its status", pid)
}

// marked are the processes that carry a mark in their environment, which every child inherits: also those whose parents are gone.
func marked(mark string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		environ, err := os.ReadFile(procPath(pid, "environ"))
		if err == nil && bytes.Contains(environ, []byte(markVariable+"="+mark+"\x00")) { // an error: ended since, or not ours
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// markVariable holds the mark of marked.
const markVariable = "CHAOS_STAGE"

// pause waits; false: ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
