package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// servers shows the plugin servers to the builder of generations.
type servers struct {
	all      *pluginserver.Servers
	policies map[string]generation.Policy
	logger   *slog.Logger
}

func (s *servers) Manifests() []entity.Manifest {
	list := s.all.Manifests()
	for i := range list {
		if s.policies[list[i].Server].FailOpen {
			list[i].FailMode = "open"
		}
	}
	return list
}

func (s *servers) Pending() map[string]string {
	known := map[string]bool{}
	for _, m := range s.all.Manifests() {
		known[m.Server] = true
	}
	pending := map[string]string{}
	for _, st := range s.all.Ready() {
		if !known[st.Server] && !st.Ready {
			pending[st.Server] = st.Reason
		}
	}
	return pending
}

func (s *servers) Remote(server string) plan.Remote { return s.all.Server(server) }

func (s *servers) Policy(server string) generation.Policy { return s.policies[server] }

// Configure treats an unreachable server as one that will take the instance when it is back: its requests get the fail mode's answer
// until then.
func (s *servers) Configure(ctx context.Context, server string, id uint64, r *entity.Plugin, cfg []byte) error {
	err := s.all.Server(server).Configure(ctx, pluginserver.Instance{
		ID: id, Plugin: r.Name, Config: cfg, RecordID: r.ID, InstanceName: r.InstanceName,
	})
	var down *pluginserver.UnreachableError
	if errors.As(err, &down) {
		s.logger.Warn("the plugin server is down: the instance is configured when it is back",
			"server", server, "plugin", r.Name, "record", r.ID, "reason", down.Reason)
		return nil
	}
	return err
}

func (s *servers) Release(server string, ids ...uint64) { s.all.Server(server).Release(ids...) }

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
