package wire

import (
	"sync"
	"sync/atomic"
)

// Quit ends what is done for somebody who does not wait for it any more: the client of a request that has gone. What is done for one request is done one thing
// after the other; each thing enters before it waits and leaves after that. A nil Quit never ends anything.
type Quit struct {
	mu   sync.Mutex
	gone atomic.Bool // set under the lock
	who  interface{ GiveUp(id uint32) }
	id   uint32
}

// Enter says who is to give up what is done from now on; at once when nobody waits for it.
func (q *Quit) Enter(who interface{ GiveUp(id uint32) }, id uint32) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.who, q.id = who, id; q.gone.Load() {
		who.GiveUp(id)
	}
}

// Leave says that it is done. Nobody is told to give up afterwards.
func (q *Quit) Leave() {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.who = nil
}

// Go says that nobody waits any more. GiveUp may not call the Quit.
func (q *Quit) Go() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.gone.Swap(true) {
		return
	}
	if q.who != nil {
		q.who.GiveUp(q.id)
	}
}

// Gone reports whether Go was called.
func (q *Quit) Gone() bool {
	return q != nil && q.gone.Load()
}
