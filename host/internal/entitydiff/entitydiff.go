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

// Compare lists what is different in after. An entity is the same in both when its id is, or else its name; how it is written and where does not count.
// It takes time in proportion to the number of entities.
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
	secret   func(path string, v any) bool
}

func (d *Diff) collection(name string, before, after []item) {
	byID, byName := make(map[string]int, len(before)), make(map[string]int, len(before))
	for i := range before {
		byID[before[i].id] = i
		if _, twice := byName[before[i].name]; !twice {
			byName[before[i].name] = i
		}
	}
	ids := make(map[string]bool, len(after))
	for i := range after {
		ids[after[i].id] = true
	}
	met := make([]bool, len(before))
	for i := range after {
		n := &after[i]
		k, known := byID[n.id]
		if !known {
			if k, known = byName[n.name]; known && ids[before[k].id] {
				known = false // it is another one there
			}
		}
		if !known || met[k] {
			d.Added++
			d.Changes = append(d.Changes, Change{Change: Added, Collection: name, Name: n.name, ID: n.id})
			continue
		}
		met[k] = true
		if fields := changes(&before[k], n); len(fields) > 0 {
			d.Changed++
			d.Changes = append(d.Changes, Change{Change: Changed, Collection: name, Name: n.name, ID: n.id, Fields: fields})
		}
	}
	for i := range before {
		if !met[i] {
			d.Removed++
			d.Changes = append(d.Changes, Change{Change: Removed, Collection: name, Name: before[i].name, ID: before[i].id})
		}
	}
}

// changes compares the fields of one entity.
func changes(before, after *item) []Field {
	var fields []Field
	var walk func(path string, b, a any)
	walk = func(path string, b, a any) {
		if reflect.DeepEqual(b, a) {
			return
		}
		mb, bok := b.(map[string]any)
		ma, aok := a.(map[string]any)
		if bok && aok {
			keys := maps.Clone(mb)
			maps.Copy(keys, ma)
			for _, key := range slices.Sorted(maps.Keys(keys)) {
				walk(strings.TrimPrefix(path+"."+key, "."), mb[key], ma[key])
			}
			return
		}
		f := Field{Path: path, Before: b, After: a}
		if before.secret(path, b) || after.secret(path, a) {
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
	walk("", before.fields, after.fields)
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
