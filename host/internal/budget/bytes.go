package budget

import "sync/atomic"

// Bytes bounds memory. What is taken is given back exactly once, by whoever took it. Nil has no bound.
type Bytes struct {
	most    int64
	used    atomic.Int64
	refused atomic.Uint64
}

// NewBytes allows most bytes.
func NewBytes(most int64) *Bytes { return &Bytes{most: most} }

// Take takes n bytes, all or none.
func (b *Bytes) Take(n int) bool {
	if b == nil || n <= 0 {
		return true
	}
	for {
		used := b.used.Load()
		if int64(n) > b.most-used {
			b.refused.Add(1)
			return false
		}
		if b.used.CompareAndSwap(used, used+int64(n)) { // one that is refused takes nothing, not even for a moment
			return true
		}
	}
}

// Give gives n bytes back.
func (b *Bytes) Give(n int) {
	if b != nil && n > 0 {
		b.used.Add(-int64(n))
	}
}

// Used is what is taken now, Most the bound, Refused how often there was not enough.
func (b *Bytes) Used() int64     { return b.used.Load() }
func (b *Bytes) Most() int64     { return b.most }
func (b *Bytes) Refused() uint64 { return b.refused.Load() }
