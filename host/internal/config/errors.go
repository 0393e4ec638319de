package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Codes of configuration errors.
const (
	CodeSyntax           = "syntax"            // not YAML or JSON, or more than a configuration may hold
	CodeUnknownKey       = "unknown_key"       // a key that does not exist there
	CodeDuplicateKey     = "duplicate_key"     // a key that stands twice in one mapping
	CodeWrongType        = "wrong_type"        // a mapping where a list is expected, and the like
	CodeWrongValue       = "wrong_value"       // the right type, but not allowed
	CodeMissing          = "missing"           // a required value is not there
	CodeConflict         = "conflict"          // values that exclude each other
	CodeUnknownReference = "unknown_reference" // names an entity that does not exist
	CodeNotUnique        = "not_unique"        // two entities share what only one may have
	CodeUnsupported      = "unsupported"       // a valid word of Kong that is not supported yet
	CodeUnknownPlugin    = "unknown_plugin"    // no loaded plugin has this name
	CodePluginConfig     = "plugin_config"     // the plugin's schema refuses the configuration
	CodeManifest         = "manifest"          // what a plugin says about itself is wrong
	CodeUnreadable       = "unreadable"        // the file cannot be read
)

// Error is one thing that is wrong in a configuration, and where.
type Error struct {
	File string // name of the file, or OUTRIGGER_… for an environment variable, --… for a flag
	Line int    // from 1; 0: unknown
	Col  int    // from 1, in characters
	Path string // place inside the document, such as services[0].routes[1].paths[0]
	// Found and Expected finish the sentence "found …, expected …".
	Found    string
	Expected string
	Nearest  string // valid name that looks most like the one found
	Fix      string // what to do, such as: write "/orders"
	Code     string // one of the Code constants
}

// Error gives the error in one line:
//
//	config gateway.yaml:14:7: services[0].routes[1].paths[0]: found "orders", expected a path that starts with "/" (fix: write "/orders")
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("config")
	if e.File != "" {
		b.WriteString(" " + e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", e.Line, e.Col)
		}
	}
	if e.Path != "" {
		b.WriteString(": " + e.Path)
	}
	sep := ": "
	if e.Found != "" {
		b.WriteString(sep + "found " + e.Found)
		sep = ", "
	}
	if e.Expected != "" {
		b.WriteString(sep + "expected " + e.Expected)
	}
	switch {
	case e.Nearest != "" && e.Fix != "":
		fmt.Fprintf(&b, " (nearest: %s; fix: %s)", e.Nearest, e.Fix)
	case e.Nearest != "":
		fmt.Fprintf(&b, " (nearest: %s)", e.Nearest)
	case e.Fix != "":
		fmt.Fprintf(&b, " (fix: %s)", e.Fix)
	}
	return b.String()
}

// Errors is everything that is wrong in a configuration, in the order of the file.
type Errors []*Error

// Error gives one line per error.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes each error visible to errors.As.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// result sorts the errors by file and place; it is nil when there are none.
func (es Errors) result() error {
	if len(es) == 0 {
		return nil
	}
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return es
}

// nearest is the name that looks most like the one found; "" when none is close.
func nearest(found string, names []string) string {
	if len(found) > 64 {
		return ""
	}
	best, bestDistance := "", max(2, len(found)/3)+1
	for _, name := range names {
		if len(name)-len(found) >= bestDistance || len(found)-len(name) >= bestDistance {
			continue
		}
		d := distance(strings.ToLower(found), strings.ToLower(name))
		if d < bestDistance && d < len(name) {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their neighbour to get from a to b.
func distance(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}

// Nearest is the name that looks most like the one found; "" when none is close.
func Nearest(found string, names []string) string { return nearest(found, names) }
