package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// servers are the plugin servers with what the settings say about them.
type servers struct {
	all      *pluginserver.Servers
	policies map[string]generation.Policy
	logger   *slog.Logger
	// replacing is held, by server, from the start of a new build to its end or its promotion: the build that was asked for last wins.
	replacing map[string]*sync.Mutex
	// checking: nothing is to be served, and an instance that cannot be configured now is an error.
	checking bool
}

// builds shows the builder of generations one build of every plugin server.
type builds struct {
	*servers
	list []*pluginserver.Server
}

// builds are the current ones, and next in place of the one that it is to replace.
func (s *servers) builds(next ...*pluginserver.Server) builds {
	b := builds{s, s.all.Current()}
	for i, old := range b.list {
		for _, n := range next {
			if n.Name() == old.Name() {
				b.list[i] = n
			}
		}
	}
	return b
}

func (b builds) server(name string) *pluginserver.Server {
	return b.list[slices.IndexFunc(b.list, func(s *pluginserver.Server) bool { return s.Name() == name })]
}

func (b builds) Manifests() []entity.Manifest {
	var all []entity.Manifest
	for _, s := range b.list {
		for _, m := range s.Manifests() {
			if b.policies[m.Server].FailOpen {
				m.FailMode = "open"
			}
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
	err := b.server(server).Configure(ctx, pluginserver.Instance{
		ID: id, Plugin: plugin, Config: cfg, RecordID: r.ID, InstanceName: r.InstanceName, Redact: r.Redact,
	})
	var down *pluginserver.UnreachableError
	if errors.As(err, &down) && !b.checking {
		b.logger.Warn("the plugin server is down: the instance is configured when it is back",
			"server", server, "plugin", r.Name, "record", r.ID, "reason", down.Reason)
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

// policyOf is what the settings say about the calls of one server.
func policyOf(c *config.PluginServer) generation.Policy {
	p := generation.Policy{FailOpen: c.FailMode == "open", FailStatus: c.FailStatus}
	for i, phase := range pdk.Phases() {
		p.Timeouts[i] = c.PhaseTimeout(phase.String())
	}
	return p
}

// serverConfig translates the settings of one server.
func serverConfig(c *config.PluginServer, drain time.Duration) (pluginserver.Config, error) {
	out := pluginserver.Config{
		Name: c.Name, Command: c.Command, Dir: c.WorkingDir, Env: c.Env, Address: c.Address, Carrier: c.Carrier,
		Processes: c.Processes, StartTimeout: c.StartTimeout, DrainTimeout: drain, MaxInFlight: c.MaxInFlight,
		MemoryLimit: c.MemoryLimit, OpenFiles: c.OpenFiles, User: c.User,
	}
	if c.TLSCert == "" && c.TLSCA == "" {
		return out, nil
	}
	out.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	if c.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return out, fmt.Errorf("plugin server %q: tls: %w", c.Name, err)
		}
		out.TLS.Certificates = []tls.Certificate{pair}
	}
	if c.TLSCA != "" {
		pem, err := os.ReadFile(c.TLSCA)
		if err != nil {
			return out, fmt.Errorf("plugin server %q: tls: ca: %w", c.Name, err)
		}
		out.TLS.RootCAs = x509.NewCertPool()
		if !out.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return out, fmt.Errorf("plugin server %q: tls: ca: %s holds no certificate in PEM form", c.Name, c.TLSCA)
		}
	}
	return out, nil
}
