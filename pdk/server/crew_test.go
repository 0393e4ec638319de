package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// pace is that of access of an instance.
func (f *fixture) pace(id uint64) *pace { return f.server.instances.pace(id, pdk.PhaseAccess.Code()) }

// Four handlers wait, sixty callers are served; who waited runs elsewhere from then on.
func TestQuickHandlersBesideThoseThatBlock(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		g := newGate(t.Name())
		f.probe(1, "wait", t.Name())
		f.probe(2, "mark", "quick")
		l := f.lane()
		const slow, callers, each = 4, 60, 20
		for i := range uint32(slow) {
			l.call(10_000+i, newCall(1))
		}
		for i := range uint32(callers) {
			l.call(i+1, newCall(2))
		}
		for n := range callers * each {
			e, _ := outcome(t, l, nil)
			marked(t, e, e.id, "quick")
			if n < callers*(each-1) {
				l.call(e.id, newCall(2))
			}
		}
		if f.pace(1).quick() {
			t.Error("the handler that waits would run on the goroutine that reads")
		}
		close(g.open)
		for range slow {
			e, _ := outcome(t, l, nil)
			marked(t, e, e.id, t.Name())
		}
	})
}

func TestAHandlerThatComputes(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		g := newGate(t.Name())
		defer g.stopped.Store(true)
		f.probe(1, "spin", t.Name())
		f.probe(2, "mark", "quick")
		l := f.lane()
		l.call(1, newCall(1))
		for i := range uint32(100) {
			l.call(100+i, newCall(2))
		}
		for range 100 {
			e, _ := outcome(t, l, nil)
			marked(t, e, e.id, "quick")
		}
		g.stopped.Store(true)
		ended(t, l.next(), 0, "")
	})
}

// A handler that asks gives the lead away at once: what is behind it in the same batch is served before the answer.
func TestAskGivesTheLeadAway(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "body", "m")
		f.probe(2, "mark", "quick")
		l := f.lane()
		for round := range uint32(100) {
			l.call(1, newCall(1))
			l.call(2, newCall(2))
			asked, quick := false, false
			for !asked || !quick {
				switch e := l.next(); {
				case e.ask != nil && !asked:
					asked = true
				case e.outcome != nil && !quick:
					marked(t, e, 2, "quick")
					quick = true
				default:
					t.Fatalf("round %d: found %+v", round, e)
				}
			}
			l.answer(1, 0, &wire.Answer{Bytes: []byte("b"), IsBytes: true})
			ended(t, l.next(), 0, "")
		}
	})
}

// Goroutines that a handler ends are replaced, whatever they did: each Goexit takes the leader or a worker with it.
func TestGoexitTakesNoLeadAway(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "goexit", "m")
		f.probe(2, "mark", "quick")
		l := f.lane()
		for i := range uint32(200) {
			l.call(2*i+1, newCall(1))
			l.call(2*i+2, newCall(2))
		}
		for range 400 {
			if e, _ := outcome(t, l, nil); e.id%2 == 0 {
				marked(t, e, e.id, "quick")
			} else if e.outcome.Err == nil {
				t.Errorf("call %d succeeded", e.id)
			}
		}
	})
}

// The watch rests while nothing happens, and looks again when something does.
func TestTheWatchWakes(t *testing.T) {
	f := start(t, "msgpack")
	f.probe(2, "mark", "quick")
	l := f.lane()
	for round := range 3 {
		eventually(t, "the watch rests", patience, f.server.watch.resting.Load)
		mark := fmt.Sprint(t.Name(), round)
		g := newGate(mark)
		f.probe(1, "wait", mark)
		l.call(1, newCall(1))
		gateEvent(t, g)
		l.call(2, newCall(2))
		marked(t, l.next(), 2, "quick")
		close(g.open)
		marked(t, l.next(), 1, mark)
	}
}

func TestPace(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var p pace
	runs := func(n int, took time.Duration) {
		for range n {
			p.pooled(now, now.Add(took))
		}
	}
	if !p.quick() || !(*pace)(nil).quick() {
		t.Fatal("a handler that never ran is slow")
	}
	p.blocked(now)
	runs(wantedRuns-1, time.Microsecond)
	if p.quick() {
		t.Error("quick too soon")
	}
	runs(1, time.Microsecond)
	if !p.quick() {
		t.Error("not quick after all its quick runs")
	}
	now = now.Add(relapse / 2)
	p.blocked(now) // again, soon
	runs(wantedRuns, time.Microsecond)
	if p.quick() {
		t.Error("a handler that blocks now and then comes back as soon as before")
	}
	runs(1, time.Second)
	runs(2*wantedRuns-1, time.Microsecond)
	if p.quick() {
		t.Error("a run that blocked did not count")
	}
	runs(1, time.Microsecond)
	now = now.Add(2 * relapse)
	p.blocked(now) // much later
	runs(wantedRuns, time.Microsecond)
	if !p.quick() {
		t.Error("old faults are not forgotten")
	}
	p.inline(time.Second) // one long run is the machine's
	if !p.quick() {
		t.Error("one long run made it slow")
	}
	for range 20 {
		p.inline(2 * quickRun)
	}
	if p.quick() {
		t.Error("runs of twice the time did not make it slow")
	}
	runs(wantedRuns, time.Microsecond)
	p.asked()
	if p.quick() {
		t.Error("a handler that asked is quick")
	}
}
