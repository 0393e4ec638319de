package transport

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestBacklogIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Backlog
		b.Wait(t.Context()) // nothing
		b.Begin()
		b.Begin()
		var waiting atomic.Int32
		for range 2 {
			waiting.Add(1)
			go func() { b.Wait(t.Context()); waiting.Add(-1) }()
		}
		b.End()
		synctest.Wait()
		if waiting.Load() != 2 {
			t.Fatal("a lane holds lines, and nobody waits for it")
		}
		over, end := context.WithCancel(t.Context())
		end()
		b.Wait(over)
		b.End()
		synctest.Wait()
		if n := waiting.Load(); n != 0 {
			t.Fatalf("%d still wait", n)
		}
		b.Begin() // it counts on
		b.End()
		b.Wait(t.Context())
	})
}
