package requesttransformer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/plugins/internal/fields"
)

// Config of an instance. The entries of rename, replace, add and append are name:value; values may hold templates.
type Config struct {
	// HTTPMethod replaces the method.
	HTTPMethod *string `json:"http_method" schema:"pattern=^[A-Z]+$"`
	Remove     Names   `json:"remove"`
	Rename     Pairs   `json:"rename"`
	Replace    Replace `json:"replace"`
	Add        Pairs   `json:"add"`
	Append     Pairs   `json:"append"`
}

// Names are lists of names.
type Names struct {
	Headers     []string `json:"headers"`
	QueryString []string `json:"querystring"`
	Body        []string `json:"body"`
}

// Pairs are lists of name:value.
type Pairs struct {
	Headers     []string `json:"headers" schema:"pattern=^[^:]+:"`
	QueryString []string `json:"querystring" schema:"pattern=^[^:]+:"`
	Body        []string `json:"body" schema:"pattern=^[^:]+:"`
}

// Replace is Pairs, and the path that goes upstream.
type Replace struct {
	URI         *string  `json:"uri" schema:"minlen=1"`
	Headers     []string `json:"headers" schema:"pattern=^[^:]+:"`
	QueryString []string `json:"querystring" schema:"pattern=^[^:]+:"`
	Body        []string `json:"body" schema:"pattern=^[^:]+:"`
}

// defaults shows every list as empty, as the configuration schema must.
func defaults() Config {
	none := []string{}
	pairs := Pairs{Headers: none, QueryString: none, Body: none}
	return Config{
		Remove:  Names{Headers: none, QueryString: none, Body: none},
		Rename:  pairs,
		Replace: Replace{Headers: none, QueryString: none, Body: none},
		Add:     pairs,
		Append:  pairs,
	}
}

// methods are those that an upstream request can have.
var methods = []string{
	"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "MKCOL", "COPY", "MOVE", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "PATCH", "TRACE",
}

// edit is one entry of a section.
type edit struct {
	name  string
	value *template // nil: no value
}

// section is what one part of the request goes through.
type section struct {
	remove                       []string
	rename, replace, add, append []edit
}

// empty reports whether the section does nothing.
func (s *section) empty() bool {
	return len(s.remove)+len(s.rename)+len(s.replace)+len(s.add)+len(s.append) == 0
}

// templates lists the templates of the section.
func (s *section) templates() []*template {
	var all []*template
	for _, e := range slices.Concat(s.rename, s.replace, s.add, s.append) {
		if e.value != nil {
			all = append(all, e.value)
		}
	}
	return all
}

// compileSection parses the five lists of one part; part is its name in the configuration.
func compileSection(part string, remove, rename, replace, add, append_ []string) (section, error) {
	var s section
	for _, text := range remove {
		name, _ := fields.CutRule(text)
		s.remove = append(s.remove, name)
	}
	for _, list := range []struct {
		operation string
		texts     []string
		to        *[]edit
	}{{"rename", rename, &s.rename}, {"replace", replace, &s.replace}, {"add", add, &s.add}, {"append", append_, &s.append}} {
		for i, text := range list.texts {
			name, value := fields.CutRule(text)
			e := edit{name: name}
			if value != "" {
				t, err := parseTemplate(value)
				if err != nil {
					return s, fmt.Errorf("%s.%s.%d: %w", list.operation, part, i, err)
				}
				e.value = t
			}
			*list.to = append(*list.to, e)
		}
	}
	return s, nil
}

// checkHeaders refuses names that no header can have.
func (s *section) checkHeaders() error {
	for _, list := range []struct {
		operation string
		names     []string
	}{
		{"remove", s.remove}, {"rename", editNames(s.rename)}, {"replace", editNames(s.replace)},
		{"add", editNames(s.add)}, {"append", editNames(s.append)},
	} {
		for i, name := range list.names {
			if err := fields.CheckHeaderName(name); err != nil {
				return fmt.Errorf("%s.headers.%d: %w", list.operation, i, err)
			}
		}
	}
	for i, e := range s.rename {
		if e.value == nil {
			return fmt.Errorf("rename.headers.%d: %q has no new name", i, e.name)
		}
		if text, ok := e.value.constant(); ok {
			if err := fields.CheckHeaderName(text); err != nil {
				return fmt.Errorf("rename.headers.%d: %w", i, err)
			}
		}
	}
	return nil
}

func editNames(edits []edit) []string {
	names := make([]string, len(edits))
	for i, e := range edits {
		names[i] = e.name
	}
	return names
}

// checkMethod refuses a method that cannot be sent upstream.
func checkMethod(method *string) error {
	if method != nil && !slices.Contains(methods, *method) {
		return fmt.Errorf("http_method: found %q, expected one of %s", *method, strings.Join(methods, ", "))
	}
	return nil
}
