package main

import (
	"github.com/outrigger-gateway/outrigger/examples/internal/testplugins/trail"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/plugins"
)

// served are the native plugins under other names, as no plugin server may take theirs, and those of package trail.
func served() []pdk.Plugin {
	all := plugins.All()
	for i := range all {
		all[i].Name = "served-" + all[i].Name
	}
	return append(all, trail.Served()...)
}
