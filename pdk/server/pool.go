package server

import "sync"

// maxIdle is how many workers wait for work; more of them end.
const maxIdle = 64

// pool runs calls, and leads lanes, on goroutines that are used again. There are as many workers as calls at once need: a worker that takes a call while
// more are queued wakes another one first, so that a handler that blocks holds up nobody, and quick handlers of one batch share few workers.
type pool struct {
	mu     sync.Mutex
	leads  []*crew // lanes that wait for a leader
	head   *run    // queue, linked by next
	tail   *run
	idle   []*worker
	waking bool // a worker has been woken and has not come for work yet
}

// worker is one goroutine.
type worker struct {
	wake chan struct{} // has room for one
}

// submit queues a list of runs, linked by next.
func (p *pool) submit(first *run) {
	if first == nil {
		return
	}
	last := first
	for last.next != nil {
		last = last.next
	}
	p.mu.Lock()
	if p.tail == nil {
		p.head = first
	} else {
		p.tail.next = first
	}
	p.tail = last
	p.wakeOne()
	p.mu.Unlock()
}

// lead finds a leader for a lane.
func (p *pool) lead(c *crew) {
	p.mu.Lock()
	p.leads = append(p.leads, c)
	p.wakeOne()
	p.mu.Unlock()
}

// wakeOne makes a worker come, unless one is on its way. p.mu is held.
func (p *pool) wakeOne() {
	if p.waking {
		return
	}
	p.waking = true
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		w.wake <- struct{}{}
		return
	}
	w := &worker{wake: make(chan struct{}, 1)}
	go p.work(w)
}

// wakeMore wakes a worker for what a worker leaves behind. p.mu is held.
func (p *pool) wakeMore() {
	if p.head != nil || len(p.leads) > 0 {
		p.wakeOne()
	}
}

func (p *pool) work(w *worker) {
	ended := true // a handler called runtime.Goexit; its run is over, the worker is lost
	defer func() {
		if ended {
			p.mu.Lock()
			p.wakeMore()
			p.mu.Unlock()
		}
	}()
	p.mu.Lock()
	p.waking = false
	for {
		switch n := len(p.leads); {
		case n > 0:
			c := p.leads[n-1]
			p.leads[n-1] = nil
			p.leads = p.leads[:n-1]
			p.wakeMore()
			p.mu.Unlock()
			c.lead()
		case p.head != nil:
			r := p.head
			if p.head = r.next; p.head == nil {
				p.tail = nil
			}
			p.wakeMore()
			p.mu.Unlock()
			r.next = nil
			r.execute(nil)
		case len(p.idle) >= maxIdle:
			p.mu.Unlock()
			ended = false
			return
		default:
			p.idle = append(p.idle, w)
			p.mu.Unlock()
			<-w.wake
			p.mu.Lock()
			p.waking = false
			continue
		}
		p.mu.Lock()
	}
}
