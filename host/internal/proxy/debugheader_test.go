package proxy

import "testing"

// The debug header names the plugins of access in their order, with the levels of their records.
func TestPluginDebugHeader(t *testing.T) {
	const records = `plugins:
- {name: a}
- {name: b}
- {name: b, route: r}
- {name: c, service: s}
`
	const entities = "_format_version: \"3.0\"\nservices: [{name: s, url: \"http://UPSTREAM\", routes: [{name: r, paths: [/api]}]}]\n"
	on := func(o *Options) { o.PluginDebugHeader = "X-Outrigger-Plugins" }
	g := start(t, echo, entities+records, traced(&trace{}, "a", "b", "c"), on)
	if got, want := g.get("/api").Header.Get("X-Outrigger-Plugins"), "a;level=12, b;level=10, c;level=11"; got != want {
		t.Errorf("found %q, expected %q", got, want)
	}
	if got := g.get("/none").Header.Values("X-Outrigger-Plugins"); got != nil {
		t.Errorf("without route: found %q", got)
	}
	off := start(t, echo, entities+records, traced(&trace{}, "a", "b", "c"))
	if got := off.get("/api").Header.Values("X-Outrigger-Plugins"); got != nil {
		t.Errorf("without the setting: found %q", got)
	}
}
