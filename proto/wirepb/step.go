package wirepb

import (
	"math"

	"github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func trace(t *wire.Trace) *pluginv1.Trace {
	if t.Parent == "" {
		return nil
	}
	return &pluginv1.Trace{Parent: text(t.Parent), State: text(t.State)}
}

func traceOf(m *pluginv1.Trace) wire.Trace {
	return wire.Trace{Parent: m.GetParent(), State: m.GetState()}
}

func prefetched(items []wire.Prefetched) []*pluginv1.Prefetched {
	var out []*pluginv1.Prefetched
	for i := range items {
		item := &items[i]
		ask := Ask(&wire.Ask{Fn: item.Fn, Args: item.Args})
		m := &pluginv1.Prefetched{Function: ask.Function, Args: ask.Args}
		if item.Answer.IsBytes {
			m.Bytes = some(item.Answer.Bytes)
		} else {
			m.Value = raw(item.Answer.Value)
		}
		out = append(out, m)
	}
	return out
}

func prefetchedOf(dst []wire.Prefetched, ms []*pluginv1.Prefetched) ([]wire.Prefetched, error) {
	if len(ms) > wire.MaxPrefetched {
		return dst, bad("call", "%d prefetched answers, at most %d are allowed", len(ms), wire.MaxPrefetched)
	}
	for _, m := range ms {
		ask, err := AskOf(&pluginv1.Ask{Function: m.GetFunction(), Args: m.GetArgs()})
		if err != nil {
			return dst, err
		}
		item := wire.Prefetched{Fn: ask.Fn, Args: ask.Args}
		if m.Bytes != nil {
			item.Answer = wire.Answer{Bytes: m.GetBytes(), IsBytes: true}
		} else if item.Answer.Value, err = value("prefetched answer", m.GetValue()); err != nil {
			return dst, err
		}
		dst = append(dst, item)
	}
	return dst, nil
}

func steps(rest []wire.Step) []*pluginv1.Step {
	var out []*pluginv1.Step
	for i := range rest {
		s := &rest[i]
		out = append(out, &pluginv1.Step{
			Instance: s.Instance, TimeoutMs: s.TimeoutMS, Plugin: shared(s.Plugin), Prefetched: prefetched(s.Prefetched), Trace: trace(&s.Trace),
		})
	}
	return out
}

func stepsOf(dst []wire.Step, ms []*pluginv1.Step, phase uint8) ([]wire.Step, error) {
	if len(ms) >= wire.MaxSteps {
		return dst, bad("call", "%d steps, at most %d are allowed", len(ms)+1, wire.MaxSteps)
	}
	if len(ms) > 0 && phase == wire.PhaseBodyFilter {
		return dst, bad("call", "%d steps of body_filter, which travels alone", len(ms)+1)
	}
	for _, m := range ms {
		s := wire.Step{Instance: m.GetInstance(), TimeoutMS: m.GetTimeoutMs(), Trace: traceOf(m.GetTrace())}
		var err error
		if s.Plugin, err = sharedOf(nil, "plugin", m.GetPlugin()); err != nil {
			return dst, err
		}
		if s.Prefetched, err = prefetchedOf(nil, m.GetPrefetched()); err != nil {
			return dst, err
		}
		dst = append(dst, s)
	}
	return dst, nil
}

// StepOf reads which step of its call a message is of.
func StepOf(m interface{ GetStep() uint32 }) uint16 { return uint16(min(m.GetStep(), math.MaxUint16)) }
