package flight

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// fakeSource is a lane that brings what a test puts into frames. It notes who reads, and that only one does at a time.
type fakeSource struct {
	t         testing.TB
	table     *Table[string, string]
	frames    chan func(*Table[string, string])
	interrupt chan struct{} // one: the deadline is past

	mu      sync.Mutex
	reading Waiter
	turns   []Waiter // who has read, repetitions left out
}

func newFake(t testing.TB) (*Table[string, string], *fakeSource) {
	tab := NewTable[string, string](transport.Options{})
	s := &fakeSource{t: t, table: tab, frames: make(chan func(*Table[string, string]), 1000), interrupt: make(chan struct{}, 1)}
	tab.Lead(s)
	return tab, s
}

func (s *fakeSource) Read(w Waiter) bool {
	s.mu.Lock()
	if s.reading != nil {
		s.t.Error("two read at once")
	}
	s.reading = w
	if len(s.turns) == 0 || s.turns[len(s.turns)-1] != w {
		s.turns = append(s.turns, w)
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.reading = nil
		s.mu.Unlock()
	}()
	if s.table.Dead() {
		return false
	}
	select {
	case <-s.interrupt:
		return true
	case f := <-s.frames:
		for f(s.table); ; f(s.table) { // the whole batch
			select {
			case f = <-s.frames:
				continue
			default:
			}
			return !s.table.Dead()
		}
	}
}

func (s *fakeSource) Interrupt() {
	select {
	case s.interrupt <- struct{}{}:
	default:
	}
}

// who reads now; nil: nobody.
func (s *fakeSource) who() Waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reading
}

func outcomeOf(id uint32, o string) func(*Table[string, string]) {
	return func(t *Table[string, string]) { _ = t.Outcome(id, 0, o) }
}

// waits runs a call to its first event, and gives what that was.
func waits(t *testing.T, tab *Table[string, string], c *Call[string, string]) <-chan Event[string, string] {
	t.Helper()
	events := make(chan Event[string, string], 1)
	go func() { events <- tab.Wait(c) }()
	return events
}

func TestCallersReadTheLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, s := newFake(t)
		a, b, c := begin(t, tab, time.Time{}), begin(t, tab, time.Time{}), begin(t, tab, time.Time{})
		ofA := waits(t, tab, a)
		synctest.Wait()
		if s.who() != a {
			t.Fatal("the one who waits does not read")
		}
		ofB := waits(t, tab, b)
		synctest.Wait()
		ofC := waits(t, tab, c)
		synctest.Wait()
		// A delivers what is B's and goes on.
		s.frames <- outcomeOf(b.ID, "b")
		if ev := <-ofB; ev.Outcome != "b" {
			t.Errorf("got %+v", ev)
		}
		synctest.Wait()
		if s.who() != a {
			t.Error("A stopped reading before it had its own")
		}
		// A has its own, and hands over to C.
		s.frames <- outcomeOf(a.ID, "a")
		if ev := <-ofA; ev.Outcome != "a" {
			t.Errorf("got %+v", ev)
		}
		synctest.Wait()
		if s.who() != c {
			t.Error("C does not read")
		}
		s.frames <- outcomeOf(c.ID, "c")
		if ev := <-ofC; ev.Outcome != "c" {
			t.Errorf("got %+v", ev)
		}
		synctest.Wait()
		if s.who() != nil {
			t.Error("somebody reads a lane without calls")
		}
		tab.End(a)
		tab.End(b)
		tab.End(c)
		time.Sleep(3 * idle)
		synctest.Wait()
		if s.who() != &tab.background {
			t.Error("nobody reads a lane that has been idle")
		}
		tab.Fail(&transport.Error{Kind: transport.Closed})
		synctest.Wait()
	})
}

func TestLeadIsHandedOver(t *testing.T) {
	for name, end := range map[string]func(tab *Table[string, string], s *fakeSource, leader *Call[string, string]){
		"on an outcome": func(_ *Table[string, string], s *fakeSource, c *Call[string, string]) {
			s.frames <- outcomeOf(c.ID, "o")
		},
		"on an ask": func(_ *Table[string, string], s *fakeSource, c *Call[string, string]) {
			s.frames <- func(t *Table[string, string]) { _ = t.Ask(c.ID, 0, "q", 1) }
		},
		"on a deadline": func(*Table[string, string], *fakeSource, *Call[string, string]) { time.Sleep(2 * time.Second) },
		"on too large a body": func(_ *Table[string, string], s *fakeSource, c *Call[string, string]) {
			s.frames <- func(t *Table[string, string]) { _ = t.Chunk(c.ID, make([]byte, 100)) }
		},
	} {
		for _, others := range []int{0, 1, crowd - 1, crowd + 5} {
			t.Run(fmt.Sprint(name, ", others ", others), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tab, s := newFake(t)
					tab.maxBody = 10
					leader := begin(t, tab, time.Now().Add(time.Second))
					event := waits(t, tab, leader)
					synctest.Wait()
					var calls []*Call[string, string]
					var events []<-chan Event[string, string]
					for range others {
						c := begin(t, tab, time.Now().Add(time.Hour))
						calls, events = append(calls, c), append(events, waits(t, tab, c))
						synctest.Wait()
					}
					if s.who() != leader {
						t.Fatal("another one reads")
					}
					end(tab, s, leader)
					ev := <-event
					if ev.Err != nil && ev.Err.Kind == transport.Timeout != (name == "on a deadline") || ev.IsAsk != (name == "on an ask") {
						t.Errorf("got %+v", ev)
					}
					synctest.Wait()
					switch who := s.who(); {
					case others == 0 && who != nil && name != "on a deadline", others > crowd && who != &tab.background: // idle by then
						t.Errorf("%v reads", who)
					case others > 0 && others <= crowd-2 && who != calls[others-1]:
						t.Error("the newest one that waits does not read")
					case others > 0 && who == nil:
						t.Error("nobody reads")
					}
					for i, c := range calls {
						s.frames <- outcomeOf(c.ID, fmt.Sprint("for ", i))
					}
					for i, e := range events {
						if ev := <-e; ev.Outcome != fmt.Sprint("for ", i) {
							t.Errorf("other %d got %+v", i, ev)
						}
						tab.End(calls[i])
					}
					tab.End(leader)
					tab.Fail(&transport.Error{Kind: transport.Closed})
					synctest.Wait()
				})
			})
		}
	}
}

// A lane's death wakes whoever leads and everybody who follows.
func TestDeathWakesEverybody(t *testing.T) {
	for _, callers := range []int{1, 3, 20} {
		synctest.Test(t, func(t *testing.T) {
			tab, s := newFake(t)
			var wg sync.WaitGroup
			for range callers {
				c := begin(t, tab, time.Now().Add(time.Hour))
				wg.Go(func() {
					if ev := tab.Wait(c); ev.Err == nil || ev.Err.Kind != transport.Closed {
						t.Errorf("got %+v", ev)
					}
					tab.End(c)
				})
			}
			synctest.Wait()
			if s.who() == nil {
				t.Error("nobody reads")
			}
			start := time.Now()
			tab.Fail(&transport.Error{Kind: transport.Closed, Msg: "dead"})
			wg.Wait()
			if took := time.Since(start); took > time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// Frames that nobody waits for are read within a moment, also where calls came and went.
func TestIdleLaneIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, s := newFake(t)
		for round := range 3 {
			c := begin(t, tab, time.Time{})
			ev := waits(t, tab, c)
			s.frames <- outcomeOf(c.ID, "o")
			<-ev
			tab.End(c)
			read, start := make(chan struct{}), time.Now()
			s.frames <- func(*Table[string, string]) { close(read) }
			<-read
			if took := time.Since(start); took > 3*idle {
				t.Errorf("round %d: read after %s", round, took)
			}
		}
		synctest.Wait()
		tab.Fail(&transport.Error{Kind: transport.Closed})
		synctest.Wait()
	})
}

// A background reader that finds an idle lane busy again steps back.
func TestBackgroundStepsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, s := newFake(t)
		time.Sleep(3 * idle)
		synctest.Wait()
		if s.who() != &tab.background {
			t.Fatal("nobody reads an idle lane")
		}
		for i := range 3 {
			c := begin(t, tab, time.Time{})
			ev := waits(t, tab, c)
			synctest.Wait()
			if leads := s.who() == c; leads != (i > 0) {
				t.Errorf("call %d leads: %v", i, leads)
			}
			s.frames <- outcomeOf(c.ID, "o")
			<-ev
			tab.End(c)
			synctest.Wait()
		}
		tab.Fail(&transport.Error{Kind: transport.Closed})
		synctest.Wait()
	})
}

// TestLeadStorm has many callers with deadlines of all lengths, and a source that delivers, delays, asks and forgets. Everybody must get his own outcome or
// his time-out, and soon.
func TestLeadStorm(t *testing.T) {
	tab, s := newFake(t)
	ids := make(chan uint32, 1000)
	stop := make(chan struct{})
	var server, callers sync.WaitGroup
	server.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case id := <-ids:
				switch rand.IntN(8) {
				case 0: // forgotten
				case 1:
					time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, func() {
						select {
						case s.frames <- outcomeOf(id, fmt.Sprint(id)):
						case <-stop:
						}
					})
				case 2:
					s.frames <- func(t *Table[string, string]) { _ = t.Ask(id, 0, fmt.Sprint(id), 1) }
					fallthrough
				default:
					s.frames <- outcomeOf(id, fmt.Sprint(id))
				}
			}
		}
	})
	for range 40 {
		callers.Go(func() {
			for range 200 {
				wait := time.Duration(rand.IntN(4000)) * time.Microsecond
				start := time.Now()
				c, err := tab.Begin(&wire.Call{Facts: &wire.Facts{}}, start.Add(wait))
				if err != nil {
					continue // it had no time at all
				}
				ids <- c.ID
				for {
					ev := tab.Wait(c)
					if ev.IsAsk {
						if ev.Ask != fmt.Sprint(c.ID) {
							t.Errorf("call %d got the ask %s", c.ID, ev.Ask)
						}
						continue
					}
					if ev.Err == nil && ev.Outcome != fmt.Sprint(c.ID) || ev.Err != nil && ev.Err.Kind != transport.Timeout {
						t.Errorf("call %d got %+v", c.ID, ev)
					}
					break
				}
				if took := time.Since(start) - wait; took > 20*time.Second {
					t.Errorf("it took %s", took)
				}
				tab.End(c)
			}
		})
	}
	callers.Wait()
	close(stop)
	server.Wait()
	if tab.InFlight() != 0 {
		t.Errorf("%d in flight", tab.InFlight())
	}
	tab.Fail(&transport.Error{Kind: transport.Closed})
}
