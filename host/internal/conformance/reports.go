package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/proto/vectors"
)

// reports takes what drivers say on a unix socket: a JSON line with the results of the calls, and after a line back another with the results
// of the late calls. It goes around the PDK, so that a broken one cannot hide what it did.
type reports struct {
	path     string
	listener net.Listener
	done     sync.WaitGroup

	mu      sync.Mutex
	last    int
	waiting map[string]*report
}

// report is what one run says.
type report struct {
	reports *reports
	run     string
	first   chan *said
}

// said is one connection of a driver, with its first line read.
type said struct {
	conn    net.Conn
	lines   *bufio.Reader
	results []vectors.Result
}

func listenForReports(path string) (*reports, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for the reports of drivers: %w", err)
	}
	r := &reports{path: path, listener: l, waiting: map[string]*report{}}
	r.done.Go(r.accept)
	return r, nil
}

func (r *reports) close() {
	_ = r.listener.Close()
	r.done.Wait()
}

func (r *reports) accept() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.done.Go(func() { r.take(conn) })
	}
}

// line is what drivers send.
type line struct {
	Run     string
	Results []vectors.Result
}

func (s *said) read() (*line, error) {
	_ = s.conn.SetReadDeadline(time.Now().Add(patience))
	text, err := s.lines.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("reading a report: %w", err)
	}
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, fmt.Errorf("reading a report: %w", err)
	}
	return &l, nil
}

func (r *reports) take(conn net.Conn) {
	s := &said{conn: conn, lines: bufio.NewReader(conn)}
	l, err := s.read()
	if err != nil {
		_ = conn.Close()
		return
	}
	r.mu.Lock()
	to := r.waiting[l.Run]
	r.mu.Unlock()
	if to == nil {
		_ = conn.Close()
		return
	}
	s.results = l.Results
	select {
	case to.first <- s:
	default:
		_ = conn.Close()
	}
}

// expect prepares for the report of one run.
func (r *reports) expect() *report {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	p := &report{reports: r, run: strconv.Itoa(r.last), first: make(chan *said, 1)}
	r.waiting[p.run] = p
	return p
}

func (p *report) forget() {
	p.reports.mu.Lock()
	defer p.reports.mu.Unlock()
	delete(p.reports.waiting, p.run)
	select {
	case s := <-p.first:
		_ = s.conn.Close()
	default:
	}
}

// config is the configuration of a driver for this run.
func (p *report) config(v *vectors.Vector) []byte {
	text, err := json.Marshal(map[string]string{"vector": string(v.Text), "socket": p.reports.path, "run": p.run})
	if err != nil {
		panic(err) // texts always have a JSON form
	}
	return text
}

// afterFailure is how long a report may be behind an outcome that failed: then there may be none.
const afterFailure = 5 * time.Second

// collect takes the results of a run whose handler has ended, and has the late calls made.
func (p *report) collect(ctx context.Context, v *vectors.Vector, run *vectors.Run) error {
	if run.Outcome.Err != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, afterFailure)
		defer cancel()
	}
	var s *said
	select {
	case s = <-p.first:
	case <-ctx.Done():
		if run.Outcome.Err != nil {
			return fmt.Errorf("the handler failed (%w) and did not report", run.Outcome.Err)
		}
		return errors.New("the driver did not report in time")
	}
	defer s.conn.Close()
	run.Results = s.results
	if len(v.Late) == 0 {
		return nil
	}
	if _, err := s.conn.Write([]byte("\n")); err != nil {
		return fmt.Errorf("asking for the late calls: %w", err)
	}
	l, err := s.read()
	if err != nil {
		return fmt.Errorf("late calls: %w", err)
	}
	run.Late = l.Results
	return nil
}
