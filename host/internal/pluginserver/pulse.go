package pluginserver

import (
	"sync/atomic"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
)

// silentCalls is how many calls in a row have to time out, none answered between them, before a process is looked at and avoided.
const silentCalls = 5

// pulse is what calls leave behind about the process that they ran on. All lanes of a life share it.
type pulse struct {
	life   atomic.Uint64 // number that a death is told with; 0: nobody asks what was in flight. Another one once lost lanes are back: the process had not died
	most   uint64        // calls after which the process is to be replaced; 0: any number
	calls  atomic.Uint64
	silent atomic.Int32  // calls in a row that timed out
	sick   atomic.Bool   // the last health check failed
	look   chan struct{} // cap 1: something may be wrong, or the process is worn
	failed atomic.Int32  // calls in a row that timed out or whose lane ended
	worse  chan struct{} // cap 1: many of them
}

func newPulse() *pulse { return &pulse{look: make(chan struct{}, 1), worse: make(chan struct{}, 1)} }

// doubtful says whether calls are better sent to another process.
func (p *pulse) doubtful() bool { return p.sick.Load() || p.silent.Load() >= silentCalls }

// health in one word.
func (p *pulse) health() string {
	switch {
	case p.sick.Load():
		return "failing"
	case p.silent.Load() >= silentCalls:
		return "silent"
	}
	return "ok"
}

// note counts a call of one or several steps that has ended; err is of the last step. sent says that the lane lived when the call began. It returns err,
// with the life that it ended with.
func (p *pulse) note(err error, sent bool, steps int) error {
	if n := p.calls.Add(uint64(steps)); n >= p.most && n-uint64(steps) < p.most {
		wake(p.look)
	}
	if err == nil || steps > 1 { // something was answered
		if p.silent.Load() != 0 {
			p.silent.Store(0)
		}
		if p.failed.Load() != 0 {
			p.failed.Store(0)
		}
	}
	if err == nil {
		return nil
	}
	e, ok := err.(*transport.Error)
	if ok && (e.Kind == transport.Timeout || e.Kind == transport.Closed && sent) && p.failed.Add(1) >= outlierCalls {
		wake(p.worse)
	}
	switch {
	case !ok:
	case e.Kind == transport.Timeout:
		if p.silent.Add(1) == silentCalls {
			wake(p.look)
		}
	case e.Kind == transport.Closed && sent:
		if life := p.life.Load(); life != 0 {
			ended := *e
			ended.Life = life
			return &ended
		}
	}
	return err
}

// checked notes a health check. A process that is well gets calls again: if they time out too, it is avoided again.
func (p *pulse) checked(err error) {
	p.sick.Store(err != nil)
	if err == nil {
		p.silent.Store(0)
	}
}
