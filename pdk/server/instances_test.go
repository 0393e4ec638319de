package server

import (
	"sync"
	"testing"
)

// A call finds the instance of its id while another one takes its place, again and again.
func TestReplacedInstanceIsAlwaysFound(t *testing.T) {
	var table instances
	table.put(&instance{id: 1})
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				in := table.acquire(1)
				if in == nil {
					t.Error("the instance was not found")
					return
				}
				in.release()
			}
		})
	}
	for range 20_000 {
		table.put(&instance{id: 1})
	}
	close(done)
	readers.Wait()
	table.remove(1)
	if table.acquire(1) != nil {
		t.Error("a removed instance was found")
	}
}
