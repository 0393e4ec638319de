package host

import (
	"context"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
)

// Checked is what Check found in a valid configuration.
type Checked struct {
	Services, Routes, Consumers, Plugins int
	Servers                              int
	// Warnings are what is allowed and most likely a mistake, one line each.
	Warnings []string
	// Isolation says of each managed plugin server, by name, what keeps its processes apart from the machine, what is not available and why.
	Isolation []Isolation
}

// Isolation is what keeps the processes of one plugin server apart: pairs of a state (on, partial, not available, off) and the measures in it.
type Isolation struct {
	Server string
	Lines  [][2]string
}

// Check validates the whole configuration as Start would, without accepting requests: plugin servers are started in a private run
// directory, asked for their schemas, given every instance, and ended again. A server that does not come up is an error.
func (h *Host) Check(ctx context.Context) (found Checked, err error) {
	set, err := h.load()
	if err != nil {
		return found, err
	}
	defer func() {
		if serr := h.Shutdown(context.Background()); err == nil {
			err = serr
		}
	}()
	if err := h.startServers(ctx); err != nil {
		return found, err
	}
	if err := h.unready(); err != nil {
		return found, err
	}
	h.servers.checking = true
	if err := h.apply(ctx, set); err != nil {
		return found, err
	}
	found = count(set, len(h.settings.PluginServers))
	for _, s := range h.servers.all.Status() {
		if s.Managed && len(s.Processes) > 0 {
			found.Isolation = append(found.Isolation, Isolation{s.Server, pluginserver.ByState(s.Processes[0].Isolation)})
		}
	}
	found.Warnings = h.unknownPolicies()
	found.Warnings = append(found.Warnings, setWarnings(h.generations.Current().Set)...)
	for _, w := range h.generations.Current().Plans.Warnings() {
		found.Warnings = append(found.Warnings, w.String())
	}
	return found, nil
}

func count(set *entity.Set, servers int) Checked {
	return Checked{
		Services: len(set.Services), Routes: len(set.Routes), Consumers: len(set.Consumers), Plugins: len(set.Plugins),
		Servers: servers,
	}
}

// unready is an error that names every server that is not ready.
func (h *Host) unready() error {
	failed := &pluginserver.StartError{}
	for _, s := range h.servers.all.Ready() {
		if !s.Ready {
			failed.Failed = append(failed.Failed, s)
		}
	}
	if len(failed.Failed) == 0 {
		return nil
	}
	return failed
}
