package host

import (
	"fmt"
	"maps"
	"slices"
)

// unknownPolicies are warnings about what the settings say of plugins that their server does not host. A server that has not described itself yet
// may still come with them.
func (h *Host) unknownPolicies() []string {
	var warnings []string
	for _, s := range h.servers.all.Current() {
		known, m := s.Manifests(), h.servers.madeOf(s.Name())
		if known == nil || m == nil {
			continue
		}
		var names []string
		for _, m := range known {
			names = append(names, m.Name)
		}
		policies := m.entry.Plugins
		for _, name := range slices.Sorted(maps.Keys(policies)) {
			if !slices.Contains(names, name) {
				warnings = append(warnings, fmt.Sprintf("config %s: plugins.%s: plugin server %q has no plugin of this name; it has %q", policies[name].Pos, name, s.Name(), names))
			}
		}
	}
	return warnings
}
