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
	more := len(es)
	if i := slices.Index(es, tooMany); i >= 0 {
		es = slices.DeleteFunc(es, func(e *Error) bool { return e == tooMany })
	}
	more -= len(es)
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	if more > 0 {
		es = append(es, &Error{
			File: es[0].File, Code: CodeSyntax, Found: fmt.Sprintf("%d more mistakes", more), Expected: fmt.Sprintf("none: the first %d are above", mostMistakes),
		})
	}
	return es
}
