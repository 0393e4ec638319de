package pdkdef

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// InvalidError lists everything that is wrong with a definition, in order of place.
type InvalidError struct {
	Problems []Problem
}

func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

var (
	namespacePattern = regexp.MustCompile(`^[a-z][a-z0-9]*(\.[a-z][a-z0-9]*)*$`)
	namePattern      = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	overridePattern  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)
)

// Load reads every *.yaml of the directory dir of fsys and checks them. The error is an *InvalidError when the text is at fault.
func Load(fsys fs.FS, dir string) (*Definition, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("pdk definition %s: %w", dir, err)
	}
	def := &Definition{}
	var problems []Problem
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".yaml") {
			continue
		}
		name := e.Name()
		if dir != "." {
			name = dir + "/" + name
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("pdk definition: %w", err)
		}
		r := &reader{file: name}
		def.Namespaces = append(def.Namespaces, r.documents(text)...)
		problems = append(problems, r.problems...)
	}
	if len(def.Namespaces) == 0 && len(problems) == 0 {
		return nil, fmt.Errorf("pdk definition %s: no namespace found, expected *.yaml files with one per document", dir)
	}
	slices.SortStableFunc(def.Namespaces, func(a, b *Namespace) int { return strings.Compare(a.Name, b.Name) })
	problems = append(problems, check(def)...)
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b Problem) int {
			if c := strings.Compare(a.Pos.File, b.Pos.File); c != 0 {
				return c
			}
			return a.Pos.Line - b.Pos.Line
		})
		return nil, &InvalidError{problems}
	}
	return def, nil
}

// documents reads the documents of one file.
func (r *reader) documents(text []byte) []*Namespace {
	var all []*Namespace
	for _, n := range r.parse(text) {
		if ns := r.namespace(n); ns != nil {
			all = append(all, ns)
		}
	}
	return all
}

func (r *reader) namespace(n *yaml.Node) *Namespace {
	o := r.object(n, "namespace", "namespace", "doc", "go", "class", "functions")
	if o == nil {
		return nil
	}
	ns := &Namespace{Name: o.text("namespace", true), Pos: o.place("namespace")}
	o.what = "namespace " + ns.Name
	o.pattern("namespace", ns.Name, namespacePattern)
	ns.Doc = o.sentence("doc")
	ns.Go, ns.Class = o.override("go"), o.override("class")
	functions := o.list("functions")
	if !o.has("functions") {
		o.failf(o.at, "%s: %q is missing", o.what, "functions")
	}
	for _, n := range functions {
		if f := r.function(ns, n); f != nil {
			ns.Functions = append(ns.Functions, f)
		}
	}
	return ns
}

func (r *reader) function(ns *Namespace, n *yaml.Node) *Function {
	o := r.entries(n, "function of "+ns.Name)
	if o == nil {
		return nil
	}
	f := &Function{Namespace: ns, Name: o.text("name", true), Pos: o.place("name")}
	if f.Name != "" {
		o.what = "function " + f.FullName()
	}
	o.only("name", "class", "op", "ask", "via", "level", "phases", "params", "returns", "errors", "go", "python", "js", "doc", "source")
	o.pattern("name", f.Name, namePattern)
	f.Class = Class(o.oneOf("class", classes, true))
	f.Op = o.number("op", 1, 65535)
	f.Ask = o.number("ask", 1, 65535)
	f.Via = o.text("via", false)
	f.Level = o.number("level", 0, len(Levels)-1)
	if (f.Class == Notice) != o.has("level") {
		o.failf(o.at, "%s: %q goes with class notice, and only there", o.what, "level")
	}
	f.Phases, f.AnyPhase = o.phases()
	for _, n := range o.list("params") {
		if p := r.param(o.what, n); p != nil {
			f.Params = append(f.Params, p)
		}
	}
	f.Returns = o.returns()
	f.Errors = o.failures()
	f.Go, f.Python, f.JS = o.override("go"), o.override("python"), o.override("js")
	f.Doc = o.sentence("doc")
	f.Source = o.text("source", false)
	return f
}

func (o *object) phases() (phases []string, any bool) {
	if !o.has("phases") {
		return Phases, true
	}
	last := -1
	for _, n := range o.list("phases") {
		name, _ := scalar(n).(string)
		i := slices.Index(Phases, name)
		switch {
		case i < 0:
			o.failf(o.pos(n), "%s: unknown phase %q%s", o.what, n.Value, hint(name, Phases))
		case i <= last:
			o.failf(o.pos(n), "%s: phase %s stands behind %s; expected request order, each once", o.what, name, Phases[last])
		default:
			phases, last = append(phases, name), i
		}
	}
	if len(phases) == len(Phases) {
		o.failf(o.place("phases"), "%s: all phases are named; leave phases out", o.what)
	}
	return phases, false
}

func (r *reader) param(what string, n *yaml.Node) *Param {
	o := r.object(n, what+": parameter", "name", "type", "doc", "optional", "default")
	if o == nil {
		return nil
	}
	p := &Param{Name: o.text("name", true), Pos: o.at}
	o.what = what + ": parameter " + p.Name
	o.pattern("name", p.Name, namePattern)
	if slices.Contains(reserved, p.Name) {
		o.failf(o.place("name"), "%s: the name is a word of one of the languages; expected another", o.what)
	}
	p.Type = Type(o.oneOf("type", paramTypes, true))
	p.Doc = o.text("doc", true)
	p.Optional = o.truth("optional")
	if o.has("default") {
		p.Default = scalar(o.values["default"])
		if !p.Optional {
			o.failf(o.place("default"), "%s: only an optional parameter has a default", o.what)
		}
		if want := zero(p.Type); want == nil || fmt.Sprintf("%T", want) != fmt.Sprintf("%T", p.Default) {
			o.failf(o.place("default"), "%s: default is %s, which is no %s", o.what, kindOf(o.values["default"]), p.Type)
		}
	}
	return p
}

// zero is a value of the Go type that a default of type t has; nil for types without defaults.
func zero(t Type) any {
	switch t {
	case "string":
		return ""
	case "int":
		return 0
	case "float":
		return 0.0
	case "bool":
		return false
	}
	return nil
}

func (o *object) returns() *Returns {
	n, ok := o.values["returns"]
	if !ok {
		return nil
	}
	ret := o.object(n, o.what+": returns", "type", "nullable", "absent", "doc")
	if ret == nil {
		return nil
	}
	v := &Returns{Type: Type(ret.oneOf("type", returnTypes, true)), Pos: ret.at}
	v.Nullable = ret.truth("nullable")
	v.Doc = ret.text("doc", false)
	v.Absent = ret.text("absent", v.Nullable)
	if v.Absent != "" && !v.Nullable {
		o.failf(ret.place("absent"), "%s: absent goes with nullable: true", ret.what)
	}
	if v.Nullable && slices.Contains(neverNull, string(v.Type)) {
		o.failf(ret.place("nullable"), "%s: a %s is empty, never null", ret.what, v.Type)
	}
	return v
}

func (o *object) failures() []Failure {
	n, ok := o.values["errors"]
	if !ok {
		return nil
	}
	kinds := o.object(n, o.what+": errors", ErrorKinds...)
	if kinds == nil {
		return nil
	}
	var all []Failure
	for _, kind := range kinds.keys {
		all = append(all, Failure{kind, kinds.text(kind, true), kinds.places[kind]})
	}
	return all
}

// sentence reads a required text that starts with a capital letter and ends with a full stop.
func (o *object) sentence(key string) string {
	s := o.text(key, true)
	if s != "" && (s[0] < 'A' || s[0] > 'Z' || s[len(s)-1] != '.') {
		o.failf(o.place(key), "%s: %s %q: expected a sentence, with a capital letter and a full stop", o.what, key, s)
	}
	return s
}

func (o *object) override(key string) string {
	s := o.text(key, false)
	if s != "" {
		o.pattern(key, s, overridePattern)
	}
	return s
}

func (o *object) pattern(key, value string, p *regexp.Regexp) {
	if value != "" && !p.MatchString(value) {
		o.failf(o.place(key), "%s: %s %q is no name; expected %s", o.what, key, value, p)
	}
}
