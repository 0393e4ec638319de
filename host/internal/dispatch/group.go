package dispatch

import (
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// group is a fused call: steps of a walk that travel to their plugin server in one trip, where they run one after the other. Here each of them
// begins when the one before it has ended, as if it had travelled alone: the group waits for the call in their place, and settles the running step
// when its outcome comes.
//
// The group ends with a step after which the walk may go another way than the server would: one that failed, answered, changed the identity, or whose
// operations the host refuses. The walk then goes on behind the last step that ran; what did not run is called again from there.
type group struct {
	ex    *exchange.Exchange
	phase pdk.Phase
	steps []member
	at    int // the step that runs
	// over: a step has ended the group before its last one. What still comes is of nobody.
	over bool
	// counted is the traffic of the call that the steps before the running one have had.
	counted wire.Traffic
	rest    []wire.Step
}

// member is a step of a group with its place in the walk.
type member struct {
	*step
	of    *plan.Step
	place int
}

var groups = sync.Pool{New: func() any { return new(group) }}

// gather finds the steps that travel with step i of a walk; nil: it travels alone.
func (d *Dispatcher) gather(ex *exchange.Exchange, walk []*plan.Step, i int, phase pdk.Phase) *group {
	first := walk[i]
	if i+1 == len(walk) || !first.Leads(phase) || !first.Instance.Fuser.Fuses() || d.reserved(first.Instance, phase) {
		return nil
	}
	var g *group
	for j := i + 1; j < len(walk) && (g == nil || len(g.steps) < wire.MaxSteps); j++ {
		st := walk[j]
		if phase == pdk.PhaseAccess {
			// Access walks all candidates, and asks a condition when it comes to its step: here, when what runs before cannot matter.
			if !st.Early() {
				break
			}
			runs, err := st.Runs(ex)
			if err != nil {
				break
			}
			if !runs || !st.Instance.Phases.Has(phase) {
				continue
			}
		}
		if !st.Joins(first, phase) || d.reserved(st.Instance, phase) {
			break
		}
		if g == nil {
			g = groups.Get().(*group)
			g.ex, g.phase = ex, phase
			g.add(d, first, i)
		}
		g.add(d, st, j)
	}
	return g
}

// opinions are those of the interceptors that have a say in who travels with whom, found when the first group is gathered.
type opinions struct {
	once     sync.Once
	reserved []Reserved
	tracers  []Tracer
}

func (o *opinions) find(all []Interceptor) {
	for _, i := range all {
		if r, may := i.(Reserved); may {
			o.reserved = append(o.reserved, r)
		}
		if t, traces := i.(Tracer); traces {
			o.tracers = append(o.tracers, t)
		}
	}
}

// reserved reports whether an interceptor wants the call of an instance to travel alone.
func (d *Dispatcher) reserved(in *plan.Instance, phase pdk.Phase) bool {
	d.opinions.once.Do(func() { d.opinions.find(d.Interceptors) })
	for _, r := range d.opinions.reserved {
		if r.Reserved(in, phase) {
			return true
		}
	}
	return false
}

// add puts a step into the group. All but the first are sent before their turn comes.
func (g *group) add(d *Dispatcher, st *plan.Step, place int) {
	s := d.begin(g.ex, st.Instance, g.phase)
	g.steps = append(g.steps, member{s, st, place})
	if len(g.steps) == 1 {
		return
	}
	s.later = true
	if s.in.Prefetch != nil {
		s.prefetch()
	}
	for _, t := range d.opinions.tracers {
		s.seen.Ahead = t.Ahead(g.ex)
	}
	g.rest = append(g.rest, wire.Step{
		Instance: s.call.Instance, TimeoutMS: s.call.TimeoutMS, Plugin: s.call.Plugin, PluginID: s.call.PluginID, Prefetched: s.call.Prefetched, Trace: s.seen.Ahead,
	})
}

// run sends the call and waits until the group has ended. It returns the place of the last step that ran.
func (g *group) run() (last int) {
	first := g.steps[0]
	err := first.ready()
	if err == nil {
		first.call.Rest = g.rest
		err = first.send(g)
	}
	if !g.over {
		g.settle(err)
	}
	return g.steps[g.at].place
}

// Answer implements wire.Asker.
func (g *group) Answer(a *wire.Ask) wire.Answer { return g.steps[g.at].Answer(a) }

// Next implements wire.Stepper: it settles the step whose outcome has come and begins the next one.
func (g *group) Next(*wire.Outcome) (deadline time.Time, more bool) {
	if g.over = !g.settle(nil); g.over {
		return time.Time{}, false
	}
	ended := &g.steps[g.at].seen
	g.at++
	s := g.steps[g.at]
	s.seen.Start = ended.Start.Add(ended.Duration) // the server has begun it then
	if err := s.enter(s.d.Interceptors, nil); err != nil {
		g.over = true
		g.settle(err)
		return time.Time{}, false
	}
	s.seen.Sent = true
	g.steps[0].call.Begun++
	return s.seen.Deadline, true
}

// settle applies the outcome of the running step, or the fail mode when the step failed with err or fails now. It reports whether the next one of the
// group may run.
func (g *group) settle(err error) (goOn bool) {
	first, s := g.steps[0], g.steps[g.at]
	s.seen.Duration = time.Since(s.seen.Start)
	traffic := first.call.Traffic
	s.call.Traffic = wire.Traffic{Sent: traffic.Sent - g.counted.Sent, Received: traffic.Received - g.counted.Received}
	g.counted = traffic
	if err == nil {
		if s.step != first.step { // each has the memory of its operations
			s.out, first.out = first.out, wire.Outcome{Ops: s.out.Ops}
		}
		goOn = !wire.Stops(&s.out)
		err = s.take()
	}
	if s.settle(err) {
		fail(s.ex, s.in, err)
	}
	ran(g.ex, s.of, g.phase)
	return goOn && err == nil
}

// end gives the steps back.
func (g *group) end() {
	for _, s := range g.steps {
		s.end()
	}
	clear(g.steps)
	clear(g.rest)
	*g = group{steps: g.steps[:0], rest: g.rest[:0]}
	groups.Put(g)
}
