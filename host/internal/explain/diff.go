package explain

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// Diff is what runs elsewhere or otherwise in one configuration than in another. docs/guides/explain.md documents its JSON form.
type Diff struct {
	Differs       bool     `json:"differs"`
	RoutesAdded   []string `json:"routes_added"`
	RoutesRemoved []string `json:"routes_removed"`
	Changes       []Change `json:"changes"`
}

// Change is one chain that changes, on all the routes and for all the classes of consumers for which it changes alike.
type Change struct {
	Routes []string `json:"routes"` // "" is requests without route
	Who    []string `json:"who"`    // nobody, consumer NAME, groups NAME, NAME
	Phase  string   `json:"phase"`
	// Chain is that of the first route for the first class; elsewhere the steps that do not change may be others.
	Chain []Link `json:"chain"`

	key string // the same for changes that are alike
}

// What becomes of a step of a chain.
const (
	Same    = "same"
	Added   = "added"
	Removed = "removed"
	Changed = "changed" // the record stands where it stood, and has another configuration, condition or fail mode
)

// Link is one step of a chain that changes.
type Link struct {
	Change   string `json:"change"`
	Plugin   string `json:"plugin"`
	Instance string `json:"instance_name,omitempty"`
	Scope    string `json:"scope"`
	Position string `json:"position,omitempty"` // in the new file; of a removed step, in the old one

	identity string         // of the record in both configurations
	record   *entity.Plugin // as it runs
}

// Text writes the difference for people.
func (d *Diff) Text(w io.Writer) error {
	t := newText(w)
	if !d.Differs {
		t.say("no chain changes")
		return t.w.Flush()
	}
	for _, r := range d.RoutesAdded {
		t.say("+ route %s", r)
	}
	for _, r := range d.RoutesRemoved {
		t.say("- route %s", r)
	}
	marks := map[string]string{Same: " ", Added: "+", Removed: "-", Changed: "~"}
	for i := range d.Changes {
		c := &d.Changes[i]
		if i > 0 || len(d.RoutesAdded)+len(d.RoutesRemoved) > 0 {
			t.say("")
		}
		t.say("%s, %s, for %s", routeNames(c.Routes), c.Phase, strings.Join(shortened(c.Who), "; "))
		for k := range c.Chain {
			l := &c.Chain[k]
			name := l.Plugin
			if l.Instance != "" {
				name = fmt.Sprintf("%s (%s)", l.Plugin, l.Instance)
			}
			t.row(marks[l.Change]+" "+name, l.Scope, l.Position)
		}
	}
	return t.w.Flush()
}

func routeNames(names []string) string {
	if slices.Equal(names, []string{""}) {
		return "without route"
	}
	words := make([]string, len(names))
	for i, n := range names {
		words[i] = cmp.Or(n, "(without route)")
	}
	kind := "route "
	if len(words) > 1 {
		kind = "routes "
	}
	return kind + strings.Join(shortened(words), ", ")
}

// maxNames bounds the routes and consumers that a text names: JSON names all.
const maxNames = 8

func shortened(names []string) []string {
	if len(names) <= maxNames {
		return names
	}
	return append(slices.Clone(names[:maxNames]), fmt.Sprintf("and %d more", len(names)-maxNames))
}
