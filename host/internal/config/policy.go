package config

import (
	"strconv"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// Bounds of what may be said about calls.
const (
	mostInFlight = 1 << 20
	longestBody  = 64 << 10 // of fail_body
)

// callPolicy reads what a plugin record, or a plugin below a plugin server, says about its calls.
func (o *object) callPolicy() entity.CallPolicy {
	p := entity.CallPolicy{
		Timeout:     o.time("timeout", 0, time.Millisecond),
		FailMode:    o.choice("fail_mode", "", "open", "closed"),
		FailStatus:  o.integer("fail_status", 0, 400, 599),
		FailBody:    o.text("fail_body", shortBody),
		MaxInFlight: o.integer("max_in_flight", 0, 1, mostInFlight),
		Queue:       o.integer("queue", 0, 0, mostInFlight),
	}
	if v := o.has("timeouts"); v != nil {
		p.Timeouts = o.phaseTimes(v, o.at.key("timeouts"))
	}
	if v := o.has("error_budget"); v != nil {
		p.ErrorBudget = o.errorBudget(v, o.at.key("error_budget"))
	}
	if p.Queue > 0 && o.lacks("max_in_flight") {
		o.fail(o.at.key("queue"), o.n.get("queue"), Error{
			Code: CodeConflict, Found: "queue without max_in_flight", Expected: "both: calls wait when max_in_flight is reached",
			Fix: "add max_in_flight, or remove queue",
		})
	}
	return p
}

// time reads a duration; a bare number is milliseconds.
func (o *object) time(key string, absent, low time.Duration) time.Duration {
	v := o.has(key)
	if v == nil {
		return absent
	}
	return o.timeOf(v, o.at.key(key), absent, low)
}

func (r *reader) timeOf(v *node, at *path, absent, low time.Duration) time.Duration {
	t, p := parseDuration(v, time.Millisecond)
	if p == nil && (t < low || t > maxTimeout*time.Millisecond) {
		p = &problem{expected: "a time from " + low.String() + " to " + strconv.Itoa(maxTimeout) + "ms"}
	}
	if p != nil {
		r.problem(at, v, p)
		return absent
	}
	return t
}

// phaseTimes reads a mapping of phase to time.
func (r *reader) phaseTimes(v *node, at *path) map[string]time.Duration {
	o := r.object(v, at, "timeouts")
	if o == nil {
		return nil
	}
	var times map[string]time.Duration
	for _, phase := range phaseNames {
		if t := o.time(phase, 0, time.Millisecond); t > 0 {
			if times == nil {
				times = map[string]time.Duration{}
			}
			times[phase] = t
		}
	}
	o.done()
	return times
}

// errorBudget reads what opens a breaker. Everything has a default, so that error_budget: {} is one.
func (r *reader) errorBudget(v *node, at *path) entity.ErrorBudget {
	o := r.object(v, at, "an error budget")
	if o == nil {
		return entity.ErrorBudget{}
	}
	b := entity.ErrorBudget{
		Ratio:         o.ratio("ratio", 0.5),
		Calls:         o.integer("calls", 20, 1, 1<<20),
		Window:        o.time("window", 10*time.Second, 100*time.Millisecond),
		OpenFor:       o.time("open_for", 5*time.Second, 100*time.Millisecond),
		Probes:        o.integer("probes", 3, 1, 1024),
		HandlerErrors: o.boolean("handler_errors", true),
	}
	o.done()
	return b
}

// ratio reads a number above 0 up to 1.
func (o *object) ratio(key string, absent float64) float64 {
	v := o.has(key)
	if v == nil {
		return absent
	}
	f, err := strconv.ParseFloat(v.text, 64)
	if v.kind != kindInt && v.kind != kindFloat || err != nil || !(f > 0 && f <= 1) {
		o.fail(o.at.key(key), v, Error{Code: CodeWrongValue, Found: v.describe(), Expected: "a number above 0 and at most 1, such as 0.5"})
		return absent
	}
	return f
}

func shortBody(s string) *problem {
	if len(s) > longestBody {
		return &problem{expected: "at most " + strconv.Itoa(longestBody) + " bytes"}
	}
	return nil
}

// readPluginPolicies reads what a plugin server says about single plugins on it.
func readPluginPolicies(r *settingReader, s *PluginServer, v *node, at *path) {
	if v.kind != kindMapping {
		r.wrongType(at, v, "a mapping of plugin to what is said about its calls")
		return
	}
	s.Plugins = make(map[string]PluginPolicy, len(v.pairs))
	for i := range v.pairs {
		name := v.pairs[i].key
		o := r.object(v.pairs[i].value, at.key(name), "a plugin of a plugin server")
		if o == nil {
			continue
		}
		s.Plugins[name] = PluginPolicy{CallPolicy: o.callPolicy(), Pos: r.pos(v.pairs[i].at)}
		o.done()
	}
}

// PluginPolicy is what a plugin server says about the calls of one plugin.
type PluginPolicy struct {
	entity.CallPolicy
	Pos entity.Pos
}
