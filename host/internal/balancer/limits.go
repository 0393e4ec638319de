package balancer

import "sync/atomic"

// limits bound what all requests of an upstream do together, and count it.
type limits struct {
	active   atomic.Int64 // requests between Begin and End
	retrying atomic.Int64 // of those, which are on a further try

	retries, denied    atomic.Uint64 // further tries, and those that the budget did not allow
	overflows, ejected atomic.Uint64

	pending atomic.Int64 // requests that wait for a connection
	line    line
}

// Begin counts a request of the upstream until End.
func (b *Balancer) Begin() { b.active.Add(1) }

// End says that a request is over; retried: that MayRetry allowed it a further try.
func (b *Balancer) End(retried bool) {
	b.active.Add(-1)
	if retried {
		b.retrying.Add(-1)
	}
}

// MayRetry asks the budget for a further try of a request; again: it has had one before, which lasts until End.
func (b *Balancer) MayRetry(again bool) bool {
	if budget := b.Upstream.Budget; !again {
		n := b.retrying.Add(1)
		if budget != nil && n > max(int64(budget.MinRetries), b.active.Load()*int64(budget.Percent)/100) {
			b.retrying.Add(-1)
			b.denied.Add(1)
			return false
		}
	}
	b.retries.Add(1)
	return true
}
