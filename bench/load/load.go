// Package load is the benchmark's load generator: one thread that drives keep-alive connections of HTTP/1.1 with epoll, and checks every answer.
//
// There are two ways to drive. In the closed loop each connection sends its next request when the last was answered: that finds the throughput.
// At a fixed rate requests start at given moments, whatever the answers do, and their latency counts from the moment at which they should have
// started: a stall of the server delays every request that falls into it, and all of them are seen (no coordinated omission).
//
// Linux 5.11 or newer.
package load

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/stats"
)

// Spec says what to send, how fast and for how long.
type Spec struct {
	// Address is host:port.
	Address string `json:"address"`
	// Request is a whole request with its body, which is sent again and again.
	Request     []byte `json:"request"`
	Connections int    `json:"connections"`
	// Rate in requests/s over all connections; 0: the closed loop.
	Rate float64 `json:"rate,omitempty"`
	// Warm is load before the measurement, which is not counted; Time is the measurement.
	Warm time.Duration `json:"warm,omitempty"`
	Time time.Duration `json:"time"`
	// Status of the answers; another one is an error.
	Status int `json:"status"`
	// Body is the length of the bodies of the answers; another one is an error. -1: any.
	Body int64 `json:"body"`
	// Watch are processes whose processor time is read when the measurement begins and when it ends.
	Watch []int `json:"watch,omitempty"`
	// Timeout of one request; 0: 10 s.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// Result is what one run found.
type Result struct {
	// Requests that were answered as expected, and were counted.
	Requests  int           `json:"requests"`
	Elapsed   time.Duration `json:"elapsed"`
	PerSecond float64       `json:"per_second"`
	P50       time.Duration `json:"p50"`
	P90       time.Duration `json:"p90"`
	P99       time.Duration `json:"p99"`
	P999      time.Duration `json:"p999"`
	Max       time.Duration `json:"max"`
	// CPU is what the load generator used itself between begin and end.
	CPU time.Duration `json:"cpu"`
	// Used is the user and system time of each watched process between begin and end; -1: it has ended meanwhile.
	Used []time.Duration `json:"used,omitempty"`
	// Answered are all requests that were answered as expected, those that do not count too.
	Answered int    `json:"answered"`
	Errors   Errors `json:"errors"`
	// Reopened counts connections that the server closed between two answers, and which were opened again: not an error.
	Reopened int `json:"reopened,omitempty"`
}

// Errors counts what went wrong on the client's side, also while it warmed up.
type Errors struct {
	// Status counts answers with another status, Body those with another length, Malformed those that are no HTTP.
	Status    int `json:"status,omitempty"`
	Body      int `json:"body,omitempty"`
	Malformed int `json:"malformed,omitempty"`
	Connect   int `json:"connect,omitempty"`
	Read      int `json:"read,omitempty"`
	Write     int `json:"write,omitempty"`
	Timeout   int `json:"timeout,omitempty"`
	// First is the first of them in words.
	First string `json:"first,omitempty"`
}

// Total is the number of all errors.
func (e *Errors) Total() int {
	return e.Status + e.Body + e.Malformed + e.Connect + e.Read + e.Write + e.Timeout
}

func (e *Errors) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{
		{e.Status, "wrong status"}, {e.Body, "wrong length"}, {e.Malformed, "malformed"}, {e.Connect, "connect"}, {e.Read, "read"},
		{e.Write, "write"}, {e.Timeout, "timeout"},
	} {
		if p.n > 0 {
			parts = append(parts, strconv.Itoa(p.n)+" "+p.what)
		}
	}
	if e.First != "" {
		parts = append(parts, "first: "+e.First)
	}
	return strings.Join(parts, ", ")
}

// Add adds those of another run.
func (e *Errors) Add(o Errors) {
	e.Status += o.Status
	e.Body += o.Body
	e.Malformed += o.Malformed
	e.Connect += o.Connect
	e.Read += o.Read
	e.Write += o.Write
	e.Timeout += o.Timeout
	if e.First == "" {
		e.First = o.First
	}
}

// validate says what a spec lacks.
func (s *Spec) validate() (*net.TCPAddr, error) {
	address, err := net.ResolveTCPAddr("tcp", s.Address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("load: address %q: %w; expected host:port", s.Address, err)
	case s.Connections < 1:
		return nil, fmt.Errorf("load: found %d connections, expected at least one", s.Connections)
	case s.Time <= 0 || s.Warm < 0:
		return nil, fmt.Errorf("load: found a measurement of %s after %s of warm-up, expected times above zero", s.Time, s.Warm)
	case s.Rate < 0 || s.Rate > 1e7:
		return nil, fmt.Errorf("load: found a rate of %v requests/s, expected 0 to 10,000,000", s.Rate)
	case len(s.Request) == 0:
		return nil, fmt.Errorf("load: found no request to send")
	}
	return address, nil
}

// Run drives the load. begin and end, if not nil, are called when the measurement begins and when it ends: at a fixed rate the last answers
// may come later, and are waited for. Errors of requests are in the result; the error says that there was no load at all.
func Run(s Spec, begin, end func()) (Result, error) {
	address, err := s.validate()
	if err != nil {
		return Result{}, err
	}
	if s.Timeout == 0 {
		s.Timeout = 10 * time.Second
	}
	d := &driver{spec: s, address: address, latencies: new(stats.Histogram), buf: make([]byte, 256<<10), begin: begin, end: end}
	defer d.close()
	if err := d.open(); err != nil {
		return Result{}, err
	}
	return d.run()
}
