package lanebench

import (
	"fmt"
	"os"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// timeout is the deadline of each call, that of a phase by default.
const timeout = time.Second

// drive lets callers call for some time, each as soon as its last call has returned.
func (p *peer) drive(callers int, duration time.Duration) (Result, error) {
	type log struct {
		took []time.Duration
		last wire.Traffic
		err  error
	}
	logs := make([]log, callers)
	var running sync.WaitGroup
	hostBefore, serverBefore, allocsBefore, start := ownCPU(), p.cpu(), allocated(), time.Now()
	for i := range logs {
		running.Go(func() {
			c, l := sampleCall(p.instance, p.entities), &logs[i]
			var out wire.Outcome
			l.took = make([]time.Duration, 0, 1024)
			for now := time.Now(); now.Sub(start) < duration; {
				c.TimeoutMS, c.Traffic = uint32(timeout.Milliseconds()), wire.Traffic{}
				err := p.lane.Call(c, now.Add(timeout), nil, &out)
				if err == nil && out.Err != nil {
					err = out.Err
				}
				if err != nil {
					l.err = err
					return
				}
				end := time.Now()
				l.took, now = append(l.took, end.Sub(now)), end
			}
			l.last = c.Traffic
		})
	}
	running.Wait()
	elapsed, host, server, allocs := time.Since(start), ownCPU()-hostBefore, p.cpu()-serverBefore, allocated()-allocsBefore
	var all []time.Duration
	for i := range logs {
		if logs[i].err != nil {
			return Result{}, logs[i].err
		}
		all = append(all, logs[i].took...)
	}
	slices.Sort(all)
	n := float64(len(all))
	return Result{
		Name: p.name, Callers: callers, Rate: n / elapsed.Seconds(), P50: micros(all[len(all)/2]), P99: micros(all[len(all)*99/100]),
		CPUHost: micros(host) / n, CPUServer: micros(server) / n, Allocs: float64(allocs) / n, Sent: logs[0].last.Sent, Received: logs[0].last.Received,
	}, nil
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// sampleCall is phase access of a request with twelve headers, as a browser sends them through a load balancer.
func sampleCall(instance uint64, e entities) *wire.Call {
	c := &wire.Call{Instance: instance, Phase: 2, Facts: &wire.Facts{
		RequestID: "000102030405060708090a0b0c0d0e0f", StartTime: 1767225600000, Route: e.route, Service: e.service,
		Request: wire.Request{Method: "GET", Scheme: "http", Host: "shop.example", Port: 8000, HTTPVersion: 11, Target: "/shop/items?page=1", Path: "/shop/items", RawQuery: "page=1"},
		Client:  wire.Client{IP: "10.0.0.9", Port: 40000, ForwardedIP: "10.0.0.9"},
	}}
	for _, h := range [...][2]string{
		{"host", "shop.example"}, {"x-name", "Ada"}, {"user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
		{"accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, {"accept-language", "en-GB,en;q=0.5"}, {"accept-encoding", "gzip, deflate, br"},
		{"cookie", "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark"}, {"referer", "https://shop.example/shop"}, {"cache-control", "max-age=0"},
		{"x-forwarded-for", "203.0.113.7"}, {"x-forwarded-proto", "https"}, {"x-request-start", "t=1767225600123"},
	} {
		c.Request.Headers = append(c.Request.Headers, wire.Header{Name: h[0], Value: h[1]})
	}
	return c
}

// ownCPU is what this process has used, in user and system mode.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuOf is what another process and its ended children have used; 0 where /proc does not say.
func cpuOf(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name of the program may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return 0
	}
	var ticks int64
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime
		n, _ := strconv.ParseInt(f, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100)
}

// allocated is the number of objects on the heap that were ever made.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
