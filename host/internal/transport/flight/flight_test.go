package flight

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func begin(t *testing.T, tab *Table[string, string], deadline time.Time) *Call[string, string] {
	t.Helper()
	c, err := tab.Begin(&wire.Call{Instance: 7, Phase: 2, Facts: &wire.Facts{RequestID: "id"}}, deadline)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDeadlinesByOneTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := NewTable[string, string](transport.Options{})
		start := time.Now()
		var wg sync.WaitGroup
		for i, after := range []time.Duration{time.Second, 10 * time.Millisecond, 300 * time.Millisecond, 10 * time.Millisecond, 2 * time.Second, 299 * time.Millisecond} {
			c := begin(t, tab, start.Add(after))
			wg.Go(func() {
				ev := tab.Wait(c)
				if late := time.Since(start) - after; ev.Err == nil || ev.Err.Kind != transport.Timeout || late < 0 || late > 2*time.Millisecond {
					t.Errorf("call %d: %v, %s late", i, ev.Err, late)
				}
				tab.End(c)
			})
		}
		forever := begin(t, tab, time.Time{})
		wg.Wait()
		if tab.InFlight() != 1 {
			t.Errorf("%d in flight", tab.InFlight())
		}
		time.Sleep(time.Hour)
		if forever.Ended() {
			t.Error("a call without a deadline ended")
		}
		// A later call arms the timer again.
		c := begin(t, tab, time.Now().Add(time.Second))
		if ev := tab.Wait(c); ev.Err == nil || time.Since(start) > time.Hour+3*time.Second+2*time.Millisecond {
			t.Errorf("got %v after %s", ev.Err, time.Since(start))
		}
		tab.End(c)
		tab.Fail(&transport.Error{Kind: transport.Closed})
		if ev := tab.Wait(forever); ev.Err == nil || ev.Err.Kind != transport.Closed {
			t.Errorf("got %+v", ev)
		}
		tab.End(forever)
	})
}

func TestIdsGoRound(t *testing.T) {
	tab := NewTable[string, string](transport.Options{})
	old := begin(t, tab, time.Time{}) // id 1 stays in flight
	if err := tab.Outcome(math.MaxUint32-2, 0, "x"); err == nil {
		t.Error("an id that was never given is taken")
	}
	tab.next = math.MaxUint32 - 3
	seen := map[uint32]bool{1: true}
	for range 10 {
		c := begin(t, tab, time.Time{})
		if c.ID == 0 || seen[c.ID] {
			t.Fatalf("id %d given twice, or 0", c.ID)
		}
		seen[c.ID] = true
		if err := tab.Outcome(c.ID, 0, "for "+fmt.Sprint(c.ID)); err != nil {
			t.Fatal(err)
		}
		if ev := tab.Wait(c); ev.Outcome != "for "+fmt.Sprint(c.ID) {
			t.Errorf("%d: got %q", c.ID, ev.Outcome)
		}
		tab.End(c)
	}
	if err := tab.Outcome(1, 0, "old"); err != nil {
		t.Fatal(err)
	}
	if ev := tab.Wait(old); ev.Outcome != "old" {
		t.Errorf("got %+v", ev)
	}
	tab.End(old)
	if err := tab.Outcome(math.MaxUint32-3, 0, "late"); err != nil {
		t.Errorf("a late outcome: %v", err)
	}
}

func TestGrownTableFindsEverybody(t *testing.T) {
	tab := NewTable[string, string](transport.Options{})
	var calls []*Call[string, string]
	for i := range 5000 {
		calls = append(calls, begin(t, tab, time.Time{}))
		if i%3 == 0 { // holes
			tab.End(calls[len(calls)-1])
			calls = calls[:len(calls)-1]
		}
	}
	if tab.InFlight() != len(calls) {
		t.Errorf("%d in flight, want %d", tab.InFlight(), len(calls))
	}
	for _, c := range calls {
		if err := tab.Outcome(c.ID, 0, fmt.Sprint(c.ID)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range calls {
		if ev := tab.Wait(c); ev.Outcome != fmt.Sprint(c.ID) {
			t.Fatalf("%d: got %q", c.ID, ev.Outcome)
		}
		tab.End(c)
	}
	if tab.InFlight() != 0 || !tab.Oldest().IsZero() || tab.head != nil || tab.tail != nil {
		t.Error("the table is not empty")
	}
}

// The bounds are of the asks that wait: a handler that keeps one ahead may ask for ever.
func TestAnsweredAsksDoNotCount(t *testing.T) {
	tab := NewTable[string, string](transport.Options{})
	c := begin(t, tab, time.Time{})
	defer tab.End(c)
	const size = wire.MaxAskBytes / 3
	ask := func(q string) {
		t.Helper()
		if err := tab.Ask(c.ID, 0, q, size); err != nil {
			t.Fatal(err)
		}
	}
	ask("0")
	for i := range 3 * wire.MaxAsks {
		ask(fmt.Sprint(i + 1))
		if ev := tab.Wait(c); !ev.IsAsk || ev.Ask != fmt.Sprint(i) {
			t.Fatalf("got %+v, want ask %d", ev, i)
		}
	}
	ask("one")
	ask("two")
	if err := tab.Ask(c.ID, 0, "too much", size); err == nil {
		t.Error("more than the bytes allowed wait")
	}
}

func TestUsedCallsAreClean(t *testing.T) {
	tab := NewTable[string, string](transport.Options{Hello: wire.HostHello{MaxBody: 10}})
	a := begin(t, tab, time.Time{})
	for _, err := range []error{tab.Ask(a.ID, 0, "q", 1), tab.Chunk(a.ID, []byte("12345")), tab.Outcome(a.ID, 0, "o")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	id := a.ID
	tab.End(a) // without looking
	for range 100 {
		b := begin(t, tab, time.Time{})
		if b.Ended() || len(b.ready) != 0 || b.gather.Len() != 0 || b.asks != nil || b.Sent || b.ID == id {
			t.Fatalf("a used call: %+v", b)
		}
		tab.End(b)
	}
	if err := tab.Ask(id, 0, "late", 1); err != nil {
		t.Error(err)
	}
}

func TestSlots(t *testing.T) {
	var s Slots
	f := &wire.Facts{Route: new(wire.Entity)}
	if slot, fresh := s.Of(f.Route, f); slot != 0 || !fresh {
		t.Errorf("first: got %d %v", slot, fresh)
	}
	if slot, fresh := s.Of(f.Route, f); slot != 0 || fresh {
		t.Errorf("again: got %d %v", slot, fresh)
	}
	for i := range 3 * wire.EntitySlots {
		f.Consumer = new(wire.Entity)
		if slot, fresh := s.Of(f.Consumer, f); !fresh || slot == 0 {
			t.Fatalf("entity %d: got %d %v; slot 0 is in use by the same call", i, slot, fresh)
		}
	}
	if len(s.of) > wire.EntitySlots {
		t.Errorf("%d entities are kept", len(s.of))
	}
	f.Route = nil
	for range wire.EntitySlots {
		f.Consumer = new(wire.Entity)
		s.Of(f.Consumer, f)
	}
	if _, known := s.of[f.Consumer]; !known || len(s.of) != wire.EntitySlots {
		t.Errorf("%d entities are kept", len(s.of))
	}
}

func TestLogsKeepTheirOrderAndBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			add, kept int
			message   func(i int) string
		}{
			"lines": {maxLogLines + 500, maxLogLines, func(i int) string { return fmt.Sprint(i) }},
			"bytes": {100, maxLogBytes / maxLogLine, func(i int) string { return fmt.Sprintf("%0*d", maxLogLine, i) }},
		} {
			gate := make(chan struct{})
			var got []string
			l := NewLogs(transport.Options{OnLog: func(r transport.LogRecord) {
				<-gate
				got = append(got, r.Message)
			}})
			for i := range c.add {
				l.Add(transport.LogRecord{Message: c.message(i)})
			}
			close(gate)
			synctest.Wait()
			if l.running || l.lines != 0 || l.bytes != 0 {
				t.Errorf("%s: %d lines of %d bytes wait, running %v", name, l.lines, l.bytes, l.running)
			}
			notes := 0
			for i, at := 0, 0; i < len(got); i++ {
				if strings.Contains(got[i], "log lines were dropped") {
					notes++
				} else if got[i] != c.message(at) {
					t.Fatalf("%s: line %d is %q", name, i, got[i])
				} else {
					at++
				}
			}
			if len(got)-notes != c.kept || notes == 0 {
				t.Errorf("%s: %d lines and %d notes, want %d lines", name, len(got)-notes, notes, c.kept)
			}
		}
	})
}

// The bodies that arrive for all calls are bounded together, and what a call held is given back however it ended.
func TestBodiesInFlightAreBounded(t *testing.T) {
	bodies := budget.NewBytes(10)
	one, two := NewTable[string, string](transport.Options{Bodies: bodies}), NewTable[string, string](transport.Options{Bodies: bodies})
	a, b, c := begin(t, one, time.Time{}), begin(t, two, time.Time{}), begin(t, one, time.Time{})
	for _, err := range []error{one.Chunk(a.ID, []byte("123456")), two.Chunk(b.ID, []byte("1234")), one.Chunk(c.ID, []byte("1"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if ev := one.Wait(c); ev.Err == nil || ev.Err.Kind != transport.Overloaded {
		t.Errorf("got %+v", ev)
	}
	if err := one.Outcome(a.ID, 0, "o"); err != nil {
		t.Fatal(err)
	}
	if ev := one.Wait(a); string(ev.Bulk) != "123456" {
		t.Errorf("got %+v", ev)
	}
	one.End(c)
	one.End(a)
	if bodies.Used() != 4 || bodies.Refused() != 1 {
		t.Errorf("%d bytes are held, %d refused", bodies.Used(), bodies.Refused())
	}
	two.Fail(&transport.Error{Kind: transport.Closed, Msg: "dead"})
	two.End(b)
	if bodies.Used() != 0 {
		t.Errorf("%d bytes are held", bodies.Used())
	}
}
