package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// mostInFlight bounds the requests of one load at the same time. What would be more is not sent.
const mostInFlight = 200

// result is one request with its verdict.
type result struct {
	sent, done time.Time
	verdict    verdict
	reason     string // of a wrong one, with the request and the answer
}

// order makes one of so many requests carry an order to the plugin server, the texts in turn: the first one that comes to the phase of the order.
type order struct {
	texts []string
	every int
	same  bool // all that carry an order are one and the same request

	due, given int // requests since the last one with an order; orders so far. Owned by run
}

// of is what the next request carries.
func (o *order) of(k *kind) string {
	text := o.texts[o.given%len(o.texts)]
	if o.due++; o.due < o.every || !k.reaches(strings.Fields(text)[1]) || o.same && k != &kinds[0] {
		return ""
	}
	o.due = 0
	o.given++
	return text
}

// load sends requests to one gateway at a constant rate, whether they are answered or not.
type load struct {
	client *client
	rate   float64 // requests a second
	name   string  // begins the nonces

	order    atomic.Pointer[order]
	excused  atomic.Bool // the gateway itself is gone: no answer is no wrong answer
	inFlight atomic.Int64
	skipped  atomic.Int64

	mu      sync.Mutex
	results []result
}

// run sends until ctx ends, and returns when every answer has come.
func (l *load) run(ctx context.Context) {
	var all sync.WaitGroup
	defer l.client.close()
	defer all.Wait()
	tick := time.NewTicker(time.Duration(float64(time.Second) / l.rate))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if l.inFlight.Load() >= mostInFlight {
			l.skipped.Add(1)
			continue
		}
		r := request{kind: &kinds[n%len(kinds)], nonce: fmt.Sprintf("%s-%d", l.name, n)}
		if o := l.order.Load(); o != nil {
			if r.order = o.of(r.kind); r.order != "" && o.same {
				r.nonce = l.name + "-same"
			}
		}
		l.inFlight.Add(1)
		all.Go(func() {
			defer l.inFlight.Add(-1)
			l.send(r)
		})
	}
}

func (l *load) send(r request) {
	res := result{sent: time.Now()}
	excused := l.excused.Load()
	a := l.client.do(r)
	res.done = time.Now()
	var why string
	res.verdict, why = judge(r, a)
	if res.verdict == wrong {
		if a.err != nil && (excused || l.excused.Load()) {
			res.verdict = policy
		} else {
			res.reason = fmt.Sprintf("%s (%s, order %q, nonce %s): %s; after %s: status %d, headers %v, body %.300q",
				r.kind.path, r.kind.name, r.order, r.nonce, why, res.done.Sub(res.sent).Round(time.Millisecond), a.status, a.header, a.body)
		}
	}
	l.mu.Lock()
	l.results = append(l.results, res)
	l.mu.Unlock()
}

// take gives the results so far and forgets them.
func (l *load) take() []result {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.results
	l.results = nil
	return all
}

// peek gives the results so far.
func (l *load) peek() []result {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.results[:len(l.results):len(l.results)]
}
