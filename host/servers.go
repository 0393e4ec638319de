package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
)

// servers are the plugin servers with what the settings say about them.
type servers struct {
	all      *pluginserver.Servers
	policies map[string]generation.Policy // guarded by reloading
	logger   *slog.Logger
	// checking: nothing is to be served, and an instance that cannot be configured now is an error.
	checking bool

	mu   sync.Mutex
	made map[string]*made // by server
}

// madeOf is what the current build of a server was made of; nil when there is none.
func (s *servers) madeOf(server string) *made {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made[server]
}

func (s *servers) keep(server string, m *made) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made[server] = m
}

// forget a server that was removed; reloading is held.
func (s *servers) forget(server string) {
	delete(s.policies, server)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.made, server)
}

// names of all servers, in order.
func (s *servers) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.made))
}

// builds shows the builder of generations one build of every plugin server.
type builds struct {
	*servers
	list     []*pluginserver.Server
	policies map[string]generation.Policy
	// trial are the servers with a build that is to prove itself.
	trial map[string]bool
	// silent are plugins that did not answer for an instance, with what became of it. One is waited for once, not for each record that uses it.
	silent map[silence]*pluginserver.UnreachableError
}

// silence is what does not answer: a plugin of a server, or with "" all of a build that is to prove itself, which has failed then.
type silence struct{ server, plugin string }

// builds are the current ones, and next in place of the one that it is to replace; reloading is held.
func (s *servers) builds(next ...*planned) builds {
	b := builds{s, s.all.Current(), maps.Clone(s.policies), map[string]bool{}, map[silence]*pluginserver.UnreachableError{}}
	for i, old := range b.list {
		for _, n := range next {
			if n.Name() == old.Name() {
				b.list[i], b.policies[n.Name()], b.trial[n.Name()] = n.Server, n.policy, true
			}
		}
	}
	return b
}

// without leaves a server out.
func (b builds) without(server string) builds {
	b.list = slices.DeleteFunc(b.list, func(s *pluginserver.Server) bool { return s.Name() == server })
	return b
}

func (b builds) server(name string) *pluginserver.Server {
	return b.list[slices.IndexFunc(b.list, func(s *pluginserver.Server) bool { return s.Name() == name })]
}

func (b builds) Manifests() []entity.Manifest {
	var all []entity.Manifest
	for _, s := range b.list {
		for _, m := range s.Manifests() {
			m.FailMode, m.FailModeFrom = failModeOf(b.policies[m.Server], &m)
			all = append(all, m)
		}
	}
	return all
}

func (b builds) Pending() map[string]string {
	pending := map[string]string{}
	for _, s := range b.list {
		if st := s.State(); !st.Ready && s.Manifests() == nil {
			pending[st.Server] = st.Reason
		}
	}
	return pending
}

func (b builds) Remote(server string) plan.Remote { return b.server(server) }

func (b builds) Policy(server string) generation.Policy { return b.policies[server] }

// Configure treats an unreachable server as one that will take the instance when it is back: its requests get the fail mode's answer
// until then. (A new build that did not take an instance is not promoted.)
func (b builds) Configure(ctx context.Context, server string, id uint64, plugin string, r *entity.Plugin, cfg []byte) error {
	in := pluginserver.Instance{ID: id, Plugin: plugin, Config: cfg, RecordID: r.ID, InstanceName: r.InstanceName, Redact: r.Redact}
	who := silence{server, plugin}
	if b.trial[server] {
		who.plugin = ""
	}
	if before := b.silent[who]; before != nil {
		b.server(server).ConfigureLater(in, before)
		return nil
	}
	err := b.server(server).Configure(ctx, in)
	var down *pluginserver.UnreachableError
	if errors.As(err, &down) && !b.checking {
		b.logger.Warn("the plugin server is down: the instance is configured when it is back",
			"server", server, "plugin", r.Name, "record", r.ID, "reason", down.Reason)
		b.silent[who] = down
		return nil
	}
	var refused *pluginserver.ConfigError
	if errors.As(err, &refused) {
		out := &generation.RefusedError{By: fmt.Sprintf("plugin %q on plugin server %q", refused.Plugin, refused.Server)}
		for _, f := range refused.Fields {
			out.Faults = append(out.Faults, generation.Fault(f))
		}
		return out
	}
	return err
}

func (b builds) Release(server string, ids ...uint64) { b.server(server).Release(ids...) }

// failModeOf is what the settings say about a plugin that fails, and where.
func failModeOf(p generation.Policy, m *entity.Manifest) (mode, from string) {
	if own := p.Plugins[m.Name].FailMode; own != "" {
		return own, fmt.Sprintf("plugins.%s of plugin server %q", m.Name, m.Server)
	}
	return p.Server.FailMode, m.Origin()
}

// policyOf is what the settings say about the calls of one server.
func policyOf(c *config.PluginServer) generation.Policy {
	p := generation.Policy{Server: c.CallPolicy, Plugins: make(map[string]entity.CallPolicy, len(c.Plugins))}
	for name := range c.Plugins {
		p.Plugins[name] = c.Plugins[name].CallPolicy
	}
	return p
}

// serverConfig translates the settings of one server.
func serverConfig(c *config.PluginServer, drain time.Duration) pluginserver.Config {
	out := pluginserver.Config{
		Name: c.Name, Command: c.Command, Dir: c.WorkingDir, Env: c.Env, Addresses: c.Addresses, Carrier: c.Carrier,
		Processes: c.Processes, StartTimeout: c.StartTimeout, DrainTimeout: drain, MaxInFlight: c.MaxInFlight, Queue: c.Queue,
		Fuse: c.Fuse, Prefetch: c.Prefetch,
		User:        c.User,
		MemoryLimit: c.MemoryLimit, OpenFiles: c.OpenFiles, ProcessLimit: c.ProcessLimit, FileSize: c.FileSize, CPU: c.CPU,
		Isolation: isolationOf(&c.Isolation),
	}
	out.Socket = pluginserver.Socket{Owner: c.SocketOwner, Group: c.SocketGroup, Mode: c.SocketMode}
	if c.TLSCert != "" {
		out.TLS = &pluginserver.TLS{Cert: c.TLSCert, Key: c.TLSKey, CA: c.TLSCA, ServerName: c.TLSServerName}
	}
	supervise(&c.Supervision, &out)
	return out
}

// isolationOf translates how a server is kept apart.
func isolationOf(i *config.Isolation) pluginserver.Isolation {
	out := pluginserver.Isolation{Cgroup: i.Cgroup, Seccomp: i.Seccomp, NewPrivileges: i.NoNewPrivileges == "off"}
	if l := i.Landlock; l != nil {
		out.Landlock = &pluginserver.Landlock{Read: l.Read, Write: l.Write, Mode: l.Mode}
	}
	return out
}
