package main

import (
	"fmt"
	"strings"
	"text/template"

	"github.com/outrigger-gateway/outrigger/proto/pdkdef"
)

// tsWidth is the line width of the project's biome settings, for code and prose: biome joins what fits and splits what does not.
const tsWidth = 120

var tsLanguage = language{
	null: "null", yes: "true", no: "false",
	function: func(f *pdkdef.Function) string { return f.Namespace.Name + "." + f.JSName() },
	param:    func(p *pdkdef.Param) string { return pdkdef.LowerCamel(p.Name) },
}

var tsTypes = map[pdkdef.Type]string{
	"string": "string", "int": "number", "float": "number", "bool": "boolean", "bytes": "Uint8Array", "any": "unknown",
	"log_args": "unknown[]", "map": "Record<string, unknown>", "strings": "readonly string[]",
}

var tsErrors = pyErrors

type (
	tsView struct {
		Import     string
		Namespaces []tsNamespace
		Groups     []pyGroup
		Members    []*node
		Phases     []string
	}
	tsNamespace struct {
		Name, Class string
		Doc         []string
		Functions   []tsFunction
	}
	tsFunction struct {
		Name, Method, Backend, Constant string // request.get_header, getHeader, requestGetHeader, REQUEST_GET_HEADER
		Signature, Declared             string
		Doc                             []string
		Call                            string
		Row                             string // of the table
		Answers                         bool
		Op, Ask                         int
	}
)

func generateTypeScript(templates *template.Template, def *pdkdef.Definition) ([]File, error) {
	root := tree(def)
	view := tsView{Members: root.Children, Phases: pdkdef.Phases}
	if values := usedValues(def); len(values) > 0 {
		view.Import = fit("", "import type { ", values, " } from \"../values.js\";") + "\n"
	}
	for _, ns := range def.Namespaces {
		v := tsNamespace{Name: ns.Name, Class: ns.ClassName(), Doc: tsComment(wrap(tsLanguage.say(def, nil, ns.Doc), tsWidth-3, "", ""), "")}
		for _, f := range ns.Functions {
			v.Functions = append(v.Functions, tsFunction{
				Name: f.FullName(), Method: f.JSName(), Backend: f.JSFullName(), Constant: strings.ToUpper(pdkdef.Snake(f.FullName())),
				Signature: tsSignature(f.JSName(), f, true), Declared: tsSignature(f.JSFullName(), f, false),
				Doc:     tsDoc(def, f),
				Call:    tsCall(f),
				Row:     tsRow(f),
				Answers: f.Returns != nil || f.Class == pdkdef.Exit || f.Class == pdkdef.Ask,
				Op:      f.Op, Ask: f.Ask,
			})
		}
		view.Namespaces = append(view.Namespaces, v)
	}
	for _, n := range root.groups() {
		g := pyGroup{node: n}
		if n.Space != nil {
			g.Base = n.Space.ClassName()
		}
		view.Groups = append(view.Groups, g)
	}
	var files []File
	for _, name := range []string{"backend", "pdk", "functions"} {
		text, err := render(templates, "typescript_"+name+".tmpl", view)
		if err != nil {
			return nil, err
		}
		files = append(files, File{"sdk-js/src/gen/" + name + ".ts", text})
	}
	return files, nil
}

// fit puts a list between open and end on one line, or on one line each when that is too long.
func fit(indent, open string, items []string, end string) string {
	if s := indent + open + strings.Join(items, ", ") + end; len(s) <= tsWidth || len(items) == 0 {
		return s
	}
	return indent + strings.TrimRight(open, " ") + "\n" + indent + "  " + strings.Join(items, ",\n"+indent+"  ") + ",\n" + indent + strings.TrimLeft(end, " ")
}

func tsType(t pdkdef.Type) string {
	if name, ok := valueTypes[t]; ok {
		return name
	}
	return tsTypes[t]
}

func tsParam(p *pdkdef.Param, surface bool) string {
	name := pdkdef.LowerCamel(p.Name)
	if p.Type == "log_args" {
		return "..." + name + ": unknown[]"
	}
	if !p.Optional {
		return name + ": " + tsType(p.Type)
	}
	switch d := p.Default.(type) {
	case nil:
		s := name + ": " + tsType(p.Type)
		if p.Type != "exit_body" {
			s += " | null"
		}
		if surface {
			s += " = null"
		}
		return s
	default:
		if !surface {
			return name + ": " + tsType(p.Type)
		}
		if text, ok := d.(string); ok {
			return fmt.Sprintf("%s = %q", name, text)
		}
		return fmt.Sprintf("%s = %v", name, d)
	}
}

func tsResult(f *pdkdef.Function) string {
	s := "void"
	switch {
	case f.Class == pdkdef.Exit:
		s = "never"
	case f.Returns != nil:
		s = tsType(f.Returns.Type)
		if f.Returns.Nullable && f.Returns.Type != "any" {
			s += " | null"
		}
	}
	if f.Class == pdkdef.Ask {
		return "Promise<" + s + ">"
	}
	return s
}

// tsSignature is the head of a method: up to the brace of the surface, or the whole declaration of the backend.
func tsSignature(name string, f *pdkdef.Function, surface bool) string {
	var params []string
	for _, p := range f.Params {
		params = append(params, tsParam(p, surface))
	}
	end := "): " + tsResult(f)
	if surface {
		end += " {"
	} else {
		end += ";"
	}
	return fit("  ", name+"(", params, end)
}

func tsCall(f *pdkdef.Function) string {
	var args []string
	for _, p := range f.Params {
		arg := pdkdef.LowerCamel(p.Name)
		if p.Type == "log_args" {
			arg = "..." + arg
		}
		args = append(args, arg)
	}
	return strings.Join(args, ", ")
}

func tsRow(f *pdkdef.Function) string {
	return fit("  ", f.JSFullName()+": { ", []string{
		fmt.Sprintf("name: %q", f.FullName()),
		fmt.Sprintf("class: %q", f.Class),
		fmt.Sprintf("phases: 0x%02x", phaseBits(f)),
		fmt.Sprintf("op: %d", f.Op),
		fmt.Sprintf("ask: %d", f.Ask),
		fmt.Sprintf("level: %d", f.Level),
	}, " },")
}

// tsDoc is the TSDoc comment of a method.
func tsDoc(def *pdkdef.Definition, f *pdkdef.Function) []string {
	const width = tsWidth - 5
	say := func(text string) string { return tsLanguage.say(def, f, text) }
	lines := append(wrap(say(f.Doc), width, "", ""), "")
	tag := func(text string) { lines = append(lines, wrap(text, width, "", "  ")...) }
	for _, p := range f.Params {
		tag("@param " + pdkdef.LowerCamel(p.Name) + " - " + say(p.Doc))
	}
	if r := f.Returns; r != nil {
		var parts []string
		if r.Doc != "" {
			parts = append(parts, say(r.Doc))
		}
		if r.Nullable {
			parts = append(parts, "null when "+say(r.Absent))
		}
		if len(parts) > 0 {
			tag("@returns " + strings.Join(parts, "; "))
		}
	}
	for _, e := range f.Errors {
		tag("@throws " + tsErrors[e.Kind] + " when " + say(e.When))
	}
	if !f.AnyPhase {
		tag("@throws PhaseError in another phase")
	}
	tag("@remarks " + factsText(f))
	return tsComment(lines, "  ")
}

// tsComment frames lines as a block comment.
func tsComment(lines []string, indent string) []string {
	if len(lines) == 1 {
		if s := indent + "/** " + lines[0] + " */"; len(s) <= tsWidth {
			return []string{s}
		}
	}
	framed := []string{indent + "/**"}
	for _, line := range lines {
		framed = append(framed, strings.TrimRight(indent+" * "+line, " "))
	}
	return append(framed, indent+" */")
}
