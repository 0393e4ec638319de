package fields

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Object is a JSON object whose members keep their order and, unless edited, their text.
type Object struct {
	members []member
	changed bool
}

type member struct {
	name  string
	value json.RawMessage
}

// ParseObject reads a JSON object. A text of nothing but blanks is an empty object. Of members with the same name the last counts.
func ParseObject(text []byte) (*Object, error) {
	o := &Object{}
	if len(bytes.TrimSpace(text)) == 0 {
		return o, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	start, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("parsing JSON: %w", err)
	}
	if start != json.Delim('{') {
		return nil, fmt.Errorf("parsing JSON: found %v, expected an object", start)
	}
	at := map[string]int{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("parsing JSON: %w", err)
		}
		name := key.(string) // Token gives nothing else before a value
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("parsing JSON: member %q: %w", name, err)
		}
		if i, ok := at[name]; ok {
			o.members[i].value = value
			continue
		}
		at[name] = len(o.members)
		o.members = append(o.members, member{name: name, value: value})
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("parsing JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("parsing JSON: found text after the object")
	}
	return o, nil
}

// Text makes a JSON text of a string.
func Text(s string) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // strings can always be encoded
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Bytes implements Body.
func (o *Object) Bytes() []byte {
	b := []byte{'{'}
	for i, m := range o.members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, Text(m.name)...), ':')
		b = append(b, m.value...)
	}
	return append(b, '}')
}

// Changed implements Body.
func (o *Object) Changed() bool { return o.changed }

func (o *Object) index(name string) int {
	return slices.IndexFunc(o.members, func(m member) bool { return m.name == name })
}

// Has implements Set. A null is there.
func (o *Object) Has(name string) bool { return o.index(name) >= 0 }

// Values implements Body: the text under name, or the texts of a list.
func (o *Object) Values(name string) []string {
	i := o.index(name)
	if i < 0 {
		return nil
	}
	var text string
	if json.Unmarshal(o.members[i].value, &text) == nil && o.members[i].value[0] == '"' {
		return []string{text}
	}
	var list []string
	if json.Unmarshal(o.members[i].value, &list) == nil {
		return list
	}
	return nil
}

// Remove implements Set.
func (o *Object) Remove(name string) {
	if i := o.index(name); i >= 0 {
		o.members = slices.Delete(o.members, i, i+1)
		o.changed = true
	}
}

// Rename implements Set.
func (o *Object) Rename(from, to string) {
	if from == to || !o.Has(from) {
		return
	}
	o.Remove(to)
	o.members[o.index(from)].name = to
	o.changed = true
}

// Put implements Set: the value is a text.
func (o *Object) Put(name, value string) { o.PutJSON(name, Text(value)) }

// PutJSON makes a JSON value the one under name.
func (o *Object) PutJSON(name string, value json.RawMessage) {
	o.changed = true
	if i := o.index(name); i >= 0 {
		o.members[i].value = value
		return
	}
	o.members = append(o.members, member{name: name, value: value})
}

// Append implements Set: the value is a text.
func (o *Object) Append(name, value string) { o.AppendJSON(name, Text(value)) }

// AppendJSON adds a JSON value to the list under name. Another value there becomes the first of a list; null and nothing an empty list.
func (o *Object) AppendJSON(name string, value json.RawMessage) {
	var list []json.RawMessage
	if i := o.index(name); i >= 0 {
		old := o.members[i].value
		if json.Unmarshal(old, &list) != nil { // null leaves an empty list
			list = []json.RawMessage{old}
		}
	}
	b := []byte{'['}
	for _, v := range list {
		b = append(append(b, v...), ',')
	}
	o.PutJSON(name, append(append(b, value...), ']'))
}
