package host

import (
	"log/slog"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/host/internal/quarantine"
)

// supervise translates how the processes of a server are watched.
func supervise(s *config.Supervision, out *pluginserver.Config) {
	out.HealthInterval = s.HealthInterval
	out.CrashLoop = pluginserver.CrashLoop{Deaths: s.CrashDeaths, Within: s.CrashWithin, Hold: s.CrashHold}
	out.Recycle = pluginserver.Recycle{Calls: s.RecycleCalls, Memory: s.RecycleMemory, Age: s.RecycleAge}
	out.Quarantine = s.Quarantine == "on"
}

// newQuarantine makes the table of the requests that killed a plugin server. Servers with `quarantine: off` tell it nothing.
func newQuarantine(logger *slog.Logger) *quarantine.Table {
	return &quarantine.Table{Refused: func(e quarantine.Entry) {
		logger.Error("a request was in flight each time its plugin server died: it is refused for a while",
			"plugin", e.Plugin, "record", e.Record, "phase", e.Phase, "method", e.Method, "host", e.Host, "path", e.Path, "deaths", e.Deaths, "until", e.Until)
	}}
}
