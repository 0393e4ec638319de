package host

import (
	"fmt"
	"maps"
	"slices"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
)

// unknownPolicies are warnings about what the settings say of plugins that their server does not host. A server that has not described itself yet
// may still come with them.
func (h *Host) unknownPolicies() []string {
	var warnings []string
	for _, s := range h.servers.all.Current() {
		known := s.Manifests()
		at := slices.IndexFunc(h.settings.PluginServers, func(c config.PluginServer) bool { return c.Name == s.Name() })
		if known == nil || at < 0 {
			continue
		}
		var names []string
		for _, m := range known {
			names = append(names, m.Name)
		}
		policies := h.settings.PluginServers[at].Plugins
		for _, name := range slices.Sorted(maps.Keys(policies)) {
			if !slices.Contains(names, name) {
				warnings = append(warnings, fmt.Sprintf("config %s: plugin_servers[%d].plugins.%s: plugin server %q has no plugin of this name; it has %q", policies[name].Pos, at, name, s.Name(), names))
			}
		}
	}
	return warnings
}
