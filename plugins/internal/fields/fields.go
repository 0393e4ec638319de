// Package fields edits the named values of a query, a form, a JSON object or a multipart body, for the plugins that look into them.
// What is not edited keeps its bytes and its place.
package fields

import "strings"

// Set is a collection of named values. A name may have several, except in a JSON object.
type Set interface {
	// Has reports whether there is a value under name.
	Has(name string) bool
	// Remove removes every value under name.
	Remove(name string)
	// Rename moves the values under from to the name to, whose own values go. Without values under from, nothing happens.
	Rename(from, to string)
	// Put makes value the only one under name: in the place of the first, or at the end.
	Put(name, value string)
	// Append adds value to those under name.
	Append(name, value string)
}

// Body is a Set that is a whole body.
type Body interface {
	Set
	// Values lists the text values under name: those that a person could have typed. Other kinds, such as JSON numbers, are left out.
	Values(name string) []string
	// Changed reports whether an edit had an effect.
	Changed() bool
	// Bytes is the body as it is now. The caller may keep it.
	Bytes() []byte
}

// Kind is the format of a body.
type Kind uint8

// Kinds of bodies.
const (
	Other Kind = iota
	Form
	JSON
	Multipart
)

// KindOf tells the kind by a Content-Type. Case and parameters do not matter.
func KindOf(contentType string) Kind {
	t := strings.ToLower(strings.TrimSpace(contentType))
	switch {
	case strings.HasPrefix(t, "application/x-www-form-urlencoded"):
		return Form
	case strings.HasPrefix(t, "application/json"):
		return JSON
	case strings.HasPrefix(t, "multipart/form-data"):
		return Multipart
	}
	return Other
}

// Parse reads a body of a kind that is not Other. An empty body is an empty form, object or list of parts. ok is false when the body
// is not what its type says: then nobody should touch it.
func Parse(kind Kind, contentType string, body []byte) (b Body, ok bool) {
	switch kind {
	case Form:
		return &form{Args: *ParseArgs(string(body))}, true
	case JSON:
		o, err := ParseObject(body)
		return o, err == nil
	case Multipart:
		p, err := parseParts(contentType, body)
		return p, err == nil
	}
	return nil, false
}

// form is a form body.
type form struct{ Args }

func (f *form) Bytes() []byte { return []byte(f.String()) }

// Values lists the values under name, but not those of names without an equals sign.
func (f *form) Values(name string) []string {
	var texts []string
	for _, v := range f.Args.Values(name) {
		if !v.Bare {
			texts = append(texts, v.Text)
		}
	}
	return texts
}
