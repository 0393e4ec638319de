// Package entitydiff compares two configurations entity by entity: what comes, what goes, and which fields change. Secrets are compared and never shown.
package entitydiff

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// Diff is what is different in a new configuration. docs/guides/declarative.md documents its JSON form.
type Diff struct {
	Differs bool     `json:"differs"`
	Added   int      `json:"added"`
	Removed int      `json:"removed"`
	Changed int      `json:"changed"`
	Changes []Change `json:"changes"`
	// UnknownSchemas are the plugins of changed records of which nobody said which fields are secret: more fields are not shown then, by their names and looks.
	UnknownSchemas []string `json:"unknown_schemas,omitempty"`
}

// What becomes of an entity.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Change is one entity that is different.
type Change struct {
	Change     string  `json:"change"`
	Collection string  `json:"collection"`
	Name       string  `json:"name"` // what a reader calls it: its name, or what makes it itself
	ID         string  `json:"id"`   // in the new configuration; of a removed one in the old
	Fields     []Field `json:"fields,omitempty"`
}

// Field is one field that changes. Values are in the form of JSON; those of secrets are "***".
type Field struct {
	Path   string `json:"path"`             // dotted, such as config.limits.second
	Before any    `json:"before,omitempty"` // absent: there was none
	After  any    `json:"after,omitempty"`  // absent: there is none
	Secret bool   `json:"secret,omitempty"`
}

// Compare lists what is different in after. An entity is the same in both when its id is, or else all that it holds, or else its name; how it is written and
// where does not count. It takes time in proportion to the number of entities. Records of plugins should have been held against the schemas of these.
func Compare(before, after *entity.Set) *Diff {
	d := &Diff{Changes: []Change{}}
	b, a := collect(before), collect(after)
	for _, name := range collections {
		d.collection(name, b[name], a[name])
	}
	d.Differs = len(d.Changes) > 0
	return d
}

// item is one entity of a collection.
type item struct {
	id, name string
	fields   map[string]any
	hidden   hidden
	guessed  string // the plugin, when hidden is a guess
}

func (d *Diff) collection(name string, before, after []item) {
	was := pairs(before, after)
	kept := make([]bool, len(before))
	for i := range after {
		n := &after[i]
		if was[i] < 0 {
			d.Added++
			d.Changes = append(d.Changes, Change{Change: Added, Collection: name, Name: n.name, ID: n.id})
			continue
		}
		kept[was[i]] = true
		if fields := changes(&before[was[i]], n); len(fields) > 0 {
			d.Changed++
			d.Changes = append(d.Changes, Change{Change: Changed, Collection: name, Name: n.name, ID: n.id, Fields: fields})
			d.tellGuess(n.guessed, fields)
		}
	}
	for i := range before {
		if !kept[i] {
			d.Removed++
			d.Changes = append(d.Changes, Change{Change: Removed, Collection: name, Name: before[i].name, ID: before[i].id})
		}
	}
}

// tellGuess notes the plugin of a changed configuration whose schema is not known; "" is none.
func (d *Diff) tellGuess(plugin string, fields []Field) {
	shows := slices.ContainsFunc(fields, func(f Field) bool { return strings.HasPrefix(f.Path, "config") })
	if plugin != "" && shows && !slices.Contains(d.UnknownSchemas, plugin) {
		d.UnknownSchemas = append(d.UnknownSchemas, plugin)
	}
}

// pairs says for each of after which of before it was, or -1. Each is taken once: by the same id first, then by the same content, which two without a name
// have in common alone, then by the same name.
func pairs(before, after []item) []int {
	was := slices.Repeat([]int{-1}, len(after))
	taken := make([]bool, len(before))
	for _, keyOf := range []func(*item) string{
		func(n *item) string { return n.id },
		func(n *item) string { return toJSON(n.fields) },
		func(n *item) string { return n.name },
	} {
		left := map[string][]int{}
		for i := range before {
			if key := keyOf(&before[i]); !taken[i] && key != "" {
				left[key] = append(left[key], i)
			}
		}
		if len(left) == 0 {
			break
		}
		for i := range after {
			if was[i] >= 0 {
				continue
			}
			if key := keyOf(&after[i]); len(left[key]) > 0 {
				was[i], left[key] = left[key][0], left[key][1:]
				taken[was[i]] = true
			}
		}
	}
	return was
}

// changes compares the fields of one entity.
func changes(before, after *item) []Field {
	var fields []Field
	var walk func(path string, b, a any, secret bool)
	walk = func(path string, b, a any, secret bool) {
		if reflect.DeepEqual(b, a) {
			return
		}
		mb, bok := b.(map[string]any)
		ma, aok := a.(map[string]any)
		if bok && aok && !secret && !before.hidden.name(path) && !after.hidden.name(path) { // a key may be a secret too
			var names []string // of fields that name a secret; a plugin that is called so does not
			if before.hidden.below(path) {
				names = []string{before.hidden.pair(mb), after.hidden.pair(ma)}
			}
			paired := strings.Join(names, "") != ""
			keys := maps.Clone(mb)
			maps.Copy(keys, ma)
			for _, key := range slices.Sorted(maps.Keys(keys)) {
				walk(strings.TrimPrefix(path+"."+key, "."), mb[key], ma[key], paired && !slices.Contains(names, key))
			}
			return
		}
		f := Field{Path: path, Before: b, After: a}
		if secret && (hasText(b) || hasText(a)) || before.hidden.value(path, b) || after.hidden.value(path, a) {
			f.Secret = true
			if b != nil {
				f.Before = "***"
			}
			if a != nil {
				f.After = "***"
			}
		}
		fields = append(fields, f)
	}
	if before.id != after.id {
		fields = append(fields, Field{Path: "id", Before: before.id, After: after.id})
	}
	walk("", before.fields, after.fields, false)
	return fields
}

// Text writes the difference for people.
func (d *Diff) Text(w io.Writer) error {
	var b strings.Builder
	for i := range d.Changes {
		c := &d.Changes[i]
		mark := map[string]string{Added: "+", Removed: "-", Changed: "~"}[c.Change]
		fmt.Fprintf(&b, "%s %s %s\n", mark, c.Collection, cmp.Or(c.Name, c.ID))
		for _, f := range c.Fields {
			if f.Secret {
				fmt.Fprintf(&b, "    %s: a secret %s\n", f.Path, secretWord(f))
				continue
			}
			fmt.Fprintf(&b, "    %s: %s -> %s\n", f.Path, shown(f.Before), shown(f.After))
		}
	}
	if !d.Differs {
		b.WriteString("nothing is different\n")
	} else {
		fmt.Fprintf(&b, "%d added, %d removed, %d changed\n", d.Added, d.Removed, d.Changed)
	}
	if len(d.UnknownSchemas) > 0 {
		fmt.Fprintf(&b, "note: which fields of %s are secret is not known: what sounds or looks like it is not shown\n", strings.Join(d.UnknownSchemas, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func secretWord(f Field) string {
	switch {
	case f.Before == nil:
		return "is set"
	case f.After == nil:
		return "is removed"
	}
	return "is another one"
}

// longest is how much of a value the text shows; JSON shows all.
const longest = 200

func shown(v any) string {
	if v == nil {
		return "(none)"
	}
	text := toJSON(v)
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "…"
	}
	return text
}
