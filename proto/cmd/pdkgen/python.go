package main

import (
	"fmt"
	"strings"
	"text/template"

	"github.com/outrigger-gateway/outrigger/proto/pdkdef"
)

// Widths of generated Python: prose, and code that stays on one line. Longer calls are split with a trailing comma, which ruff keeps at any line length.
const (
	pyProse = 110
	pyWidth = 118
)

var pyLanguage = language{
	null: "None", yes: "True", no: "False",
	function: func(f *pdkdef.Function) string { return f.Namespace.Name + "." + f.PythonName() },
	param:    func(p *pdkdef.Param) string { return p.Name },
}

var pyTypes = map[pdkdef.Type]string{
	"string": "str", "int": "int", "float": "float", "bool": "bool", "bytes": "bytes", "any": "Any", "log_args": "object",
	"map": "dict[str, Any]", "strings": "list[str]",
}

var pyErrors = map[string]string{"bad_argument": "ArgError", "bad_data": "DataError", "host_error": "HostError"}

type (
	pyView struct {
		Values     []string
		Any        bool // the type Any is used
		NoReturn   bool
		Namespaces []pyNamespace
		Groups     []pyGroup
		Members    []*node
		Phases     []string
	}
	pyNamespace struct {
		Name, Class, Base string // Base: what the blocking and the async class share
		Doc               string
		HasAsk            bool
		Local, Asks       []pyFunction
		All               []pyFunction
	}
	pyGroup struct {
		*node
		Base, AsyncBase string // class of the node's own functions; "" when it has none
	}
	pyFunction struct {
		Name, Method, Backend, Constant string // request.get_header, get_header, request_get_header, REQUEST_GET_HEADER
		Signature, AsyncSignature       string
		Declared, DeclaredAsync         string // in the backend
		Doc                             string
		Call                            string // "name"
		Answers                         bool
		Class                           pdkdef.Class
		Phases                          string
		Op, Ask, Level                  int
	}
)

func generatePython(templates *template.Template, def *pdkdef.Definition) ([]File, error) {
	root := tree(def)
	view := pyView{Values: usedValues(def), Members: root.Children, Phases: pdkdef.Phases}
	for _, ns := range def.Namespaces {
		view.Namespaces = append(view.Namespaces, viewPyNamespace(def, ns))
	}
	for _, n := range root.groups() {
		g := pyGroup{node: n}
		if n.Space != nil {
			g.Base, g.AsyncBase = n.Space.ClassName(), n.Space.ClassName()
			if n.Space.HasAsk() {
				g.AsyncBase = "Async" + g.AsyncBase
			}
		}
		view.Groups = append(view.Groups, g)
	}
	for _, f := range def.Functions() {
		view.NoReturn = view.NoReturn || f.Class == pdkdef.Exit
		view.Any = view.Any || strings.Contains(pySignature("", f, true, true), "Any")
	}
	var files []File
	for _, name := range []string{"__init__", "backend", "pdk", "functions"} {
		text, err := render(templates, "python_"+strings.Trim(name, "_")+".tmpl", view)
		if err != nil {
			return nil, err
		}
		files = append(files, File{"sdk-python/src/outrigger/_gen/" + name + ".py", text})
	}
	return files, nil
}

func viewPyNamespace(def *pdkdef.Definition, ns *pdkdef.Namespace) pyNamespace {
	v := pyNamespace{Name: ns.Name, Class: ns.ClassName(), Base: ns.ClassName(), HasAsk: ns.HasAsk()}
	if v.HasAsk {
		v.Base = "_" + v.Class + "Local"
	}
	v.Doc = pyDocstring(pyLanguage.say(def, nil, ns.Doc), "    ")
	for _, f := range ns.Functions {
		async := f.Class == pdkdef.Ask
		fn := pyFunction{
			Name: f.FullName(), Method: f.PythonName(), Backend: f.PythonFullName(), Constant: strings.ToUpper(f.PythonFullName()),
			Signature:     pySignature("    def "+f.PythonName(), f, true, false),
			Declared:      pySignature("    def "+f.PythonFullName(), f, false, false),
			DeclaredAsync: pySignature("    async def "+f.PythonFullName()+"_async", f, false, false),
			Doc:           pyDoc(def, f),
			Call:          pyCall(f),
			Answers:       f.Returns != nil,
			Class:         f.Class,
			Phases:        pyPhases(f),
			Op:            f.Op, Ask: f.Ask, Level: f.Level,
		}
		v.All = append(v.All, fn)
		if async {
			fn.AsyncSignature = pySignature("    async def "+f.PythonName(), f, true, false)
			v.Asks = append(v.Asks, fn)
		} else {
			v.Local = append(v.Local, fn)
		}
	}
	return v
}

func pyType(t pdkdef.Type) string {
	if name, ok := valueTypes[t]; ok {
		return name
	}
	return pyTypes[t]
}

// pyParam is the declaration of one parameter, for the surface with its default.
func pyParam(p *pdkdef.Param, surface bool) string {
	if p.Type == "log_args" {
		return "*" + p.Name + ": object"
	}
	s, null := p.Name+": "+pyType(p.Type), p.Optional && p.Default == nil
	if null && p.Type != "exit_body" {
		s += " | None"
	}
	if surface && p.Optional {
		s += " = " + pyLiteral(p.Default)
	}
	return s
}

func pyLiteral(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(v)
}

func pyResult(f *pdkdef.Function) string {
	switch {
	case f.Class == pdkdef.Exit:
		return "NoReturn"
	case f.Returns == nil:
		return "None"
	case f.Returns.Nullable && f.Returns.Type != "any":
		return pyType(f.Returns.Type) + " | None"
	}
	return pyType(f.Returns.Type)
}

// pySignature is the head of a method up to its colon. The backend's parameters are positional: its implementation may name them as it likes.
func pySignature(head string, f *pdkdef.Function, surface, oneLine bool) string {
	params := []string{"self"}
	positional := false
	for _, p := range f.Params {
		params = append(params, pyParam(p, surface))
		positional = positional || !surface && p.Type != "log_args"
	}
	if positional {
		params = append(params, "/")
	}
	s := head + "(" + strings.Join(params, ", ") + ") -> " + pyResult(f) + ":"
	if len(s) <= pyWidth || oneLine {
		return s
	}
	return head + "(\n        " + strings.Join(params, ",\n        ") + ",\n    ) -> " + pyResult(f) + ":"
}

func pyCall(f *pdkdef.Function) string {
	var args []string
	for _, p := range f.Params {
		if p.Type == "log_args" {
			args = append(args, "*"+p.Name)
			continue
		}
		args = append(args, p.Name)
	}
	return strings.Join(args, ", ")
}

func pyPhases(f *pdkdef.Function) string {
	if f.AnyPhase {
		return "EVERY_PHASE"
	}
	return strings.ToUpper(strings.Join(f.Phases, " | "))
}

// pyDoc is the docstring of a method in Google's style, indented for a method body.
func pyDoc(def *pdkdef.Definition, f *pdkdef.Function) string {
	const indent, deep, deeper = "        ", "            ", "                "
	say := func(text string) string { return pyLanguage.say(def, f, text) }
	lines := strings.Split(pySummary(say(f.Doc), indent), "\n")
	section := func(title string, items []string) {
		if len(items) == 0 {
			return
		}
		lines = append(lines, "", indent+title+":")
		for _, item := range items {
			lines = append(lines, wrap(item, pyProse, deep, deeper)...)
		}
	}
	var args, returns, raises []string
	for _, p := range f.Params {
		args = append(args, p.Name+": "+say(p.Doc))
	}
	section("Args", args)
	if r := f.Returns; r != nil {
		var parts []string
		if r.Doc != "" {
			parts = append(parts, say(r.Doc))
		}
		if r.Nullable {
			parts = append(parts, "None when "+say(r.Absent))
		}
		if len(parts) > 0 {
			returns = wrap(upperFirst(strings.Join(parts, "; "))+".", pyProse-len(deep), "", "")
		}
	}
	section("Returns", returns)
	for _, e := range f.Errors {
		raises = append(raises, pyErrors[e.Kind]+": "+say(e.When))
	}
	if !f.AnyPhase {
		raises = append(raises, "PhaseError: in another phase")
	}
	section("Raises", raises)
	lines = append(lines, "")
	lines = append(lines, wrap(factsText(f), pyProse, indent, indent)...)
	doc := strings.Join(append(lines, indent+`"""`), "\n")
	if strings.Contains(doc, `\`) {
		doc = strings.Replace(doc, `"""`, `r"""`, 1)
	}
	return doc
}

// pySummary opens a docstring: all of the text if it fits on one line, else its first sentence, a blank line and the rest.
func pySummary(text, indent string) string {
	if len(indent)+len(text)+6 <= pyProse {
		return indent + `"""` + text
	}
	first := firstSentence(text)
	lines := wrap(first, pyProse, indent+`"""`, indent)
	if rest := strings.TrimSpace(text[len(first):]); rest != "" {
		lines = append(append(lines, ""), wrap(rest, pyProse, indent, indent)...)
	}
	return strings.Join(lines, "\n")
}

// pyDocstring is a docstring of prose alone.
func pyDocstring(text, indent string) string {
	s := pySummary(text, indent)
	if strings.Contains(s, "\n") {
		return s + "\n" + indent + `"""`
	}
	return s + `"""`
}
