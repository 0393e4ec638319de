package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Replace starts a new build of a managed plugin server beside the old one, configures every instance on it, checks its health, and then
// makes it the one that new requests use, together with whatever its manifests change in the plans. Requests that have begun end on the old
// build, which ends after them; no request fails or sees both. Until then, and when anything goes wrong, nothing changes. command replaces the
// command of the settings from now on; nil keeps the one of the old build.
//
// The new build is given the entities that are live. When it refuses them and accepts what their file holds by now, that goes live with it: a
// plugin that changes its name or its schema, and the configuration that says so, need each other.
//
// Calls for one server run one after the other. When Replace fails, nothing of the new build is left.
func (h *Host) Replace(ctx context.Context, server string, command []string) error {
	h.reloading.Lock()
	servers := h.servers
	h.reloading.Unlock()
	if servers == nil {
		return errors.New("the gateway is not running")
	}
	replacing := servers.replacing[server]
	if replacing == nil {
		return fmt.Errorf("there is no plugin server %q; expected one of %s", server, strings.Join(slices.Sorted(maps.Keys(servers.replacing)), ", "))
	}
	replacing.Lock()
	defer replacing.Unlock()
	ctx, cancel := h.untilStop(ctx)
	defer cancel()
	cfg := servers.all.Server(server).Config()
	if command != nil {
		cfg.Command = command
	}
	next, err := servers.all.Begin(ctx, cfg)
	if err != nil {
		return err
	}
	promoted := false
	defer func() {
		if !promoted {
			next.Abandon()
		}
	}()

	h.reloading.Lock()
	defer h.reloading.Unlock()
	if h.stopping() {
		return errStopping
	}
	set := h.entities
	gen, err := h.compile(ctx, set, servers.builds(next))
	if err != nil {
		fresh, loadErr := h.load()
		if loadErr != nil || fresh.Blank || fresh.Hash == set.Hash {
			return err
		}
		if gen, loadErr = h.compile(ctx, fresh, servers.builds(next)); loadErr != nil {
			return err
		}
		set = fresh
	}
	if err = next.Check(); err == nil {
		err = servers.all.Promote(next)
	}
	if err != nil {
		gen.Discard()
		return fmt.Errorf("the new build of plugin server %q cannot take requests: %w", server, err)
	}
	promoted = true
	h.entities = set
	h.generations.Swap(gen)
	h.logger.Info("a new build of the plugin server is live", "server", server, "generation", gen.Number)
	return nil
}

// Serving says whether a plugin server takes calls.
func (h *Host) Serving(server string) bool {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	if h.servers == nil {
		return false
	}
	s := h.servers.all.Server(server)
	return s != nil && s.State().Ready
}
