package host

import (
	"context"
	"log/slog"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/host/internal/quarantine"
	"github.com/outrigger-gateway/outrigger/proto/wire"
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

// startServers starts the plugin servers. One that does not come up is tried again in the background, and its routes answer by fail mode.
func (h *Host) startServers(ctx context.Context) error {
	s := &servers{policies: map[string]generation.Policy{}, logger: h.logger, made: map[string]*made{}}
	var configs []pluginserver.Config
	for i := range h.settings.PluginServers {
		c := &h.settings.PluginServers[i]
		configs = append(configs, serverConfig(c, h.settings.DrainTimeout))
		s.policies[c.Name] = policyOf(c)
		s.keep(c.Name, h.makeOf(c))
	}
	// The builder is there before the first server, which may log in the name of an instance at once.
	var err error
	if h.builder, err = h.newBuilder(); err != nil {
		return err
	}
	h.builder.OnCloseError(func(in *plan.Instance, err error) {
		h.logger.Error("a plugin did not close", "plugin", in.Record.Name, "record", in.Record.ID, "instance", in.ID, "error", err.Error())
	})
	all, err := pluginserver.Start(ctx, configs, pluginserver.Options{
		RunDir: h.settings.RunDir, Hello: h.hello(), Logger: h.logger, Reaper: h.opts.Reaper,
		OnPluginLog: h.serverLine, Who: h.whose, OnState: h.serverState, OnDeath: h.quarantine.Died, OnNewPlugins: h.quarantine.Forget, Budgets: h.builder.Budgets().Status, Bodies: h.bodies,
	})
	if all == nil {
		return err
	}
	if err != nil {
		h.logger.Error("plugin servers are not ready; they are tried again", "error", err.Error())
	}
	s.all = all
	h.servers = s
	return nil
}

func (h *Host) hello() wire.HostHello {
	hello := wire.HostHello{
		Version: wire.Version, NodeID: h.node.ID, Hostname: h.node.Hostname, GatewayVersion: Version,
		LogLevel: uint8(h.level.number.Load()), MaxBody: uint64(h.node.MaxBody), MaxShared: uint64(h.node.MaxShared),
		ClusterID: h.node.ClusterID, TelemetryLogs: h.node.TelemetryLogs,
	}
	for _, p := range h.node.Trusted {
		hello.TrustedCIDRs = append(hello.TrustedCIDRs, p.String())
	}
	return hello
}

func (h *Host) serverState(s pluginserver.State) {
	if s.Ready {
		h.logger.Info("plugin server is ready", "server", s.Server)
		select {
		case h.rebuild <- struct{}{}:
		default:
		}
		return
	}
	level := slog.LevelWarn
	if s.State == pluginserver.StateStopping {
		level = slog.LevelInfo
	}
	h.logger.Log(context.Background(), level, "plugin server is not ready", "server", s.Server, "state", s.State, "reason", s.Reason)
}

// watchServers builds the generation again when a server came up that the current one had to do without.
func (h *Host) watchServers() {
	for {
		select {
		case <-h.stop:
			return
		case <-h.rebuild:
		}
		gen := h.generations.Current()
		if gen == nil || !gen.Waiting() {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), reloadTime)
		err := h.completed(ctx)
		cancel()
		if err != nil {
			h.logger.Error("the configuration cannot use a plugin server that came up", "error", err.Error())
		}
	}
}
