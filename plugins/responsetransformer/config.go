package responsetransformer

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/outrigger-gateway/outrigger/plugins/internal/fields"
)

// Config of an instance. The entries of rename, replace, add and append are name:value.
type Config struct {
	Remove  Names `json:"remove"`
	Rename  Pairs `json:"rename"`
	Replace Typed `json:"replace"`
	Add     Typed `json:"add"`
	Append  Typed `json:"append"`
}

// Names are lists of names; what follows a colon is ignored.
type Names struct {
	Headers []string `json:"headers"`
	JSON    []string `json:"json"`
}

// Pairs are lists of old:new.
type Pairs struct {
	Headers []string `json:"headers" schema:"pattern=^[^:]+:."`
	JSON    []string `json:"json" schema:"pattern=^[^:]+:."`
}

// Typed are lists of name:value. JSONTypes gives the types of the values of JSON at the same places; without one a value is text.
type Typed struct {
	Headers   []string `json:"headers" schema:"pattern=^[^:]+:"`
	JSON      []string `json:"json" schema:"pattern=^[^:]+:"`
	JSONTypes []string `json:"json_types" schema:"enum=boolean|number|string"`
}

// defaults shows every list as empty, as the configuration schema must.
func defaults() Config {
	none := []string{}
	typed := Typed{Headers: none, JSON: none, JSONTypes: none}
	return Config{
		Remove: Names{Headers: none, JSON: none}, Rename: Pairs{Headers: none, JSON: none},
		Replace: typed, Add: typed, Append: typed,
	}
}

// edit is one entry of a list. value is a JSON value in a list for JSON, the text of a header in the others.
type edit struct {
	name  string
	value string
}

// edits are the operations on headers, or those on members of the body.
type edits struct {
	remove                       []string
	rename, replace, add, append []edit
}

func (e *edits) empty() bool {
	return len(e.remove)+len(e.rename)+len(e.replace)+len(e.add)+len(e.append) == 0
}

// compile parses the lists.
func (c *Config) compile() (headers, body edits, err error) {
	headers.remove = removals(c.Remove.Headers)
	body.remove = removals(c.Remove.JSON)
	headers.rename = pairs(c.Rename.Headers)
	body.rename = pairs(c.Rename.JSON)
	for _, list := range []struct {
		operation     string
		from          *Typed
		headers, body *[]edit
	}{
		{"replace", &c.Replace, &headers.replace, &body.replace},
		{"add", &c.Add, &headers.add, &body.add},
		{"append", &c.Append, &headers.append, &body.append},
	} {
		*list.headers = withValue(pairs(list.from.Headers))
		if *list.body, err = list.from.members(); err != nil {
			return headers, body, fmt.Errorf("%s.%w", list.operation, err)
		}
	}
	return headers, body, headers.checkNames()
}

func removals(texts []string) []string {
	names := make([]string, len(texts))
	for i, text := range texts {
		names[i], _ = fields.CutRule(text)
	}
	return names
}

func pairs(texts []string) []edit {
	list := make([]edit, len(texts))
	for i, text := range texts {
		list[i].name, list[i].value = fields.CutRule(text)
	}
	return list
}

// withValue leaves out the entries without a value: they do nothing.
func withValue(list []edit) []edit {
	var kept []edit
	for _, e := range list {
		if e.value != "" {
			kept = append(kept, e)
		}
	}
	return kept
}

// members makes edits whose values are JSON.
func (t *Typed) members() ([]edit, error) {
	var list []edit
	for i, e := range pairs(t.JSON) {
		if e.value == "" {
			continue
		}
		kind := "string"
		if i < len(t.JSONTypes) {
			kind = t.JSONTypes[i]
		}
		switch kind {
		case "boolean":
			e.value = strconv.FormatBool(e.value == "true")
		case "number":
			number, err := numberText(e.value)
			if err != nil {
				return nil, fmt.Errorf("json.%d: %w", i, err)
			}
			e.value = number
		default:
			e.value = string(fields.Text(e.value))
		}
		list = append(list, e)
	}
	return list, nil
}

// numberText is a number as JSON writes it.
func numberText(text string) (string, error) {
	var n json.Number
	if json.Unmarshal([]byte(text), &n) == nil && n != "" {
		return n.String(), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return "", fmt.Errorf("found %q, expected a number", text)
	}
	b, err := json.Marshal(f)
	if err != nil {
		return "", fmt.Errorf("found %q, expected a finite number", text)
	}
	return string(b), nil
}

// checkNames refuses names that no header can have.
func (e *edits) checkNames() error {
	check := func(operation string, i int, name string) error {
		if err := fields.CheckHeaderName(name); err != nil {
			return fmt.Errorf("%s.headers.%d: %w", operation, i, err)
		}
		return nil
	}
	for i, name := range e.remove {
		if err := check("remove", i, name); err != nil {
			return err
		}
	}
	for i, x := range e.rename {
		if err := check("rename", i, x.value); err != nil {
			return err
		}
	}
	for _, list := range []struct {
		operation string
		edits     []edit
	}{{"rename", e.rename}, {"replace", e.replace}, {"add", e.add}, {"append", e.append}} {
		for i, x := range list.edits {
			if err := check(list.operation, i, x.name); err != nil {
				return err
			}
		}
	}
	return nil
}
