package host

import (
	"context"
	"errors"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
)

// Reload reads the entities again. Any error keeps the current generation.
func (h *Host) Reload(ctx context.Context) error {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	ctx, cancel := h.untilStop(ctx)
	defer cancel()
	set, source, err := h.loadText()
	if err != nil {
		return err
	}
	if err := h.renew(ctx, set); err != nil {
		return err
	}
	h.origin.Store(h.originOf(fromFile))
	h.keepGood(set, source)
	return nil
}

// completed builds the generation of the live entities again, with a plugin server that came up meanwhile. Their file may hold something else by now
// that nobody has asked for.
func (h *Host) completed(ctx context.Context) error {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	ctx, cancel := h.untilStop(ctx)
	defer cancel()
	return h.renew(ctx, h.entities)
}

// renew makes entities live and tells it; reloading is held.
func (h *Host) renew(ctx context.Context, set *entity.Set) error {
	if err := h.apply(ctx, set); err != nil {
		return err
	}
	h.logger.Log(ctx, telemetry.LevelNotice, "configuration is live", "generation", h.generations.Current().Number, "hash", set.Hash,
		"services", len(set.Services), "routes", len(set.Routes), "consumers", len(set.Consumers), "plugins", len(set.Plugins))
	h.warn(ctx)
	return nil
}

// untilStop ends ctx when a shutdown begins, which does not wait for plugin servers that are slow to take a configuration.
func (h *Host) untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-h.stop:
			cancel(errStopping)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

func (h *Host) stopping() bool {
	select {
	case <-h.stop:
		return true
	default:
		return false
	}
}

// errStopping is why nothing new becomes live.
var errStopping = errors.New("the gateway is shutting down")

// apply compiles a set and makes it the current generation.
func (h *Host) apply(ctx context.Context, set *entity.Set) error {
	if h.stopping() {
		return errStopping
	}
	gen, err := h.compile(ctx, set, h.servers.builds())
	if err != nil {
		return err
	}
	h.entities = set
	h.generations.Swap(gen)
	h.recompileCanary(ctx, set)
	return nil
}

// compile makes a generation of a set that uses the given builds of the plugin servers. The set stays as it was read: what its plugin records
// lack is filled in by the schemas of these builds, and others may want something else.
func (h *Host) compile(ctx context.Context, set *entity.Set, servers generation.Servers) (*generation.Generation, error) {
	builder := h.builder.With(servers)
	set = set.WithOwnPlugins()
	catalog, err := builder.Catalog(set)
	if err != nil {
		return nil, err
	}
	if current := h.generations.Current(); current != nil {
		catalog = current.Known(catalog)
	}
	builder.Merge(set)
	if err := config.ResolvePlugins(set, catalog, h.vaultOf(set)); err != nil {
		return nil, err
	}
	return builder.Build(ctx, set, catalog)
}
