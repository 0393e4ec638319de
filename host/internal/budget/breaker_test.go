package budget

import (
	"sync"
	"testing"
	"time"
)

// watch is a breaker under a clock of its own.
type watch struct {
	*Breaker
	t   *testing.T
	now time.Time
}

func newWatch(t *testing.T) *watch {
	b := NewBreaker(Errors{Ratio: 0.5, Calls: 4, Window: 10 * time.Second, OpenFor: 5 * time.Second, Probes: 2})
	b.jitter = func() float64 { return 0.5 } // none
	return &watch{b, t, b.base}
}

func (w *watch) after(d time.Duration) { w.now = w.now.Add(d) }

func (w *watch) call(r Result) {
	w.t.Helper()
	t, _, ok := w.Allow(w.now)
	if !ok {
		w.t.Fatal("the call was refused")
	}
	w.Done(t, w.now, r)
}

func (w *watch) calls(rs ...Result) {
	w.t.Helper()
	for _, r := range rs {
		w.call(r)
	}
}

func (w *watch) is(want State) {
	w.t.Helper()
	if s, _, _ := w.State(); s != want {
		w.t.Fatalf("it is %s, want %s", s, want)
	}
}

func TestBreakerOpens(t *testing.T) {
	const s, f, n = Success, Failure, Neither
	for name, c := range map[string]struct {
		calls []Result
		want  State
	}{
		"too few calls":            {[]Result{f, f, f}, StateClosed},
		"enough failures":          {[]Result{s, s, f, f}, StateOpen},
		"too small a part":         {[]Result{s, s, s, f, f, s, s, f}, StateClosed},
		"what says nothing counts": {[]Result{f, n, f, n, f, n, n, n}, StateClosed},
		"all fail":                 {[]Result{f, f, f, f}, StateOpen},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatch(t)
			w.calls(c.calls...)
			w.is(c.want)
		})
	}
}

func TestBreakerForgetsWhatIsOutOfTheWindow(t *testing.T) {
	w := newWatch(t)
	w.calls(Failure, Failure, Failure)
	w.after(11 * time.Second)
	w.call(Failure)
	w.is(StateClosed)
	w.after(5 * time.Second)
	w.calls(Failure, Failure)
	w.is(StateClosed)
	w.after(4 * time.Second) // all three are in the window
	w.call(Failure)
	w.is(StateOpen)
	w = newWatch(t)
	for range 40 { // one failure of four in any window
		for i := range 8 {
			w.call([]Result{Success, Success, Success, Failure}[i%4])
			w.after(time.Second)
		}
	}
	w.is(StateClosed)
}

func TestBreakerTriesAgain(t *testing.T) {
	w := newWatch(t)
	w.calls(Failure, Failure, Failure, Failure)
	w.after(4 * time.Second)
	if _, wait, ok := w.Allow(w.now); ok || wait != time.Second {
		t.Errorf("open: passed %v, wait %s", ok, wait)
	}
	w.after(time.Second)
	first, _, ok1 := w.Allow(w.now)
	second, _, ok2 := w.Allow(w.now)
	_, _, ok3 := w.Allow(w.now)
	if !ok1 || !ok2 || ok3 {
		t.Fatalf("half open: %v %v %v, want two probes", ok1, ok2, ok3)
	}
	w.Done(first, w.now, Neither)
	third, _, ok := w.Allow(w.now)
	if !ok {
		t.Fatal("a probe that said nothing has its place taken")
	}
	w.Done(second, w.now, Success)
	w.is(StateHalfOpen)
	w.Done(third, w.now, Success)
	w.is(StateClosed)
	w.Done(second, w.now, Failure) // of another term
	w.calls(Failure, Failure, Failure)
	w.is(StateClosed)
	w.call(Failure)
	w.is(StateOpen)
	w.after(5 * time.Second)
	w.call(Failure)
	w.is(StateOpen)
	if _, opened, refused := w.State(); opened != 3 || refused != 2 {
		t.Errorf("opened %d times, %d refused", opened, refused)
	}
}

// Many callers find a breaker that may be tried at the same time: exactly the probes pass, and each one that says nothing lets one more.
func TestOnlyProbesPass(t *testing.T) {
	b := NewBreaker(Errors{Ratio: 0.5, Calls: 1, Window: time.Second, OpenFor: time.Second, Probes: 3})
	now := b.base
	opened, _, _ := b.Allow(now)
	b.Done(opened, now, Failure)
	now = now.Add(time.Minute)
	tickets := make(chan Ticket, 100)
	crowd := func() {
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				if t, _, ok := b.Allow(now); ok {
					tickets <- t
				}
			})
		}
		all.Wait()
	}
	crowd()
	if n := len(tickets); n != 3 {
		t.Fatalf("%d calls pass, want 3", n)
	}
	b.Done(<-tickets, now, Neither)
	crowd()
	if n := len(tickets); n != 3 {
		t.Fatalf("%d calls pass once one has said nothing, want 3", n)
	}
	for range 3 {
		b.Done(<-tickets, now, Success)
	}
	if s, _, refused := b.State(); s != StateClosed || refused != 29+31 {
		t.Errorf("it is %s and has refused %d", s, refused)
	}
}

func TestLateResultsOfAnotherTermDoNotCount(t *testing.T) {
	w := newWatch(t)
	late, _, _ := w.Allow(w.now)
	w.calls(Failure, Failure, Failure, Failure)
	w.after(5 * time.Second)
	w.call(Success) // a probe
	w.Done(late, w.now, Failure)
	w.is(StateHalfOpen)
	w.call(Success)
	w.is(StateClosed)
}

func TestOpenTimeIsSpread(t *testing.T) {
	for jitter, want := range map[float64]time.Duration{0: 4500 * time.Millisecond, 0.5: 5 * time.Second, 1: 5500 * time.Millisecond} {
		w := newWatch(t)
		w.jitter = func() float64 { return jitter }
		w.calls(Failure, Failure, Failure, Failure)
		if _, wait, ok := w.Allow(w.now); ok || wait != want {
			t.Errorf("jitter %v: waits %s, want %s", jitter, wait, want)
		}
	}
}

// A chain that denies a call leaves nothing behind.
func TestChain(t *testing.T) {
	var r Registry
	errs := Errors{Ratio: 0.5, Calls: 2, Window: time.Second, OpenFor: time.Minute, Probes: 1}
	const access, log = 1, 5
	server := r.Use(Scope{Server: "s"}, Limits{Errors: errs})
	plugin := r.Use(Scope{Server: "s", Plugin: "p"}, Limits{MaxInFlight: 2, Errors: errs, HandlerErrors: true})
	record := r.Use(Scope{Server: "s", Plugin: "p", Record: "r"}, Limits{MaxInFlight: 1})
	chain := Chain{server, plugin, record}
	now := time.Now()
	var one, two Entry
	if _, ok := chain.Enter(&one, access, now, now); !ok {
		t.Fatal("denied")
	}
	if d, ok := chain.Enter(&two, access, now, now); ok || d.Budget != record || !d.Full || plugin.Limiter.Usage().InFlight != 1 {
		t.Errorf("%+v, %v, plugin %+v", d, ok, plugin.Limiter.Usage())
	}
	chain.Leave(&one, now, Failure, true)
	if plugin.Limiter.Usage().InFlight+record.Limiter.Usage().InFlight != 0 {
		t.Error("a place is left")
	}
	if _, ok := chain.Enter(&one, access, now, now); !ok {
		t.Fatal("denied")
	}
	chain.Leave(&one, now, Failure, true)
	if d, ok := chain.Enter(&one, access, now, now); ok || d.Budget != plugin || d.Wait < 50*time.Second {
		t.Errorf("the breaker of the plugin: %+v, %v", d, ok)
	}
	if _, ok := chain.Enter(&one, log, now, now); !ok {
		t.Error("another phase is refused")
	} else {
		chain.Leave(&one, now, Success, false)
	}
	if s, _, _ := server.Breakers[access].State(); s != StateClosed {
		t.Error("errors of handlers opened a breaker that does not count them")
	}
	if list := r.Status(nil, "s"); len(list) != 3 || list[0].Level != "server" || list[1].Breaker != "open" || list[1].Opened != 1 || list[2].Refused != 1 || list[2].MaxInFlight != 1 {
		t.Errorf("status %+v", list)
	}
	// A probe that a limiter stops gives its place in the breaker back.
	later := now.Add(2 * time.Minute)
	if err := record.Limiter.Enter(later); err != nil {
		t.Fatal(err)
	}
	if d, ok := chain.Enter(&one, access, later, later); ok || d.Budget != record {
		t.Errorf("%+v, %v", d, ok)
	}
	record.Limiter.Leave()
	if _, ok := chain.Enter(&one, access, later, later); !ok {
		t.Error("the place of the probe is lost")
	}
}

func TestRegistryKeepsBudgetsWhileTheyAreUsed(t *testing.T) {
	var r Registry
	scope, limits := Scope{Server: "s", Record: "r"}, Limits{MaxInFlight: 3}
	a := r.Use(scope, limits)
	b := r.Use(scope, limits)
	if a != b || a == r.Use(scope, Limits{MaxInFlight: 4}) || a == r.Use(Scope{Build: 1, Server: "s", Record: "r"}, limits) {
		t.Error("budgets are not told apart by scope and limits")
	}
	r.Release(a)
	if a != r.Use(scope, limits) {
		t.Error("a budget in use was forgotten")
	}
	r.Release(a)
	r.Release(b)
	if a == r.Use(scope, limits) {
		t.Error("a budget that nobody uses was kept")
	}
}

func TestBytes(t *testing.T) {
	b := NewBytes(100)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for n := range 200 {
				if b.Take(n) {
					b.Give(n)
				}
			}
		})
	}
	all.Wait()
	if b.Used() != 0 || b.Refused() < 16*99 {
		t.Errorf("%d are taken, %d refused", b.Used(), b.Refused())
	}
	if !b.Take(100) || b.Take(1) || !b.Take(0) {
		t.Error("the bound is not kept")
	}
	var none *Bytes
	if !none.Take(1 << 40) {
		t.Error("no bound refuses")
	}
	none.Give(1 << 40)
}

// A chain is open while nothing bounds its calls and all breakers of the phase are closed.
func TestOpenChain(t *testing.T) {
	var r Registry
	errs := Errors{Ratio: 0.5, Calls: 1, Window: time.Second, OpenFor: time.Minute, Probes: 1}
	const access, log = 1, 5
	server := r.Use(Scope{Server: "s"}, Limits{Errors: errs})
	bounded := r.Use(Scope{Server: "s", Plugin: "p"}, Limits{MaxInFlight: 2})
	if !(Chain{}).Open(access) || !(Chain{server}).Open(access) || (Chain{server, bounded}).Open(access) {
		t.Error("a chain without limits is not open, or one with a bound is")
	}
	now := time.Now()
	ticket, _, _ := server.Breakers[access].Allow(now)
	server.Breakers[access].Done(ticket, now, Failure)
	if (Chain{server}).Open(access) || !(Chain{server}).Open(log) {
		t.Error("a chain is open although its breaker refuses calls, or closed because of another phase")
	}
}

// Successes of many at once all count, whichever way they take into the window: one failure fewer than the ratio asks for leaves the breaker closed.
func TestManySuccessesAtOnceCount(t *testing.T) {
	const callers, each = 8, 500
	b := NewBreaker(Errors{Ratio: 0.5, Calls: 1, Window: time.Hour, OpenFor: time.Hour, Probes: 1})
	now := time.Now()
	done := func(r Result) {
		ticket, _, ok := b.Allow(now)
		if !ok {
			t.Error("a call is refused")
			return
		}
		b.Done(ticket, now, r)
	}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				done(Success)
			}
		})
	}
	wg.Wait()
	for range callers*each - 1 {
		done(Failure)
	}
	if s, _, _ := b.State(); s != StateClosed {
		t.Fatalf("it is %s before half of the calls failed", s)
	}
	done(Failure)
	if s, _, _ := b.State(); s != StateOpen {
		t.Errorf("it is %s although half of the calls failed", s)
	}
}

// Successes that wait for the window leave it in time like others.
func TestSuccessesAreForgotten(t *testing.T) {
	b := NewBreaker(Errors{Ratio: 0.5, Calls: 1, Window: time.Second, OpenFor: time.Hour, Probes: 1})
	now := time.Now()
	for range 100 {
		b.Done(Ticket(b.term.Load()), now, Success)
	}
	b.Done(Ticket(b.term.Load()), now.Add(500*time.Millisecond), Failure)
	if s, _, _ := b.State(); s != StateClosed {
		t.Fatalf("one failure of 101 and it is %s", s)
	}
	b.Done(Ticket(b.term.Load()), now.Add(3*time.Second), Failure)
	if s, _, _ := b.State(); s != StateOpen {
		t.Errorf("nothing but a failure in the window and it is %s", s)
	}
}
