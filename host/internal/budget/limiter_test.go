package budget

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(2, 1)
		soon := time.Now().Add(time.Second)
		for range 2 {
			if err := l.Enter(soon); err != nil {
				t.Fatal(err)
			}
		}
		waited := make(chan error)
		go func() { waited <- l.Enter(soon) }()
		synctest.Wait()
		if err := l.Enter(soon); !errors.Is(err, ErrFull) {
			t.Errorf("a full queue: %v", err)
		}
		if u := l.Usage(); u != (Usage{2, 1, 1}) {
			t.Errorf("usage %+v", u)
		}
		if left := l.Leave(); left != 2 {
			t.Errorf("%d left, want 2: the place was handed on", left)
		}
		if err := <-waited; err != nil {
			t.Errorf("the one that waited: %v", err)
		}
		if l.Leave() != 1 || l.Leave() != 0 {
			t.Errorf("usage %+v", l.Usage())
		}
	})
}

func TestNobodyWaitsLongerThanTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1, 10)
		start := time.Now()
		if err := l.Enter(start); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			go func() {
				deadline := time.Duration(i) * 100 * time.Millisecond
				if err := l.Enter(start.Add(deadline)); !errors.Is(err, ErrWaited) || time.Since(start) != deadline {
					t.Errorf("%v after %s, want %s", err, time.Since(start), deadline)
				}
			}()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if u := l.Usage(); u != (Usage{1, 0, 5}) || l.head != nil || l.tail != nil {
			t.Errorf("usage %+v", u)
		}
		if l.Leave() != 0 {
			t.Error("a place is left")
		}
	})
}

// A place that becomes free at the deadline of those that wait is of no use to them: the next one in line gets it, or nobody.
func TestNoPlaceComesWithTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, others := range []int{0, 1} {
			l := NewLimiter(1, 10)
			deadline := time.Now().Add(time.Second)
			if err := l.Enter(deadline); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Second, func() { l.Leave() }) // before the timers of those that wait
			for range 3 {
				go func() {
					if err := l.Enter(deadline); !errors.Is(err, ErrWaited) {
						t.Errorf("at the deadline: %v", err)
					}
				}()
				synctest.Wait()
			}
			for range others {
				go func() {
					if err := l.Enter(deadline.Add(time.Second)); err != nil {
						t.Errorf("with time left: %v", err)
					}
				}()
				synctest.Wait()
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if u := l.Usage(); u != (Usage{others, 0, 3}) || l.head != nil || l.tail != nil {
				t.Errorf("usage %+v, want %d in flight and 3 refused", u, others)
			}
		}
	})
}

func TestFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1, 100)
		far := time.Now().Add(time.Hour)
		if err := l.Enter(far); err != nil {
			t.Fatal(err)
		}
		var order []int
		for i := range 20 {
			go func() {
				if err := l.Enter(far); err != nil {
					t.Error(err)
				}
				order = append(order, i) // one at a time: the limiter has one place
				l.Leave()
			}()
			synctest.Wait() // in line
		}
		l.Leave()
		synctest.Wait()
		if !slices.IsSorted(order) || len(order) != 20 {
			t.Errorf("order %v", order)
		}
	})
}

// Many callers at once, some of which give up: never more than the bound are in, and everything is given back.
func TestLimiterUnderLoad(t *testing.T) {
	before := runtime.NumGoroutine()
	l := NewLimiter(4, 16)
	var mu sync.Mutex
	in, most, refused := 0, 0, uint64(0)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for range 300 {
				err := l.Enter(time.Now().Add(time.Duration(rand.IntN(400)) * time.Microsecond))
				mu.Lock()
				if err != nil {
					refused++
					mu.Unlock()
					continue
				}
				in++
				most = max(most, in)
				mu.Unlock()
				runtime.Gosched()
				mu.Lock()
				in--
				mu.Unlock()
				l.Leave()
			}
		})
	}
	all.Wait()
	if u := l.Usage(); most > 4 || u != (Usage{0, 0, refused}) || l.head != nil || l.tail != nil {
		t.Errorf("%d at once, %d refused, usage %+v", most, refused, u)
	}
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
