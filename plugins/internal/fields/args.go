package fields

import (
	"slices"
	"strings"
)

// Args are the arguments of a query or a form, in order. Those that are not edited keep their encoding.
type Args struct {
	list    []arg
	changed bool
}

// arg is one argument: its encoded text, and the name decoded.
type arg struct {
	raw  string
	name string
}

// Value of an argument.
type Value struct {
	Text string // decoded
	Bare bool   // name without an equals sign
}

// ParseArgs reads arguments separated by &. Everything can be read: a % that starts no triplet stands for itself.
func ParseArgs(raw string) *Args {
	a := &Args{}
	if raw == "" {
		return a
	}
	for text := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(text, "=")
		a.list = append(a.list, arg{raw: text, name: decode(name)})
	}
	return a
}

// String is the arguments, encoded.
func (a *Args) String() string {
	var b strings.Builder
	for i, x := range a.list {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(x.raw)
	}
	return b.String()
}

// Changed reports whether an edit had an effect.
func (a *Args) Changed() bool { return a.changed }

// Names lists the names that have values, each once, in order.
func (a *Args) Names() []string {
	var names []string
	for _, x := range a.list {
		if x.name != "" && !slices.Contains(names, x.name) {
			names = append(names, x.name)
		}
	}
	return names
}

// Values lists the values under name, in order.
func (a *Args) Values(name string) []Value {
	var values []Value
	for _, x := range a.list {
		if x.name == name {
			values = append(values, x.value())
		}
	}
	return values
}

func (x arg) value() Value {
	_, text, ok := strings.Cut(x.raw, "=")
	return Value{Text: decode(text), Bare: !ok}
}

// Has implements Set.
func (a *Args) Has(name string) bool { return a.index(name) >= 0 }

func (a *Args) index(name string) int {
	return slices.IndexFunc(a.list, func(x arg) bool { return x.name == name })
}

// Remove implements Set.
func (a *Args) Remove(name string) {
	n := len(a.list)
	a.list = slices.DeleteFunc(a.list, func(x arg) bool { return x.name == name })
	a.changed = a.changed || len(a.list) != n
}

// Rename implements Set.
func (a *Args) Rename(from, to string) {
	if from == to || !a.Has(from) {
		return
	}
	a.Remove(to)
	for i, x := range a.list {
		if x.name == from {
			_, value, ok := strings.Cut(x.raw, "=")
			a.list[i] = arg{raw: encode(to), name: to}
			if ok {
				a.list[i].raw += "=" + value
			}
		}
	}
	a.changed = true
}

// Put implements Set.
func (a *Args) Put(name, value string) {
	i := a.index(name)
	if i < 0 {
		a.Append(name, value)
		return
	}
	rest := slices.DeleteFunc(slices.Clone(a.list[i+1:]), func(x arg) bool { return x.name == name })
	a.list = append(append(a.list[:i:i], newArg(name, value)), rest...)
	a.changed = true
}

// Append implements Set.
func (a *Args) Append(name, value string) {
	a.list = append(a.list, newArg(name, value))
	a.changed = true
}

// AppendAll appends the arguments of other, encoded anew.
func (a *Args) AppendAll(other *Args) {
	for _, x := range other.list {
		if x.name == "" {
			continue
		}
		if v := x.value(); v.Bare {
			a.list = append(a.list, arg{raw: encode(x.name), name: x.name})
		} else {
			a.list = append(a.list, newArg(x.name, v.Text))
		}
		a.changed = true
	}
}

func newArg(name, value string) arg {
	return arg{raw: encode(name) + "=" + encode(value), name: name}
}

const hex = "0123456789ABCDEF"

// encode percent-encodes everything but the unreserved characters of RFC 3986.
func encode(s string) string {
	n := 0
	for i := range len(s) {
		if !unreserved(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; unreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// decode makes a space of each +, and a byte of each triplet.
func decode(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			c = ' '
		} else if c == '%' && i+2 < len(s) {
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
			}
		}
		b = append(b, c)
	}
	return string(b)
}

// unhex is the value of a hexadecimal digit, or -1.
func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
