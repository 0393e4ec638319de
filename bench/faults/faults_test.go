package main

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func findFault(t *testing.T, name string) *fault {
	t.Helper()
	for i := range faults {
		if faults[i].name == name {
			return &faults[i]
		}
	}
	t.Fatalf("no fault %q", name)
	return nil
}

// Every faulty answer is found: the judge is what the whole load stands on.
func TestJudge(t *testing.T) {
	server := pluginServers[0]
	bare := &place{name: "bare"}
	full := &place{name: "full", tokens: []*pluginServer{server}, exit: server, body: server}
	ask := func(p *place, f string) *sent {
		return &sent{fault: findFault(t, f), place: p, token: "c1-1", size: 100, exit: -1}
	}
	whole := string(bodyOf("c1-1", 100))
	own := func(lines ...string) http.Header {
		h := http.Header{"X-Token": {"c1-1"}}
		for i := 0; i < len(lines); i += 2 {
			h.Set(lines[i], lines[i+1])
		}
		return h
	}
	marks := []string{"X-Checked-go-msgpack", "c1-1", "X-Up-Seen-go-msgpack", "c1-1", "X-Up-Sum-go-msgpack", digest(nil), "X-Digest-go-msgpack", digest([]byte(whole))}
	with := func(name, value string) http.Header {
		h := own(marks...)
		h.Set(name, value)
		return h
	}
	exits := func(s *sent) *sent { s.exit = 50; return s }
	old := func(s *sent) *sent { s.old = true; return s }
	for _, c := range []struct {
		name   string
		sent   *sent
		status int
		header http.Header
		body   string
		broken error
		chunks bool
		want   verdict
	}{
		{name: "its own", sent: ask(bare, "none"), status: 200, header: own(), body: whole, want: right},
		{name: "another token", sent: ask(bare, "none"), status: 200, header: http.Header{"X-Token": {"c2-1"}}, body: whole, want: crossed},
		{name: "another token in an error", sent: ask(bare, "early-read"), status: 413, header: http.Header{"X-Token": {"c2-1"}}, want: crossed},
		{name: "no token", sent: ask(bare, "none"), status: 200, header: http.Header{}, body: whole, want: wrong},
		{name: "one byte of another", sent: ask(bare, "none"), status: 200, header: own(), body: strings.Replace(whole, "c1-1", "c1-2", 1), want: crossed},
		{name: "something behind it", sent: ask(bare, "surplus"), status: 200, header: own(), body: whole + "HTTP/1.1 200 OK", want: crossed},
		{name: "short and whole", sent: ask(bare, "none"), status: 200, header: own(), body: whole[:99], want: wrong},
		{name: "broken off without a reason", sent: ask(bare, "none"), status: 200, header: own(), body: whole[:99], broken: io.ErrUnexpectedEOF, want: wrong},
		{name: "broken off at the upstream", sent: ask(bare, "reset-body"), status: 200, header: own(), body: whole[:50], broken: io.ErrUnexpectedEOF, want: right},
		{name: "broken off and something else", sent: ask(bare, "reset-body"), status: 200, header: own(), body: "x", broken: io.ErrUnexpectedEOF, want: crossed},
		{name: "broken off and looks whole", sent: ask(bare, "reset-body"), status: 200, header: own(), body: whole[:50], want: wrong},
		{name: "a status without a reason", sent: ask(bare, "none"), status: 502, header: http.Header{}, want: wrong},
		{name: "a status with one", sent: ask(bare, "reset"), status: 502, header: http.Header{}, want: right},
		{name: "a body that met a closed connection", sent: ask(bare, "echo"), status: 502, header: http.Header{}, want: unlucky},
		{name: "a fail mode where no plugin is", sent: ask(bare, "none"), status: 591, header: http.Header{}, body: server.failBody(), want: wrong},
		{name: "chunks over HTTP/1.0", sent: old(ask(bare, "chunked")), status: 200, header: own(), body: whole, chunks: true, want: wrong},
		{name: "the trailer is missing", sent: ask(bare, "trailers"), status: 200, header: own(), body: whole, want: wrong},
		{name: "plugins and its own", sent: ask(full, "none"), status: 200, header: own(marks...), body: whole, want: right},
		{name: "a plugin was left out", sent: ask(full, "none"), status: 200, header: own(marks[2:]...), body: whole, want: wrong},
		{name: "a plugin did not see the request", sent: ask(full, "none"), status: 200, header: own(append([]string{}, marks[0], marks[1], marks[4], marks[5], marks[6], marks[7])...), body: whole, want: wrong},
		{name: "a plugin saw another request", sent: ask(full, "none"), status: 200, header: with("X-Up-Seen-go-msgpack", "c1-2"), body: whole, want: crossed},
		{name: "a plugin saw another request in an error", sent: ask(full, "reset"), status: 502, header: http.Header{"X-Checked-Go-Msgpack": {"c2-2"}}, want: crossed},
		{name: "a plugin read another body", sent: ask(full, "none"), status: 200, header: with("X-Up-Sum-go-msgpack", digest([]byte("x"))), body: whole, want: crossed},
		{name: "a plugin read another answer", sent: ask(full, "none"), status: 200, header: with("X-Digest-go-msgpack", digest([]byte("x"))), body: whole, want: crossed},
		{name: "a plugin says so", sent: ask(full, "none"), status: 200, header: with("X-Crossed", "go-msgpack"), body: whole, want: crossed},
		{name: "a fail mode", sent: ask(full, "none"), status: 591, header: http.Header{}, body: server.failBody(), want: policy},
		{name: "a fail mode with another body", sent: ask(full, "none"), status: 591, header: http.Header{}, body: whole, want: wrong},
		{name: "an exit", sent: exits(ask(full, "none")), status: 403, header: own(), body: string(bodyOf("c1-1", 50)), want: exited},
		{name: "an exit of another", sent: exits(ask(full, "none")), status: 403, header: own(), body: string(bodyOf("c1-2", 50)), want: crossed},
		{name: "half an exit", sent: exits(ask(full, "none")), status: 403, header: own(), body: string(bodyOf("c1-1", 25)), want: wrong},
		{name: "no exit", sent: exits(ask(full, "none")), status: 200, header: own(marks...), body: whole, want: wrong},
	} {
		resp := &http.Response{StatusCode: c.status, Header: http.Header{}}
		for name, values := range c.header {
			resp.Header[http.CanonicalHeaderKey(name)] = values
		}
		if c.chunks {
			resp.TransferEncoding = []string{"chunked"}
		}
		if got, why := judge(c.sent, resp, []byte(c.body), c.broken); got != c.want {
			t.Errorf("%s: judged %s (%s), expected %s", c.name, got, why, c.want)
		}
	}
}

// A fault without an answer at the upstream would be 404 and no fault.
func TestEveryFaultHasAnAnswer(t *testing.T) {
	for _, f := range append(faults[:len(faults):len(faults)], tunnelFault) {
		_, early := earlyAnswers[f.name]
		_, late := answers[f.name]
		if f.name != "echo" && !early && !late {
			t.Errorf("the upstream does not know the fault %q", f.name)
		}
		if f.quiet && (f.truncated || f.bare || len(f.statuses) != 1 || f.statuses[0] != http.StatusOK) {
			t.Errorf("fault %q is quiet and has %+v", f.name, f)
		}
	}
}

// A fail mode answers while its plugin server is away, and at no other time.
func TestFailModeOnlyWhileAway(t *testing.T) {
	p := &places[3]
	server := p.tokens[0]
	tally := newTally()
	ask := func(at time.Time) {
		tally.judged(&sent{fault: &faults[0], place: p, at: at, exit: -1}, server.failStatus, policy, server.name)
	}
	expect := func(when string, n int) {
		t.Helper()
		if tally.counts.Wrong != n {
			t.Fatalf("%s: found %d wrong answers, expected %d: %q", when, tally.counts.Wrong, n, tally.faulty[wrong])
		}
	}
	ask(time.Now())
	expect("before", 1)
	tally.goesAway(pluginServers[1])
	ask(time.Now())
	expect("while another one is away", 2)
	tally.goesAway(server)
	sentAt := time.Now()
	ask(sentAt)
	expect("while it is away", 2)
	tally.isBack(server)
	ask(sentAt)
	expect("sent while it was away", 2)
	ask(time.Now().Add(time.Hour))
	expect("after it", 3)
}

// What grows over the last process's life is found; what the first part of it or the processes before it took is not held against it.
func TestTrends(t *testing.T) {
	life := func(pid, n int, mb func(i int) float64) (list []footprint) {
		for i := range n {
			list = append(list, footprint{PID: pid, Second: float64(10 * i), MB: mb(i), Descriptors: 100, Goroutines: 200})
		}
		return list
	}
	steady := func(int) float64 { return 150 }
	for _, c := range []struct {
		name    string
		samples []footprint
		flat    bool
	}{
		{"steady", life(1, 40, steady), true},
		{"fills its pools first", life(1, 40, func(i int) float64 { return 50 + 10*float64(min(i, 10)) }), true},
		{"one peak", life(1, 40, func(i int) float64 { return 150 + 500*float64(i/39) }), true},
		{"grows", life(1, 40, func(i int) float64 { return 50 + 5*float64(i) }), false},
		{"less than the process before", append(life(1, 40, func(int) float64 { return 900 }), life(2, 40, steady)...), true},
		{"grows, less than the process before", append(life(1, 40, func(int) float64 { return 900 }), life(2, 40, func(i int) float64 { return 50 + 5*float64(i) })...), false},
	} {
		list, err := trends(c.samples)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if len(list) != len(measures) || list[0].Flat != c.flat || !list[1].Flat || !list[2].Flat {
			t.Errorf("%s: found %+v, expected memory flat: %t", c.name, list, c.flat)
		}
	}
	many := life(1, 40, steady)
	for i := range many {
		many[i].Descriptors, many[i].Goroutines = 100+10*i, 200+10*i
	}
	if list, err := trends(many); err != nil || list[1].Flat || list[2].Flat {
		t.Errorf("descriptors and goroutines grow: found %+v %v", list, err)
	}
	if _, err := trends(life(1, leastSamples-1, steady)); err == nil {
		t.Errorf("%d samples are judged", leastSamples-1)
	}
}

// A run in which nothing happened, or in which a change failed, does not pass.
func TestConclude(t *testing.T) {
	var empty report
	empty.conclude(newTally())
	if empty.Passed || len(empty.Problems) < 10 {
		t.Errorf("a run without anything: passed %t with the problems %q", empty.Passed, empty.Problems)
	}
	good := func() *tally {
		tally := newTally()
		for i := range places {
			for range 10 {
				tally.judged(&sent{fault: &faults[0], place: &places[i], exit: -1}, 200, right, "")
			}
		}
		for _, what := range []string{"reloads", "kills of plugin servers", "replacements by command", "replacements by signal", "upgrades"} {
			tally.done(what, time.Second, nil)
		}
		for range 40 {
			tally.sample(footprint{PID: 1, MB: 100})
		}
		return tally
	}
	for _, c := range []struct {
		name   string
		spoil  func(*tally)
		passed bool
	}{
		{"nothing", func(*tally) {}, true},
		{"a wrong answer", func(t *tally) { t.found(wrong, "none", "x") }, false},
		{"a crossed answer", func(t *tally) { t.found(crossed, "none", "x") }, false},
		{"a reload that failed", func(t *tally) { t.done("reloads", time.Second, errors.New("x")) }, false},
		{"an upgrade that failed", func(t *tally) { t.done("upgrades", time.Second, errors.New("x")) }, false},
		{"a name that stays", func(t *tally) {
			t.nameMoved(addresses[1])
			t.movedTo(addresses[0], time.Now().Add(time.Hour))
		}, false},
		{"many unlucky answers", func(t *tally) {
			for range 50 {
				t.judged(&sent{fault: &faults[0], place: &places[0], exit: -1}, 502, unlucky, "")
			}
		}, false},
	} {
		tally := good()
		c.spoil(tally)
		r := report{Fused: 1}
		r.conclude(tally)
		if r.Passed != c.passed || r.Passed != (len(r.Problems) == 0) {
			t.Errorf("%s: passed %t with the problems %q", c.name, r.Passed, r.Problems)
		}
		if text := r.markdown(); strings.Contains(text, ": passed\n") != c.passed {
			t.Errorf("%s: the last line is %q", c.name, r.lastLine())
		}
	}
}
