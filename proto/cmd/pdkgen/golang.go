package main

import (
	"fmt"
	"go/format"
	"strings"
	"text/template"

	"github.com/outrigger-gateway/outrigger/proto/pdkdef"
)

// goWidth is the width of comments in generated Go.
const goWidth = 110

var goLanguage = language{
	null: "nil", yes: "true", no: "false",
	function: func(f *pdkdef.Function) string { return f.Namespace.GoName() + "." + f.GoName() },
	param:    goParam,
}

var goTypes = map[pdkdef.Type]string{
	"string": "string", "int": "int", "float": "float64", "bool": "bool", "bytes": "[]byte", "any": "any",
	"log_args": "...any", "header_values": "...string", "header_map": "map[string][]string", "query_map": "map[string][]QueryValue",
	"map": "map[string]any", "strings": "[]string", "exit_body": "any", "multi_map": "MultiMap", "query": "Query", "query_value": "QueryValue", "captures": "Captures",
	"route": "*Route", "service": "*Service", "consumer": "*Consumer", "credential": "*Credential",
	"consumer_group": "*ConsumerGroup", "consumer_groups": "[]*ConsumerGroup", "body": "Body", "reference": "Reference", "span": "*Span",
}

var goErrors = map[string]string{"bad_argument": "ErrArg", "bad_data": "ErrData", "host_error": "ErrHost"}

// The views are what the templates see.
type (
	goView struct {
		Namespaces []goNamespace
	}
	goNamespace struct {
		Name, GoName, Class, Title string
		Comment                    []string
		Functions                  []goFunction
	}
	goFunction struct {
		Name, GoName, FullName string // request.get_header, GetHeader, RequestGetHeader
		Comment                []string
		Params, Results        string // "(name string)", "(string, bool)"
		Args                   string // "(name)"
		Answers                bool
		Row                    string // of the table
		Op, Ask                int
		AsksItself             bool // the question is its own
	}
)

func generateGo(templates *template.Template, def *pdkdef.Definition) ([]File, error) {
	view := goView{}
	for _, ns := range def.Namespaces {
		view.Namespaces = append(view.Namespaces, viewGoNamespace(def, ns))
	}
	var files []File
	add := func(path, template string, view any) error {
		text, err := render(templates, template, view)
		if err != nil {
			return err
		}
		formatted, err := format.Source(text)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		files = append(files, File{path, formatted})
		return nil
	}
	if err := add("pdk/backend_gen.go", "go_backend.tmpl", view); err != nil {
		return nil, err
	}
	if err := add("pdk/functions_gen.go", "go_functions.tmpl", view); err != nil {
		return nil, err
	}
	for _, ns := range view.Namespaces {
		if err := add("pdk/"+pdkdef.Snake(ns.Name)+"_gen.go", "go_namespace.tmpl", ns); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func viewGoNamespace(def *pdkdef.Definition, ns *pdkdef.Namespace) goNamespace {
	doc := goLanguage.say(def, nil, ns.Doc)
	v := goNamespace{Name: ns.Name, GoName: ns.GoName(), Class: ns.ClassName(), Title: firstSentence(doc)}
	v.Comment = wrap(fmt.Sprintf("%s is the namespace %s. %s", ns.ClassName(), ns.Name, doc), goWidth, "// ", "// ")
	for _, f := range ns.Functions {
		v.Functions = append(v.Functions, goFunction{
			Name: f.FullName(), GoName: f.GoName(), FullName: f.GoFullName(),
			Comment: goComment(def, f),
			Params:  goParams(f), Results: goResults(f), Args: goArgs(f),
			Answers: f.Returns != nil || f.ReturnsError(),
			Row:     goRow(def, f), Op: f.Op, Ask: f.Ask, AsksItself: f.Ask != 0 && f.Via == "",
		})
	}
	return v
}

// goParam is the name of a parameter in Go; header values are variadic and get a plural.
func goParam(p *pdkdef.Param) string {
	name := pdkdef.LowerCamel(p.Name)
	if p.Type == "header_values" {
		name += "s"
	}
	return name
}

func goParams(f *pdkdef.Function) string {
	var params []string
	for i, p := range f.Params {
		param := goParam(p)
		if i == len(f.Params)-1 || goTypes[p.Type] != goTypes[f.Params[i+1].Type] {
			param += " " + goTypes[p.Type]
		}
		params = append(params, param)
	}
	return "(" + strings.Join(params, ", ") + ")"
}

func goArgs(f *pdkdef.Function) string {
	var args []string
	for _, p := range f.Params {
		arg := goParam(p)
		if strings.HasPrefix(goTypes[p.Type], "...") {
			arg = "borrowed(" + arg + ")..."
		}
		args = append(args, arg)
	}
	return "(" + strings.Join(args, ", ") + ")"
}

// goNullIsNil reports whether the Go type has a nil that stands for null, so that no second result is needed.
func goNullIsNil(t pdkdef.Type) bool {
	return t == "any" || t == "bytes" || strings.HasPrefix(goTypes[t], "*") || strings.HasPrefix(goTypes[t], "map") || strings.HasPrefix(goTypes[t], "[]")
}

func goResults(f *pdkdef.Function) string {
	var results []string
	if f.Returns != nil {
		results = append(results, goTypes[f.Returns.Type])
		if f.Returns.Nullable && !goNullIsNil(f.Returns.Type) {
			results = append(results, "bool")
		}
	}
	if f.ReturnsError() {
		results = append(results, "error")
	}
	if len(results) > 1 {
		return "(" + strings.Join(results, ", ") + ")"
	}
	return strings.Join(results, "")
}

// goDefault says which argument stands for a left-out optional parameter.
func goDefault(p *pdkdef.Param) string {
	if !p.Optional {
		return ""
	}
	switch d := p.Default.(type) {
	case int:
		return fmt.Sprintf("; -1: %d", d)
	case string:
		return fmt.Sprintf(`; "": %s`, d)
	case nil:
		if p.Type == "string" {
			return `; "": left out`
		}
		if !strings.Contains(p.Doc, "{null}") {
			return "; nil: none"
		}
	}
	return ""
}

// goComment is the doc comment of a method.
func goComment(def *pdkdef.Definition, f *pdkdef.Function) []string {
	say := func(text string) string { return goLanguage.say(def, f, text) }
	lines := wrap(f.GoName()+" "+lowerFirst(say(f.Doc)), goWidth, "// ", "// ")
	var items []string
	for _, p := range f.Params {
		items = append(items, goParam(p)+": "+say(p.Doc)+goDefault(p))
	}
	if r := f.Returns; r != nil && (r.Doc != "" || r.Nullable) {
		item := "result: " + say(r.Doc)
		if r.Nullable {
			if r.Doc != "" {
				item += "; "
			}
			absent := "false"
			if goNullIsNil(r.Type) {
				absent = "nil"
			}
			item += absent + " when " + say(r.Absent)
		}
		items = append(items, item)
	}
	if len(items) > 0 {
		lines = append(lines, "//")
		for _, item := range items {
			lines = append(lines, wrap(item, goWidth, "//   - ", "//     ")...)
		}
	}
	lines = append(lines, "//")
	return append(lines, wrap(strings.TrimSpace(goFailure(f, say)+" "+factsText(f)), goWidth, "// ", "// ")...)
}

// goFailure says with which errors a method fails.
func goFailure(f *pdkdef.Function, say func(string) string) string {
	if !f.ReturnsError() {
		if f.AnyPhase {
			return ""
		}
		return "In another phase it returns the zero value, and the handler fails with ErrPhase."
	}
	var cases []string
	for _, e := range f.Errors {
		cases = append(cases, goErrors[e.Kind]+" when "+say(e.When))
	}
	if !f.AnyPhase {
		cases = append(cases, "ErrPhase in another phase")
	}
	exit := ""
	if f.Class == pdkdef.Exit {
		exit = "The handler goes on after it: return at once. "
	}
	if len(cases) == 0 {
		return exit + "It fails with ErrPhase when the handler has ended."
	}
	return exit + "It fails with " + strings.Join(cases, "; with ") + "."
}

// goRow is the function's row in the table of functions.
func goRow(def *pdkdef.Definition, f *pdkdef.Function) string {
	phases := "everyPhase"
	if !f.AnyPhase {
		var names []string
		for _, name := range f.Phases {
			names = append(names, "Phase"+pdkdef.Camel(name))
		}
		phases = strings.Join(names, " | ")
	}
	row := fmt.Sprintf("Name: %q, Class: Class%s, Phases: %s", f.FullName(), pdkdef.Camel(string(f.Class)), phases)
	if f.Op != 0 {
		row += ", Op: Op" + f.GoFullName()
	}
	if asked := f; f.Ask != 0 {
		if f.Via != "" {
			asked = def.Lookup(f.Via)
		}
		row += ", Ask: Ask" + asked.GoFullName()
	}
	if f.Level != 0 {
		row += fmt.Sprintf(", Level: %d", f.Level)
	}
	return row
}
