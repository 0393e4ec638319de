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

// footprint is what a gateway uses, and the processes there are because of it.
type footprint struct {
	Goroutines  int     `json:"goroutines"`
	HeapMiB     float64 `json:"heap_mib"` // objects, dead ones that wait for the collector too
	RSSMiB      float64 `json:"rss_mib"`
	Descriptors int     `json:"descriptors"`
	Processes   int     `json:"processes"`
}

// leastOf is the smaller of two footprints, field by field: what is used whatever else happened to be going on.
func leastOf(a, b footprint) footprint {
	return footprint{
		Goroutines: min(a.Goroutines, b.Goroutines), HeapMiB: min(a.HeapMiB, b.HeapMiB),
		RSSMiB: min(a.RSSMiB, b.RSSMiB), Descriptors: min(a.Descriptors, b.Descriptors), Processes: min(a.Processes, b.Processes),
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

// measure reads the footprint of the stage's gateway.
func (s *stage) measure() (footprint, error) {
	text, err := s.gateway.Metrics()
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
	rss, err := probe.Resident(s.pid())
	if err != nil {
		return footprint{}, err
	}
	open, err := probe.Descriptors(s.pid())
	if err != nil {
		return footprint{}, err
	}
	pids, err := marked(s.mark)
	if err != nil {
		return footprint{}, err
	}
	return footprint{Goroutines: int(goroutines), HeapMiB: heap / (1 << 20), RSSMiB: float64(rss) / 1024, Descriptors: open, Processes: len(pids)}, nil
}

// rest is the least footprint of a second in which the plugin server was up all the time: what is there after a fault is compared with it. A
// fault before may end late, such as by a process whose memory is found to be too much after the recovery, and a gateway whose plugin server is
// away is smaller than it should be.
func (s *stage) rest(ctx context.Context) (footprint, error) {
	deadline := time.Now().Add(recoveryLimit)
	for {
		f, up, err := s.measureUp(ctx)
		if err == nil && up {
			return f, nil
		}
		if err == nil && time.Now().After(deadline) {
			err = fmt.Errorf("the plugin server was not up for a second within %s", recoveryLimit)
		}
		if err != nil {
			return f, err
		}
	}
}

// measureUp is the least footprint of a second, and whether one process of the plugin server was up all the time.
func (s *stage) measureUp(ctx context.Context) (least footprint, up bool, err error) {
	first, err := s.gateway.status()
	if err != nil {
		return least, false, err
	}
	for i := range 5 {
		f, err := s.measure()
		if err != nil {
			return least, false, err
		}
		if i == 0 {
			least = f
		}
		least = leastOf(least, f)
		if !pause(ctx, 200*time.Millisecond) {
			return least, false, ctx.Err()
		}
	}
	last, err := s.gateway.status()
	if err != nil {
		return least, false, err
	}
	return least, first.Ready && last.Ready && first.starts() == last.starts(), nil
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
