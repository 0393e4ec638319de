package blackbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// perSecond bounds the recordings of one plugin, in a row and in a second.
const perSecond = 10

// Bounds of the recordings that wait to be written.
const (
	queueFiles = 64
	queueBytes = 16 << 20
)

// Origin is the plugin server that an instance is on.
type Origin struct {
	Server  string
	Carrier string
	SDK     string
	Version string // of the plugin
}

// Options of a recorder.
type Options struct {
	Dir      string
	MaxBytes int64 // of all files
	Bodies   bool
	Redact   []string // names of headers, parameters and keys whose values are secrets too; may hold "*"
	Gateway  string   // its version
	Node     string   // its id
	// Origin says where an instance runs. It is called on the request's goroutine and must not block.
	Origin func(in *plan.Instance) Origin
	// SecretNames are names like those of Redact that the configuration gives, such as key_names of key-auth.
	SecretNames func() []string
	Logger      *slog.Logger
}

// Stats counts failed calls since the start.
type Stats struct {
	Recorded uint64 // written to a file
	Dropped  uint64 // the writer was too far behind
	Limited  uint64 // over ten a second for one plugin
	Failed   uint64 // the file could not be written
	NotSent  uint64 // never reached a handler, so that there is nothing to record
}

// ByResult is the counts by name, as metrics show them.
func (s Stats) ByResult() map[string]uint64 {
	return map[string]uint64{"recorded": s.Recorded, "dropped": s.Dropped, "limited": s.Limited, "failed": s.Failed, "not_sent": s.NotSent}
}

// Recorder is an interceptor of dispatch that keeps failing calls. It never changes a call.
type Recorder struct {
	opts   Options
	store  *store
	queue  chan file
	queued atomic.Int64 // bytes
	done   chan struct{}
	number atomic.Uint64

	recorded, dropped, limited, failed, notSent atomic.Uint64

	mu      sync.RWMutex // held for reading while something is put into the queue
	closed  bool
	limits  sync.Mutex
	buckets map[string]*bucket // by plugin
}

type file struct {
	name string
	data []byte
}

// New makes a recorder and starts its writer. A directory that cannot be used is logged and tried again with every recording.
func New(o Options) *Recorder {
	r := &Recorder{
		opts: o, store: &store{dir: o.Dir, most: o.MaxBytes}, queue: make(chan file, queueFiles), done: make(chan struct{}), buckets: map[string]*bucket{},
	}
	if err := r.store.open(); err != nil {
		o.Logger.Warn("the black box cannot use its directory; it is tried again with every failing call", "directory", o.Dir, "error", err.Error())
	} else if r.store.loose {
		o.Logger.Warn("the directory of the black box is open to other users; its files are not", "directory", o.Dir, "fix", "chmod 700")
	}
	go r.write()
	return r
}

// Close writes what is queued, at most until ctx ends. Later calls are not recorded.
func (r *Recorder) Close(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.queue)
	}
	r.mu.Unlock()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("writing the last recordings: %w", context.Cause(ctx))
	}
}

// Stats counts what has become of failed calls.
func (r *Recorder) Stats() Stats {
	return Stats{r.recorded.Load(), r.dropped.Load(), r.limited.Load(), r.failed.Load(), r.notSent.Load()}
}

// Before implements dispatch.Interceptor.
func (r *Recorder) Before(*dispatch.Call) error { return nil }

// Asked implements dispatch.Interceptor.
func (r *Recorder) Asked(c *dispatch.Call, a *wire.Ask, answer *wire.Answer) {
	transcriptOf(c).add(a, answer)
}

// transcriptOf is the transcript of a call, which gets one when it has none.
func transcriptOf(c *dispatch.Call) *transcript {
	t, _ := c.Transcript.(*transcript)
	if t == nil {
		t = transcripts.Get().(*transcript)
		c.Transcript = t
	}
	return t
}

// After implements dispatch.Interceptor.
func (r *Recorder) After(c *dispatch.Call) {
	if c.Code != dispatch.OK {
		r.record(c)
	}
	if t, _ := c.Transcript.(*transcript); t != nil {
		c.Transcript = nil
		t.end()
	}
}

func (r *Recorder) record(c *dispatch.Call) {
	if !c.Sent || c.Code == dispatch.Overloaded || c.Code == dispatch.NotReady { // the last two: the server had no room, or no lane
		r.notSent.Add(1)
		return
	}
	if !r.allowed(c.Instance.Record.Name, time.Now()) {
		r.limited.Add(1)
		return
	}
	if len(r.queue) == cap(r.queue) { // not worth the work
		r.drop()
		return
	}
	if len(c.Request.Prefetched) > 0 {
		transcriptOf(c).ahead(c)
	}
	rec := r.take(c)
	var data bytes.Buffer
	e := json.NewEncoder(&data)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(rec); err != nil {
		r.fail("encoding", err)
		return
	}
	r.put(file{fileName(rec, r.number.Add(1)), data.Bytes()})
}

// put hands a file to the writer, unless too much waits already.
func (r *Recorder) put(f file) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		r.drop()
		return
	}
	size := int64(len(f.data))
	if r.queued.Add(size) <= queueBytes {
		select {
		case r.queue <- f:
			return
		default:
		}
	}
	r.queued.Add(-size)
	r.drop()
}

// drop counts a recording that is not kept, and tells of the first, second, fourth and so on.
func (r *Recorder) drop() {
	if n := r.dropped.Add(1); n&(n-1) == 0 {
		r.opts.Logger.Warn("the black box drops recordings: its writer is behind", "dropped", n)
	}
}

func (r *Recorder) fail(doing string, err error) {
	if n := r.failed.Add(1); n&(n-1) == 0 {
		r.opts.Logger.Error("the black box cannot keep a recording", "doing", doing, "directory", r.opts.Dir, "failed", n, "error", err.Error())
	}
}

// write is the writer.
func (r *Recorder) write() {
	defer close(r.done)
	for f := range r.queue {
		if err := r.store.put(f.name, f.data); err != nil {
			r.fail("writing", err)
		} else {
			r.recorded.Add(1)
			r.opts.Logger.Info("a failing call is recorded", "file", r.store.path(f.name))
		}
		r.queued.Add(-int64(len(f.data)))
	}
}

// bucket holds what one plugin may still record now.
type bucket struct {
	left float64
	last time.Time
}

// allowed takes one recording of a plugin.
func (r *Recorder) allowed(plugin string, now time.Time) bool {
	r.limits.Lock()
	defer r.limits.Unlock()
	b := r.buckets[plugin]
	if b == nil {
		b = &bucket{left: perSecond, last: now}
		r.buckets[plugin] = b
	}
	b.left = min(perSecond, b.left+perSecond*max(0, now.Sub(b.last).Seconds()))
	b.last = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
