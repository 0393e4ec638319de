package conformance

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/outrigger-gateway/outrigger/pdk"
	driver "github.com/outrigger-gateway/outrigger/pdk/conformance"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
)

// pdkPath is the package that plugins in Go import.
const pdkPath = "github.com/outrigger-gateway/outrigger/pdk"

// typeChecker knows package pdk as the compiler does, to prove that Go refuses a call at compile time.
type typeChecker struct {
	mu  sync.Mutex // an importer is for one goroutine
	pdk types.Importer
}

// newTypeChecker loads the export data of package pdk and of what it imports. dir is in the module.
func newTypeChecker(dir string) (*typeChecker, error) {
	cmd := exec.Command("go", "list", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}}\t{{.Export}}{{end}}", pdkPath)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -export %s: %w", pdkPath, err)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		exports[path] = file
	}
	lookup := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	return &typeChecker{pdk: importer.ForCompiler(token.NewFileSet(), "gc", lookup)}, nil
}

// refused says for each call whether the compiler refuses it.
func (c *typeChecker) refused(calls []vectors.Call) ([]bool, error) {
	const head = 5 // lines before the first call
	var b strings.Builder
	fmt.Fprintf(&b, "package snippet\n\nimport \"%s\"\n\nfunc _(k *pdk.PDK) {\n", pdkPath)
	for i := range calls {
		text, err := snippet(&calls[i])
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "\t%s\n", text)
	}
	b.WriteString("}\n")
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "snippet.go", b.String(), parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("the calls written down in Go: %w\n%s", err, b.String())
	}
	refused := make([]bool, len(calls))
	var elsewhere error
	conf := types.Config{Importer: c.pdk, Error: func(err error) {
		e := err.(types.Error)
		if at := files.Position(e.Pos).Line - head - 1; at >= 0 && at < len(calls) {
			refused[at] = true
		} else {
			elsewhere = err
		}
	}}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = conf.Check("snippet", files, []*ast.File{file}, nil) // the errors are reported one by one
	return refused, elsewhere
}

// expressible is what is left of a vector in Go: nil when the compiler refuses it, the vector itself when it takes everything. Calls that must
// fail and do not compile are left out.
func (c *typeChecker) expressible(v *vectors.Vector) (*vectors.Vector, error) {
	refused, err := c.refused(v.Calls)
	if err != nil || !slices.Contains(refused, true) {
		return v, err
	}
	var doc map[string]json.RawMessage
	var texts, kept []json.RawMessage
	if err := json.Unmarshal(v.Text, &doc); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(doc["calls"], &texts); err != nil {
		return nil, err
	}
	for i := range v.Calls {
		switch {
		case !refused[i]:
			kept = append(kept, texts[i])
		case v.Calls[i].Error == "":
			return nil, nil // without this call the vector is another
		}
	}
	if len(kept) == 0 {
		return nil, nil
	}
	if doc["calls"], err = json.Marshal(kept); err != nil {
		return nil, err
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return vectors.Parse(v.File, text)
}

// snippet is a call as an author would write it in Go.
func snippet(c *vectors.Call) (string, error) {
	namespace, method, err := place(c.Fn)
	if err != nil {
		return "", err
	}
	fixed := method.Type.NumIn()
	if method.Type.IsVariadic() {
		fixed--
	}
	var args []string
	for i := 1; i < fixed; i++ { // 0 is the namespace
		if i-1 < len(c.Args) {
			args = append(args, literal(method.Type.In(i), c.Args[i-1]))
		} else {
			args = append(args, left(method.Type.In(i)))
		}
	}
	if method.Type.IsVariadic() {
		item := method.Type.In(fixed).Elem()
		for _, spelt := range driver.Rest(c.Args, fixed-1, item) {
			args = append(args, literal(item, spelt))
		}
	} else {
		for i := fixed - 1; i < len(c.Args); i++ {
			args = append(args, literal(reflect.TypeFor[any](), c.Args[i]))
		}
	}
	return fmt.Sprintf("k.%s.%s(%s)", namespace, method.Name, strings.Join(args, ", ")), nil
}

// place finds the names of a function in Go: the field of pdk.PDK and the method.
func place(function string) (namespace string, method reflect.Method, err error) {
	plain := func(name string) string { return strings.NewReplacer(".", "", "_", "").Replace(name) }
	dot := max(strings.LastIndexByte(function, '.'), 0)
	field, ok := reflect.TypeFor[pdk.PDK]().FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, plain(function[:dot])) })
	if ok {
		for i := range field.Type.NumMethod() {
			if m := field.Type.Method(i); strings.EqualFold(m.Name, plain(function[dot+1:])) {
				return field.Name, m, nil
			}
		}
	}
	return "", method, fmt.Errorf("the Go PDK has no function %q", function)
}

// left is what an optional argument that is left out has in Go.
func left(want reflect.Type) string {
	switch want.Kind() {
	case reflect.Int:
		return "-1"
	case reflect.Float64:
		return "0"
	case reflect.String:
		return `""`
	case reflect.Bool:
		return "false"
	}
	return "nil"
}

// literal writes a value down for a parameter.
func literal(want reflect.Type, spelt any) string {
	value, err := vectors.Value(spelt)
	if err != nil {
		return fmt.Sprintf("%q", err.Error())
	}
	switch s := spelt.(type) {
	case json.Number:
		return s.String()
	case []any:
		return list(want, s)
	case map[string]any:
		if _, isMap := value.(map[string]any); isMap {
			return dict(want, s)
		}
	}
	switch v := value.(type) {
	case nil:
		if want.Kind() == reflect.Slice || want.Kind() == reflect.Map {
			return "any(nil)" // nil would be an empty list or map, which is another value
		}
		return "nil"
	case string:
		if want == reflect.TypeFor[pdk.QueryValue]() {
			return fmt.Sprintf("pdk.QueryValue{Text: %q}", v)
		}
		return fmt.Sprintf("%q", v)
	case []byte:
		return fmt.Sprintf("[]byte(%q)", v)
	case bool:
		if v && want == reflect.TypeFor[pdk.QueryValue]() {
			return "pdk.QueryValue{Bare: true}"
		}
	}
	return fmt.Sprint(value)
}

func list(want reflect.Type, items []any) string {
	if want.Kind() != reflect.Slice || want.Elem().Kind() == reflect.Uint8 {
		want = reflect.TypeFor[[]any]()
	}
	var parts []string
	for _, item := range items {
		parts = append(parts, literal(want.Elem(), item))
	}
	return typeName(want) + "{" + strings.Join(parts, ", ") + "}"
}

func dict(want reflect.Type, fields map[string]any) string {
	isEntity := want.Kind() == reflect.Pointer && want.Elem().Kind() == reflect.Struct
	if want.Kind() != reflect.Map {
		if !isEntity || want == reflect.TypeFor[*pdk.Credential]() {
			isEntity, want = want == reflect.TypeFor[*pdk.Credential](), reflect.TypeFor[map[string]any]()
			if isEntity {
				return "pdk.CredentialOf(" + dict(want, fields) + ")"
			}
		}
	}
	var parts []string
	for key, item := range fields {
		if isEntity {
			name, field := fieldOf(want.Elem(), key)
			parts = append(parts, name+": "+literal(field, item))
		} else {
			parts = append(parts, fmt.Sprintf("%q: %s", key, literal(want.Elem(), item)))
		}
	}
	body := "{" + strings.Join(parts, ", ") + "}"
	if isEntity {
		return "&" + typeName(want.Elem()) + body
	}
	return typeName(want) + body
}

// fieldOf finds the field of an entity by its name in documents. A field that there is not does not compile.
func fieldOf(t reflect.Type, key string) (string, reflect.Type) {
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name == key {
			return t.Field(i).Name, t.Field(i).Type
		}
	}
	return "No" + strings.ToUpper(key), reflect.TypeFor[any]()
}

// typeName writes a type down; reflect does so with the package's name, as an importer of it would.
func typeName(t reflect.Type) string { return strings.ReplaceAll(t.String(), "interface {}", "any") }
