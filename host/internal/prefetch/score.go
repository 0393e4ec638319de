package prefetch

import "sync/atomic"

// The score of a question is the part of the latest calls whose handlers had a use for its answer, where a call counts a sixteenth of all before it.
// The answer travels once that is a half, after eleven calls in a row that asked, until it is less than a quarter, after twenty-two in a row that did
// not use it.
const (
	whole  = 1 << 16
	weight = 4 // a call counts 1/2^weight
	begins = whole / 2
	ends   = whole / 4
)

// Bounds of the asks that do not count after an answer has turned out to be useless: it travelled, and the handler asked all the same, because what
// it did before made the answer stale.
const (
	firstPause = 64
	lastPause  = 1 << 14
)

// score says how much use an answer has lately. Calls that end at the same time may overwrite each other: a vote is lost then, which does no harm.
type score struct {
	value  atomic.Int32
	ships  atomic.Bool
	pause  atomic.Int32 // asks that do not count yet
	paused atomic.Int32 // how long the last pause was; 0: there was none lately
}

// Ships reports whether the answer is to travel with the next call.
func (q *Question) Ships() bool { return q.ships.Load() || q.eager }

// Missed says that a handler asked, and the answer had not travelled with its call.
func (q *Question) Missed() {
	if left := q.pause.Load(); left > 0 {
		q.pause.Store(left - 1)
		return
	}
	q.wanted()
}

// Used says that the answer travelled with a call, and the handler used it.
func (q *Question) Used() {
	q.wanted()
	if q.paused.Load() != 0 && q.value.Load() > whole-ends {
		q.paused.Store(0)
	}
}

// Idle says that a call ended whose handler had no use for the answer, whether it travelled or not.
func (q *Question) Idle() { q.lower(weight) }

// Stale says that the answer travelled with a call, and the handler asked for it all the same.
func (q *Question) Stale() {
	shipped := q.ships.Load()
	if q.lower(weight - 2); !shipped || q.ships.Load() {
		return
	}
	pause := min(max(4*q.paused.Load(), firstPause), lastPause)
	q.paused.Store(pause)
	q.pause.Store(pause)
	q.value.Store(0)
}

// Barren says that there was no answer that could travel: it would have been an error, or too large.
func (q *Question) Barren() {
	q.value.Store(0)
	q.ships.Store(false)
}

func (q *Question) wanted() {
	v := q.value.Load()
	v += (whole - v) >> weight
	q.value.Store(v)
	if v >= begins && !q.ships.Load() {
		q.ships.Store(true)
	}
}

func (q *Question) lower(by int) {
	v := q.value.Load()
	v -= v >> by
	q.value.Store(v)
	if v < ends && q.ships.Load() {
		q.ships.Store(false)
	}
}

// rare reports whether a question may be forgotten for the sake of another one.
func (q *Question) rare() bool { return !q.Ships() && q.pause.Load() == 0 && q.value.Load() < whole/8 }
