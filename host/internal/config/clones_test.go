package config

import (
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// Clones are checked where they are written, against the plugins that are loaded.
func TestClonesAreChecked(t *testing.T) {
	for _, c := range []struct{ clone, want string }{
		{"{name: mine, ref: one}", ""},
		{"{name: mine, ref: on}", `config f:2:36: cloned_plugins[0].ref: found "on", expected a plugin that is loaded (nearest: one)`},
		{"{name: two, ref: one}", `config f:2:25: cloned_plugins[0].name: found "two", the name of a plugin of plugin server "s", expected a name that no plugin has`},
		{"{name: mine, ref: copy}", `config f:2:36: cloned_plugins[0].ref: found "copy", which is a clone itself, expected a plugin with code of its own (fix: write "one")`},
	} {
		set, err := Parse("f", []byte("_format_version: \"3.0\"\ncloned_plugins: ["+c.clone+"]\nplugins: [{name: one}]"))
		if err != nil {
			t.Fatal(err)
		}
		manifests := []entity.Manifest{{Name: "one"}, {Name: "two", Server: "s"}, {Name: "copy", Ref: "one"}}
		for i := range manifests[:1] {
			if cl := set.ClonedPlugins[0]; manifests[i].Name == cl.Ref {
				manifests = append(manifests, manifests[i].Clone(cl))
			}
		}
		got := ""
		if err := ResolvePlugins(set, manifests, nil); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.clone, got, strings.TrimSpace(c.want))
		}
	}
}
