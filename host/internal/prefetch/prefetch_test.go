package prefetch

import (
	"fmt"
	"sync"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

var body = &wire.Ask{Fn: pdk.AskRequestGetRawBody}

func variable(name string) *wire.Ask {
	return &wire.Ask{Fn: pdk.AskNginxGetVar, Args: [][]byte{encoded(name)}}
}

// times calls f until ships is what is wanted, and says how often.
func times(t *testing.T, q *Question, ships bool, f func()) int {
	t.Helper()
	for n := 0; n < 1<<16; n++ {
		if q.Ships() == ships {
			return n
		}
		f()
	}
	t.Fatalf("it never came to ships = %t", ships)
	return 0
}

func TestLearnsAndForgets(t *testing.T) {
	var m Memory
	if m.Known(pdk.PhaseAccess) != nil {
		t.Fatal("a new memory knows something")
	}
	q := m.Asked(pdk.PhaseAccess, body)
	if n := times(t, q, true, q.Missed); n != 11 {
		t.Errorf("it travels after %d asks, expected 11", n)
	}
	for range 100 {
		q.Used()
	}
	if n := times(t, q, false, q.Idle); n < 20 || n > 24 {
		t.Errorf("it stops after %d calls without a use, expected about 22", n)
	}
	if n := times(t, q, true, q.Missed); n < 5 || n > 11 {
		t.Errorf("it travels again after %d asks", n)
	}
	if m.Asked(pdk.PhaseAccess, body) != q || len(m.Known(pdk.PhaseAccess)) != 1 || m.Known(pdk.PhaseResponse) != nil {
		t.Error("one question became several")
	}
}

// What is asked in every third call never travels, what is asked in two of three does.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		asked, calls int
		want         bool
	}{{1, 3, false}, {2, 3, true}} {
		var m Memory
		q := m.Asked(pdk.PhaseAccess, body)
		shipped := 0
		for i := range 1000 {
			if q.Ships() {
				shipped++
			}
			switch use := i%c.calls < c.asked; {
			case use && q.Ships():
				q.Used()
			case use:
				q.Missed()
			default:
				q.Idle()
			}
		}
		if got := shipped > 900; got != c.want || !c.want && shipped > 0 {
			t.Errorf("asked in %d of %d calls: it travelled %d times of 1000", c.asked, c.calls, shipped)
		}
	}
}

// An answer that is always stale is given up soon, and tried again ever more rarely.
func TestStale(t *testing.T) {
	var m Memory
	q := m.Asked(pdk.PhaseAccess, body)
	last := 0
	for round := range 4 {
		n := times(t, q, true, q.Missed)
		if n <= last {
			t.Errorf("round %d: tried again after %d asks, before after %d", round, n, last)
		}
		last = n
		if n := times(t, q, false, q.Stale); n > 3 {
			t.Errorf("round %d: given up after %d calls", round, n)
		}
	}
	// One in ten does no harm.
	times(t, q, true, q.Missed)
	for i := range 1000 {
		if i%10 == 9 {
			q.Stale()
		} else {
			q.Used()
		}
		if !q.Ships() {
			t.Fatalf("given up after %d calls although nine of ten use it", i)
		}
	}
	if q.paused.Load() != 0 {
		t.Error("a pause is remembered for ever")
	}
}

func TestBarren(t *testing.T) {
	var m Memory
	q := m.Asked(pdk.PhaseAccess, body)
	times(t, q, true, q.Missed)
	q.Barren()
	if q.Ships() {
		t.Error("what had no answer travels")
	}
	if n := times(t, q, true, q.Missed); n != 11 {
		t.Errorf("it travels again after %d asks", n)
	}
}

func TestMay(t *testing.T) {
	for _, c := range []struct {
		ask  *wire.Ask
		want bool
	}{
		{body, true}, {variable("uri"), true}, {variable("msec"), false}, {variable("request_time"), false},
		{&wire.Ask{Fn: pdk.AskLogSerialize}, true}, {&wire.Ask{Fn: pdk.AskVaultGet, Args: [][]byte{encoded("{vault://x}")}}, false},
		{&wire.Ask{Fn: pdk.AskCacheGet, Args: [][]byte{encoded("x")}}, false}, {&wire.Ask{Fn: pdk.AskNginxGetVar}, false},
		{variable(fmt.Sprintf("%0300d", 1)), false}, {&wire.Ask{Fn: 999}, false},
	} {
		if May(c.ask) != c.want {
			t.Errorf("question %d %q: may %t", c.ask.Fn, c.ask.Args, !c.want)
		}
		if q := new(Memory).Asked(pdk.PhaseAccess, c.ask); (q != nil) != c.want {
			t.Errorf("question %d %q: remembered %t", c.ask.Fn, c.ask.Args, q != nil)
		}
	}
	var none *Memory
	if none.Asked(pdk.PhaseAccess, body) != nil || none.Known(pdk.PhaseAccess) != nil {
		t.Error("no memory remembers")
	}
}

// Questions without end do not make the memory larger, and do not push out what is asked often.
func TestBounded(t *testing.T) {
	var m Memory
	often := m.Asked(pdk.PhaseLog, variable("uri"))
	times(t, often, true, often.Missed)
	for i := range 1000 {
		if q := m.Asked(pdk.PhaseLog, variable(fmt.Sprint("arg_", i))); q != nil {
			q.Missed()
		}
	}
	if n := len(m.Known(pdk.PhaseLog)); n != maxQuestions {
		t.Errorf("%d questions are remembered", n)
	}
	if m.Asked(pdk.PhaseLog, variable("uri")) != often {
		t.Error("what is asked often was forgotten")
	}
}

// What is kept of a question is a copy: its arguments are views of a frame.
func TestCopies(t *testing.T) {
	var m Memory
	a := variable("uri")
	q := m.Asked(pdk.PhaseLog, a)
	clear(a.Args[0])
	if string(q.Ask.Args[0]) != string(encoded("uri")) {
		t.Errorf("it changed to %q", q.Ask.Args[0])
	}
}

func TestEager(t *testing.T) {
	q := Eager().Asked(pdk.PhaseAccess, body)
	for range 100 {
		q.Idle()
		q.Stale()
	}
	if !q.Ships() {
		t.Error("it stopped")
	}
}

func TestManyAtOnce(t *testing.T) {
	var m Memory
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				q := m.Asked(pdk.PhaseAccess, variable(fmt.Sprint("arg_", (i+g)%(maxQuestions+8))))
				if q == nil {
					continue
				}
				switch i % 5 {
				case 0:
					q.Idle()
				case 1:
					q.Stale()
				case 2:
					q.Used()
				default:
					q.Missed()
				}
				for _, k := range m.Known(pdk.PhaseAccess) {
					k.Ships()
				}
			}
		})
	}
	wg.Wait()
	if n := len(m.Known(pdk.PhaseAccess)); n > maxQuestions {
		t.Errorf("%d questions are remembered", n)
	}
}
