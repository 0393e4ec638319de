package transport

import (
	"context"
	"sync"
)

// Backlog counts the lanes that hold log lines for a logger. Whoever ends a plugin server, or the whole gateway, waits until there is none. The zero value
// counts; nil counts nothing. Its methods may be called at once from many goroutines.
type Backlog struct {
	mu    sync.Mutex
	lanes int
	empty chan struct{} // closed when lanes becomes 0; nil: nobody waits
}

// Begin counts a lane that holds lines from now on.
func (b *Backlog) Begin() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lanes++
}

// End is for a lane whose lines have all been written.
func (b *Backlog) End() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lanes--; b.lanes == 0 && b.empty != nil {
		close(b.empty)
		b.empty = nil
	}
}

// Wait returns when every line that was held has been written, or ctx has ended.
func (b *Backlog) Wait(ctx context.Context) {
	b.mu.Lock()
	if b.lanes == 0 {
		b.mu.Unlock()
		return
	}
	if b.empty == nil {
		b.empty = make(chan struct{})
	}
	empty := b.empty
	b.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}
