package main

import (
	"fmt"
	"strings"
	"text/template"

	"github.com/outrigger-gateway/outrigger/proto/pdkdef"
)

var mdLanguage = language{
	null: "null", yes: "true", no: "false",
	function: func(f *pdkdef.Function) string {
		return fmt.Sprintf("[`%s`](%s#%s)", f.FullName(), mdFile(f.Namespace), mdAnchor(f))
	},
	param: func(p *pdkdef.Param) string { return "`" + p.Name + "`" },
}

type (
	mdView struct {
		Phases     []string
		Namespaces []mdNamespace
	}
	mdNamespace struct {
		Name, File, Doc string
		Phases          []string
		Functions       []mdFunction
	}
	mdFunction struct {
		Name, Anchor, Doc, Facts string
		Class                    pdkdef.Class
		Marks                    []string // one for each phase
		Go, Python, TypeScript   string
		Params                   []mdParam
		Result                   string
		Errors                   []mdError
	}
	mdParam struct{ Name, Type, Doc string }
	mdError struct{ Kind, When string }
)

func generateMarkdown(templates *template.Template, def *pdkdef.Definition) ([]File, error) {
	view := mdView{Phases: pdkdef.Phases}
	for _, ns := range def.Namespaces {
		v := mdNamespace{Name: ns.Name, File: mdFile(ns), Doc: mdLanguage.say(def, nil, ns.Doc), Phases: pdkdef.Phases}
		for _, f := range ns.Functions {
			v.Functions = append(v.Functions, viewMdFunction(def, f))
		}
		view.Namespaces = append(view.Namespaces, v)
	}
	var files []File
	add := func(name, template string, view any) error {
		text, err := render(templates, template, view)
		if err == nil {
			files = append(files, File{"docs/pdk/" + name, text})
		}
		return err
	}
	if err := add("README.md", "markdown_index.tmpl", view); err != nil {
		return nil, err
	}
	for _, ns := range view.Namespaces {
		if err := add(ns.File, "markdown_namespace.tmpl", ns); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func mdFile(ns *pdkdef.Namespace) string { return pdkdef.Snake(ns.Name) + ".md" }

// mdAnchor is the fragment that Markdown renderers give to a heading that is the function's name.
func mdAnchor(f *pdkdef.Function) string { return strings.ReplaceAll(f.FullName(), ".", "") }

func viewMdFunction(def *pdkdef.Definition, f *pdkdef.Function) mdFunction {
	say := func(text string) string { return strings.ReplaceAll(mdLanguage.say(def, f, text), "|", `\|`) }
	v := mdFunction{
		Name: f.FullName(), Anchor: mdAnchor(f), Doc: mdLanguage.say(def, f, f.Doc), Facts: factsText(f), Class: f.Class,
		Go:         strings.TrimRight("k."+f.Namespace.GoName()+"."+f.GoName()+goParams(f)+" "+goResults(f), " "),
		Python:     strings.TrimSuffix(pySignature("kong."+f.Namespace.Name+"."+f.PythonName(), f, true, true), ":"),
		TypeScript: "kong." + f.Namespace.Name + "." + f.JSName() + "(" + mdTypeScriptParams(f) + "): " + tsResult(f),
	}
	v.Python = strings.NewReplacer("(self, ", "(", "(self)", "()", "|", `\|`).Replace(v.Python)
	v.TypeScript = strings.ReplaceAll(v.TypeScript, "|", `\|`)
	for _, phase := range pdkdef.Phases {
		mark := ""
		for _, allowed := range f.Phases {
			if allowed == phase {
				mark = "✓"
			}
		}
		v.Marks = append(v.Marks, mark)
	}
	for _, p := range f.Params {
		doc := say(p.Doc)
		switch {
		case p.Optional && p.Default != nil:
			doc += fmt.Sprintf("; optional, default `%v`%s", p.Default, mdGoDefault(p))
		case p.Optional:
			doc += "; optional" + mdGoDefault(p)
		}
		v.Params = append(v.Params, mdParam{p.Name, string(p.Type), doc})
	}
	if r := f.Returns; r != nil {
		var parts []string
		if r.Doc != "" {
			parts = append(parts, mdLanguage.say(def, f, r.Doc))
		}
		if r.Nullable {
			parts = append(parts, "`null` when "+mdLanguage.say(def, f, r.Absent))
		}
		v.Result = strings.Join(parts, "; ")
	}
	for _, e := range f.Errors {
		v.Errors = append(v.Errors, mdError{e.Kind, say(e.When)})
	}
	if !f.AnyPhase {
		v.Errors = append(v.Errors, mdError{"wrong_phase", "in another phase"})
	}
	return v
}

func mdTypeScriptParams(f *pdkdef.Function) string {
	var params []string
	for _, p := range f.Params {
		params = append(params, tsParam(p, true))
	}
	return strings.Join(params, ", ")
}

// mdGoDefault says what a Go caller, who cannot leave an argument out, gives instead.
func mdGoDefault(p *pdkdef.Param) string {
	switch p.Default.(type) {
	case int:
		return " (Go: -1)"
	case bool:
		return ""
	case string:
		return ` (Go: "")`
	}
	if p.Type == "string" {
		return ` (Go: "")`
	}
	return " (Go: nil)"
}
