package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/probe"
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

// admin asks the gateway of a stage.
type admin struct{ *probe.Admin }

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

func (a admin) status() (*serverStatus, error) {
	var all struct {
		PluginServers []serverStatus `json:"plugin_servers"`
	}
	if err := a.Status(&all); err != nil {
		return nil, err
	}
	if len(all.PluginServers) != 1 {
		return nil, fmt.Errorf("/status of the Admin listener: found %d plugin servers, expected 1", len(all.PluginServers))
	}
	return &all.PluginServers[0], nil
}

// quarantined is how many requests the gateway refuses because they killed the plugin server.
func (a admin) quarantined() (int, error) {
	var st struct {
		Quarantine struct {
			Count int `json:"count"`
		} `json:"quarantine"`
	}
	if err := a.Status(&st); err != nil {
		return 0, err
	}
	return st.Quarantine.Count, nil
}

// measure reads the footprint of a gateway.
func measure(a admin, pid int) (footprint, error) {
	text, err := a.Metrics()
	if err != nil {
		return footprint{}, err
	}
	goroutines, err := probe.Metric(text, "go_goroutines")
	if err != nil {
		return footprint{}, err
	}
	heap, err := probe.Metric(text, "go_memstats_heap_alloc_bytes")
	if err != nil {
		return footprint{}, err
	}
	rss, err := probe.Resident(pid)
	if err != nil {
		return footprint{}, err
	}
	open, err := probe.Descriptors(pid)
	if err != nil {
		return footprint{}, err
	}
	return footprint{Goroutines: int(goroutines), HeapMiB: heap / (1 << 20), RSSMiB: float64(rss) / 1024, Descriptors: open}, nil
}

// measureLeast is the least footprint of a second.
func measureLeast(ctx context.Context, a admin, pid int) (footprint, error) {
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
		environ, err := os.ReadFile(probe.Proc(pid, "environ"))
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
