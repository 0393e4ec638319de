// Package quarantine keeps requests that kill a plugin server from killing it again.
//
// A call that is in flight when its process dies marks its fingerprint: the instance and the phase, and what the client sent (method, host, path,
// query, and those headers that are the same when the client tries again). What was in flight at two deaths is refused for a while, and the fail
// mode of the instance answers.
//
// The difficulty is the bystanders: a process takes all its calls along, and most of them had nothing to do with it. Four rules protect them.
//
//   - Any answer proves innocence. The plugin lived through such a call, so its mark goes, whether the handler succeeded or failed. Requests that
//     are frequent enough to be in flight at two deaths are answered between them.
//   - The two deaths must be of different processes. One death marks a fingerprint once, however many of its calls were in flight.
//   - A crowded death accuses nobody: one with more than Others other fingerprints in flight. A process that is killed from outside under load
//     is one of these; a request that kills by itself finds the next process empty, or nearly so, because clients meet closed doors until then.
//   - It ends: a refused fingerprint is free again after Period, and so is one that was marked once. Instances of a new configuration or a new
//     build have numbers of their own and start without marks, and so do those of a server that comes back with another version of its plugins.
//
// What is left is a bystander that was never answered between two deaths with few calls. It is refused for Period, which is what it would have
// met had the process died a third time.
//
// The body counts when it travels with the call, which it does when the manifest asks for it and it is small; a body that is asked for later is not
// in memory yet. Requests that differ in nothing else share their fate, and an answer to one frees all. A process that hangs and is killed by the
// host is no death here: what it had in flight has run into its deadline long before, guilty or not.
package quarantine

import (
	"container/list"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Bounds of a Table that leaves them zero.
const (
	DefaultPeriod  = 10 * time.Minute
	DefaultOthers  = 8
	DefaultEntries = 1024
)

const (
	// enough deaths make a fingerprint refused.
	enough = 2
	// maxDeaths bounds the deaths that are remembered, the oldest go first: a lane that ends without its process leaves one that is never confirmed.
	maxDeaths = 64
	// newest is how many entries an operator is shown.
	newest = 20
	// longestPath is how much of a path an operator is shown, in bytes.
	longestPath = 200
)

// Table holds the fingerprints. Its methods may be called at once from many goroutines.
type Table struct {
	Period  time.Duration // that a fingerprint is marked or refused; 0 means 10 minutes
	Others  int           // fingerprints in flight beside one at a death that still accuses it; 0 means 8
	Entries int           // fingerprints that are remembered, the oldest go first; 0 means 1024
	// Refused is told of the first call of a fingerprint that is refused. It must not call the table. Nil: nobody is.
	Refused func(e Entry)

	// What the hot path reads.
	marked   atomic.Int64 // fingerprints that are remembered
	followed atomic.Int64 // calls in trying

	mu      sync.Mutex
	entries map[fingerprint]*list.Element // of *entry
	order   list.List                     // the entry that was marked last is the first
	marks   map[uint64]int                // entries by instance
	deaths  map[uint64]*death             // by life
	lives   []uint64                      // of deaths, the oldest first
	trying  map[call]fingerprint          // marked calls that run
	refused uint64                        // calls
}

// call is one call that runs: a request calls an instance once at a time.
type call struct {
	of    *exchange.Exchange
	in    *plan.Instance
	phase pdk.Phase
}

// death is one life that ended under calls.
type death struct {
	confirmed bool // the process died; else only the lane was lost, or nobody knows yet
	accused   int  // fingerprints, at most one more than a crowd has
}

// entry is a fingerprint that was in flight at a death.
type entry struct {
	print  fingerprint
	deaths []*death
	until  time.Time
	told   bool
	show   Entry
}

// Entry is a refused fingerprint as an operator sees it. Headers and the query are left out: they may hold secrets.
type Entry struct {
	Plugin   string    `json:"plugin"`
	Record   string    `json:"record,omitempty"`
	Instance uint64    `json:"instance"`
	Phase    string    `json:"phase"`
	Method   string    `json:"method"`
	Host     string    `json:"host"`
	Path     string    `json:"path"`
	Deaths   int       `json:"deaths"`
	Until    time.Time `json:"until"`
}

// Status is the table as an operator sees it.
type Status struct {
	Count   int     `json:"count"`   // fingerprints that are refused
	Marked  int     `json:"marked"`  // fingerprints that were in flight at a death and are not refused
	Refused uint64  `json:"refused"` // calls that were refused
	Entries []Entry `json:"entries"` // the newest
}

// refuses says whether a call is refused. A call that is let through although it is marked is followed until answered or failed is called.
func (t *Table) refuses(c call, sent *wire.Call, now time.Time) bool {
	if t.marked.Load() == 0 || !t.hasMarks(c.in.ID) {
		return false
	}
	print := printOf(c, sent) // without the lock: there may be a body to read
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.find(print, now)
	if e == nil {
		return false
	}
	if n := t.guilt(e); n >= enough {
		t.refused++
		if !e.told && t.Refused != nil {
			t.Refused(e.shown(n))
		}
		e.told = true
		return true
	}
	if t.trying == nil {
		t.trying = map[call]fingerprint{}
	}
	t.trying[c] = e.print
	t.followed.Store(int64(len(t.trying)))
	return false
}

func (t *Table) hasMarks(instance uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.marks[instance] > 0
}

// ended tells of the end of a call. One that was answered proves the innocence of its fingerprint. What was sent is asked of trying and not
// computed again: a handler that succeeds may have changed the request.
func (t *Table) ended(c call, answered bool) {
	if t.followed.Load() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	print, ok := t.trying[c]
	if !ok {
		return
	}
	delete(t.trying, c)
	t.followed.Store(int64(len(t.trying)))
	if at := t.entries[print]; at != nil && answered {
		t.remove(at)
	}
}

// inFlight marks a fingerprint that was in flight when the lanes of a life ended. Those beyond a crowd leave no mark: it would accuse nobody, and
// would take the room of one that does.
func (t *Table) inFlight(c call, sent *wire.Call, life uint64, now time.Time) {
	print := printOf(c, sent)
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.death(life)
	if t.crowded(d) {
		return
	}
	e := t.find(print, now)
	if e == nil {
		r := &c.of.Facts.Request
		e = &entry{print: print, show: Entry{
			Plugin: c.in.Record.Name, Record: c.in.Record.ID, Instance: c.in.ID, Phase: c.phase.String(),
			Method: r.Method, Host: r.Host, Path: r.Path[:min(len(r.Path), longestPath)],
		}}
		t.add(e)
	}
	t.order.MoveToFront(t.entries[print])
	e.until = now.Add(orElse(t.Period, DefaultPeriod))
	for _, known := range e.deaths {
		if known == d {
			return
		}
	}
	d.accused++
	e.deaths = append(e.deaths, d)
}

// Died confirms that the process of a life has died by itself. It may come before its calls are known to have ended, or after.
func (t *Table) Died(life uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.death(life).confirmed = true
}

// Forget frees the calls of instances whose plugins are not what they were: what killed the process may be mended.
func (t *Table) Forget(instances []uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for at := t.order.Front(); at != nil; {
		next := at.Next()
		if slices.Contains(instances, at.Value.(*entry).show.Instance) {
			t.remove(at)
		}
		at = next
	}
}

// guilt is how many deaths accuse a fingerprint; mu is held.
func (t *Table) guilt(e *entry) (n int) {
	for _, d := range e.deaths {
		if d.confirmed && !t.crowded(d) {
			n++
		}
	}
	return n
}

// crowded says whether too many fingerprints were in flight at a death; mu is held.
func (t *Table) crowded(d *death) bool { return d.accused > orElse(t.Others, DefaultOthers)+1 }

// death finds or makes the record of a life; mu is held.
func (t *Table) death(life uint64) *death {
	if d := t.deaths[life]; d != nil {
		return d
	}
	if t.deaths == nil {
		t.deaths, t.entries, t.marks = map[uint64]*death{}, map[fingerprint]*list.Element{}, map[uint64]int{}
	}
	if len(t.lives) == maxDeaths { // entries keep what they know of it
		delete(t.deaths, t.lives[0])
		t.lives = t.lives[1:]
	}
	d := &death{}
	t.deaths[life] = d
	t.lives = append(t.lives, life)
	return d
}

// find looks a fingerprint up, and forgets it when its time is over; mu is held.
func (t *Table) find(print fingerprint, now time.Time) *entry {
	at := t.entries[print]
	if at == nil {
		return nil
	}
	e := at.Value.(*entry)
	if now.After(e.until) {
		t.remove(at)
		return nil
	}
	return e
}

// add makes room and keeps an entry; mu is held.
func (t *Table) add(e *entry) {
	for len(t.entries) >= orElse(t.Entries, DefaultEntries) {
		t.remove(t.order.Back())
	}
	t.entries[e.print] = t.order.PushFront(e)
	t.marks[e.show.Instance]++
	t.marked.Store(int64(len(t.entries)))
}

func (t *Table) remove(at *list.Element) {
	e := t.order.Remove(at).(*entry)
	delete(t.entries, e.print)
	if t.marks[e.show.Instance]--; t.marks[e.show.Instance] == 0 {
		delete(t.marks, e.show.Instance)
	}
	t.marked.Store(int64(len(t.entries)))
}

// Status of the table now.
func (t *Table) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(time.Now())
	st := Status{Refused: t.refused, Entries: []Entry{}}
	for at := t.order.Front(); at != nil; at = at.Next() {
		e := at.Value.(*entry)
		n := t.guilt(e)
		if n < enough {
			st.Marked++
			continue
		}
		if st.Count++; len(st.Entries) < newest {
			st.Entries = append(st.Entries, e.shown(n))
		}
	}
	return st
}

// expire forgets what is over; mu is held. The order is that of the ends, as all have the same period.
func (t *Table) expire(now time.Time) {
	for at := t.order.Back(); at != nil && now.After(at.Value.(*entry).until); at = t.order.Back() {
		t.remove(at)
	}
}

func (e *entry) shown(deaths int) Entry {
	show := e.show
	show.Deaths, show.Until = deaths, e.until
	return show
}

func orElse[T int | time.Duration](v, absent T) T {
	if v == 0 {
		return absent
	}
	return v
}
