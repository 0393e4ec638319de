// Package plugins lists the Go plugins that the benchmarks run, natively in benchhost or in the plugin server benchplugins.
package plugins

import (
	"fmt"
	"strings"

	"github.com/outrigger-gateway/outrigger/bench/plugins/sweep"
	"github.com/outrigger-gateway/outrigger/examples/go/hello"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// All lists every plugin.
func All() []pdk.Plugin { return []pdk.Plugin{hello.Plugin, sweep.Plugin} }

// ByName finds a plugin.
func ByName(name string) (pdk.Plugin, error) {
	var known []string
	for _, p := range All() {
		if p.Name == name {
			return p, nil
		}
		known = append(known, p.Name)
	}
	return pdk.Plugin{}, fmt.Errorf("plugin %q is not one of the bench's: expected %s", name, strings.Join(known, " or "))
}
