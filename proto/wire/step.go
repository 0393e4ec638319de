package wire

import (
	"math"
	"time"
)

// Features that an end of a lane may have, bits of the hellos' features; docs/wire.md section 4. The host fuses and prefetches only where the server
// says that it can.
const (
	FeatureSteps    = 1 << 0 // runs calls of several steps
	FeaturePrefetch = 1 << 1 // answers asks from what a call brought along
)

// Limits of the steps of a call; docs/wire.md section 5.3.
const (
	MaxSteps      = 64 // with the first
	MaxPrefetched = 16 // of one step
)

// PhaseBodyFilter is the code of the phase whose calls have one step; docs/wire.md section 5.
const PhaseBodyFilter = 5

// Step is a step of a fused call after the first, whose fields are those of the call itself. Steps run in order on the facts of the call and on what
// the steps before them wrote.
type Step struct {
	Instance  uint64
	TimeoutMS uint32
	Plugin    []SharedValue // ctx.plugin of the instance
	// PluginID is the id of the plugin record. It does not travel.
	PluginID   string
	Prefetched []Prefetched
	Trace      Trace // empty: nothing is traced
}

// Prefetched is an answer that travels with a call, ahead of its ask. The answer is never an error, and its bytes are never chunked.
type Prefetched struct {
	Fn     AskFn
	Args   [][]byte // one MessagePack value each; nil: a nil argument
	Answer Answer
}

// Stepper waits for a fused call. It is called on the goroutine that waits for the call, as the Asker that it is.
type Stepper interface {
	Asker
	// Next takes the outcome of a step that is not the last one, before out is filled again. It gives the deadline of the step that now runs; more is
	// false when nobody waits for the rest any more.
	Next(out *Outcome) (deadline time.Time, more bool)
}

// Stops reports whether a server ends a fused call with this outcome: the steps after it need what only the host can decide. There is no outcome for them.
func Stops(out *Outcome) bool {
	if out.Err != nil {
		return true
	}
	for i := range out.Ops {
		switch out.Ops[i].Code {
		case OpResponseExit, OpResponseError, OpClientAuthenticate, OpClientSetAuthenticatedConsumerGroups:
			return true
		}
	}
	return false
}

// callTail is how many of the last three fields of a call travel: trace, prefetched, steps.
func callTail(c *Call) int {
	switch {
	case len(c.Rest) > 0:
		return 3
	case len(c.Prefetched) > 0:
		return 2
	case c.Trace.Parent != "":
		return 1
	}
	return 0
}

func appendTrace(dst []byte, t *Trace) []byte {
	if t.Parent == "" {
		return appendNil(dst)
	}
	dst = appendArray(dst, 2)
	dst = appendStr(dst, t.Parent)
	return appendStr(dst, t.State)
}

func appendPrefetched(dst []byte, items []Prefetched) []byte {
	if len(items) == 0 {
		return appendNil(dst)
	}
	dst = appendArray(dst, len(items))
	for i := range items {
		item := &items[i]
		dst = appendArray(dst, 3)
		dst = appendUint(dst, uint64(item.Fn))
		dst = appendArray(dst, len(item.Args))
		for _, arg := range item.Args {
			dst = appendRaw(dst, arg)
		}
		if item.Answer.IsBytes {
			dst = append(appendBinHead(dst, len(item.Answer.Bytes)), item.Answer.Bytes...)
		} else {
			dst = appendRaw(dst, item.Answer.Value)
		}
	}
	return dst
}

func appendSteps(dst []byte, steps []Step) []byte {
	dst = appendArray(dst, len(steps))
	for i := range steps {
		s := &steps[i]
		dst = appendArray(dst, 5)
		dst = appendUint(dst, s.Instance)
		dst = appendUint(dst, uint64(s.TimeoutMS))
		dst = appendShared(dst, s.Plugin)
		dst = appendPrefetched(dst, s.Prefetched)
		dst = appendTrace(dst, &s.Trace)
	}
	return dst
}

// prefetched reads the answers that travel ahead of their asks onto dst, whose memory is used again.
func (d *decoder) prefetched(dst []Prefetched) []Prefetched {
	f := d.array()
	if f > MaxPrefetched {
		d.fail("%d prefetched answers, at most %d are allowed", f, MaxPrefetched)
	}
	for f.more() && d.err == nil {
		var item Prefetched
		a := d.array()
		if a.more() {
			item.Fn = AskFn(d.uintTo(math.MaxUint16))
		}
		if a.more() {
			for args := d.array(); args.more() && d.err == nil; {
				item.Args = append(item.Args, d.raw())
			}
		}
		if a.more() {
			item.Answer = d.inPlace()
		}
		d.rest(a)
		dst = append(dst, item)
	}
	return dst
}

// inPlace reads an answer that stands in its place: bin, or any other value.
func (d *decoder) inPlace() (ans Answer) {
	if d.i < len(d.b) && d.b[d.i] >= mpBin8 && d.b[d.i] <= mpBin32 {
		ans.Bytes, ans.IsBytes = d.bin()
		return ans
	}
	ans.Value = d.raw()
	return ans
}

// steps reads the steps after the first of a call for a phase onto dst, whose memory is used again.
func (d *decoder) steps(dst []Step, phase uint8) []Step {
	f := d.array()
	if f > MaxSteps-1 {
		d.fail("%d steps, at most %d are allowed", f+1, MaxSteps)
	}
	if f > 0 && phase == PhaseBodyFilter {
		d.fail("%d steps of body_filter, which travels alone", f+1)
	}
	for f.more() && d.err == nil {
		dst = append(dst, Step{})
		d.step(&dst[len(dst)-1])
	}
	return dst
}

func (d *decoder) step(s *Step) {
	a := d.array()
	if a.more() {
		s.Instance = d.uint()
	}
	if a.more() {
		s.TimeoutMS = uint32(d.uintTo(math.MaxUint32))
	}
	if a.more() {
		s.Plugin = d.shared(nil)
	}
	if a.more() {
		s.Prefetched = d.prefetched(nil)
	}
	if a.more() && !d.null() {
		d.trace(&s.Trace)
	}
	d.rest(a)
}
