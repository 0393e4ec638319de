package host

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"

	"github.com/outrigger-gateway/outrigger/host/internal/admin"
	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/explain"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
)

// Explain says what a gateway with this configuration would do with a request, without serving: like Check it starts the plugin servers and asks
// them. Offline it asks nobody; plugins that are not built in are then known by name only.
func (h *Host) Explain(ctx context.Context, q explain.Query, offline bool) (report *explain.Report, err error) {
	if q.ListenPort == 0 {
		q.ListenPort = h.listenPort()
	}
	err = h.examine(ctx, offline, func(build buildFile) error {
		gen, err := build(h.settings.DeclarativeConfig)
		if err != nil {
			return err
		}
		defer gen.Discard()
		report, err = explain.Explain(gen, q)
		return err
	})
	return report, err
}

// Diff compares what plugins run where, between two files of entities.
func (h *Host) Diff(ctx context.Context, before, after string, offline bool) (diff *explain.Diff, err error) {
	err = h.examine(ctx, offline, func(build buildFile) error {
		a, err := build(before)
		if err != nil {
			return err
		}
		defer a.Discard()
		b, err := build(after)
		if err != nil {
			return err
		}
		defer b.Discard()
		diff, err = explain.Compare(ctx, a, b)
		return err
	})
	return diff, err
}

// buildFile makes a generation of a file of entities; "" is no file.
type buildFile func(path string) (*generation.Generation, error)

// examine calls look with everything that generations need, and ends it again.
func (h *Host) examine(ctx context.Context, offline bool, look func(build buildFile) error) (err error) {
	defer func() { err = errors.Join(err, h.Shutdown(context.Background())) }()
	servers, err := h.examined(ctx, offline)
	if err != nil {
		return err
	}
	return look(func(path string) (*generation.Generation, error) {
		if path == "" {
			return h.compile(ctx, config.Empty(), servers)
		}
		set, err := config.Load(path, h.opts.Env)
		if err != nil {
			return nil, err
		}
		return h.compile(ctx, set, servers)
	})
}

// examined are the plugin servers of an examination.
func (h *Host) examined(ctx context.Context, offline bool) (generation.Servers, error) {
	if offline {
		var err error
		h.builder, err = h.newBuilder()
		return absent{h.settings.PluginServers}, err
	}
	if err := h.startServers(ctx); err != nil {
		return nil, err
	}
	if err := h.unready(); err != nil {
		return nil, err
	}
	return h.servers.builds(), nil
}

// absent stands in for plugin servers that are not asked.
type absent struct{ configured []config.PluginServer }

func (absent) Manifests() []entity.Manifest { return nil }

func (a absent) Pending() map[string]string {
	pending := map[string]string{}
	for i := range a.configured {
		pending[a.configured[i].Name] = "not asked"
	}
	return pending
}

func (absent) Remote(string) plan.Remote       { return nil }
func (absent) Policy(string) generation.Policy { return generation.Policy{} }
func (absent) Release(string, ...uint64)       {}

func (absent) Configure(context.Context, string, uint64, string, *entity.Plugin, []byte) error {
	return nil
}

// listenPort is the port of the first proxy listener: routes may ask for it.
func (h *Host) listenPort() int {
	addresses := h.settings.ProxyListen
	if len(h.addresses) > 0 {
		addresses = h.addresses
	}
	if len(addresses) == 0 {
		return 0
	}
	_, text, _ := net.SplitHostPort(addresses[0])
	port, _ := strconv.Atoi(text) // the settings have checked it
	return port
}

// operator answers the Admin listener from what is live.
type operator struct {
	*Host
	servers *servers
}

// Explain implements admin.Gateway.
func (o operator) Explain(q explain.Query) (*explain.Report, error) {
	gen := o.generations.AcquireCurrent()
	if gen == nil {
		return nil, errors.New("no configuration is live")
	}
	defer gen.Release()
	q.ListenPort = o.listenPort()
	return explain.Explain(gen, q)
}

// Status implements admin.Gateway.
func (o operator) Status() admin.Status {
	st := admin.Status{Version: Version, NodeID: o.node.ID, PluginServers: o.serverStatus(o.servers), Quarantine: o.quarantine.Status(), Upstreams: o.Upstreams()}
	st.Ready = len(o.Unready()) == 0
	st.Process, st.Server = admin.Process{PID: os.Getpid(), Started: o.begun}, o.traffic()
	if gen := o.generations.AcquireCurrent(); gen != nil {
		defer gen.Release()
		st.Generation = admin.Generation{
			Number: gen.Number, Hash: gen.Set.Hash, Services: len(gen.Set.Services), Routes: len(gen.Set.Routes),
			Consumers: len(gen.Set.Consumers), Plugins: len(gen.Set.Plugins), Waiting: gen.Waiting(),
		}
		st.ConfigurationHash = st.Generation.Hash
		if origin := o.origin.Load(); origin != nil {
			st.Generation.Origin = *origin
		}
	}
	st.LastGood = o.lastGood()
	return st
}
