package config

import (
	"math"
	"time"
)

// Supervision is how the processes of a plugin server are watched. Zero fields have the defaults of package pluginserver.
type Supervision struct {
	HealthInterval time.Duration // between health checks, and how long one may take

	CrashDeaths int // of one process within CrashWithin after which nothing is started for CrashHold; -1: there is no breaker
	CrashWithin time.Duration
	CrashHold   time.Duration

	// When a process that is well is replaced; 0: never.
	RecycleCalls  uint64
	RecycleMemory uint64 // resident bytes
	RecycleAge    time.Duration

	Quarantine string // on, off: requests that kill the server are refused
}

// supervisionFields are the rows of the table of a plugin server that are about supervision.
func supervisionFields() []serverField {
	return []serverField{
		serverTime("health_interval", "5s", "between health checks, and for one check; three failures in a row end a process, or the connection to an attached server",
			func(s *PluginServer) *time.Duration { return &s.HealthInterval }),
		field("crash_loop", "mapping: deaths (number), within, hold (times)", "", "a process that dies so often in so long is not started for hold, "+
			"which doubles while its next starts die too; 5, 60s and 30s without it; deaths 0: never", readCrashLoop),
		field("recycle", "mapping: calls (number), memory (size), age (time)", "", "when a process that is well is replaced, without a failed call: after so many calls, "+
			"above so much resident memory, or at that age", readRecycle),
		serverText("quarantine", "one of on, off", "on", "whether a request that was in flight at two deaths of the server is refused for ten minutes",
			func(s *PluginServer) *string { return &s.Quarantine }, oneOf("on", "off")),
	}
}

// mostDeaths bounds the deaths that a breaker remembers.
const mostDeaths = 1000

func readCrashLoop(r *settingReader, s *PluginServer, v *node, at *path) {
	o := r.object(v, at, "crash_loop")
	if o == nil {
		return
	}
	if n := o.has("deaths"); n != nil {
		if deaths, ok := r.number(n, at.key("deaths"), 0, mostDeaths); ok {
			s.CrashDeaths = deaths
			if deaths == 0 {
				s.CrashDeaths = -1
			}
		}
	}
	for _, f := range []struct {
		key string
		to  *time.Duration
	}{{"within", &s.CrashWithin}, {"hold", &s.CrashHold}} {
		if n := o.has(f.key); n != nil {
			if t, ok := r.duration(n, at.key(f.key), time.Millisecond, 100*time.Millisecond); ok {
				*f.to = t
			}
		}
	}
	o.done()
}

func readRecycle(r *settingReader, s *PluginServer, v *node, at *path) {
	o := r.object(v, at, "recycle")
	if o == nil {
		return
	}
	if n := o.has("calls"); n != nil {
		if calls, ok := r.number(n, at.key("calls"), 1, math.MaxInt); ok {
			s.RecycleCalls = uint64(calls)
		}
	}
	if n := o.has("memory"); n != nil {
		if bytes, ok := r.size(n, at.key("memory"), 1<<20, math.MaxInt64); ok {
			s.RecycleMemory = uint64(bytes)
		}
	}
	if n := o.has("age"); n != nil {
		if age, ok := r.duration(n, at.key("age"), time.Millisecond, time.Second); ok {
			s.RecycleAge = age
		}
	}
	o.done()
}
