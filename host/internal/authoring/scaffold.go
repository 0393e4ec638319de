package authoring

import (
	"archive/zip"
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

//go:embed scaffold
var templates embed.FS

// file is one file of a new plugin.
type file struct {
	name     string // in the plugin's directory
	template string // below scaffold/, without .tmpl
	doc      string // for the plugin's README; empty: not listed there
}

// layout is what a new plugin in a language is made of.
type layout struct {
	title   string
	command string // what serves it, as in outrigger.yaml
	ignored []string
	files   []file
}

var common = []file{
	{"README.md", "all/README.md", ""},
	{"outrigger.yaml", "all/outrigger.yaml", ""},
	{"gateway.yaml", "all/gateway.yaml", ""},
	{".gitignore", "all/gitignore", ""},
}

var layouts = map[Language]layout{
	Go: {"Go", ".outrigger/bin/plugin", []string{".outrigger/"}, []file{
		{"plugin.go", "go/plugin.go", "the plugin"},
		{"plugin_test.go", "go/plugin_test.go", "its unit tests"},
		{"main.go", "go/main.go", "makes a plugin server of it"},
		{"go.mod", "go/go.mod", ""},
	}},
	Python: {"Python", ".venv/bin/python, -m, outrigger, serve, plugin.py", []string{".outrigger/", ".venv/", "__pycache__/"}, []file{
		{"plugin.py", "python/plugin.py", "the plugin"},
		{"test_plugin.py", "python/test_plugin.py", "its unit tests"},
		{"requirements.txt", "python/requirements.txt", "what it needs"},
		{"pyproject.toml", "python/pyproject.toml", "how tests and type checker run"},
	}},
	JavaScript: {"JavaScript", "node, node_modules/.bin/outrigger-js, serve, .", []string{".outrigger/", "node_modules/"}, []file{
		{"plugin.js", "js/plugin.js", "the plugin"},
		{"plugin.test.js", "node/plugin.test", "its unit tests"},
		{"package.json", "js/package.json", "what it needs"},
	}},
	TypeScript: {"TypeScript", "node, node_modules/.bin/outrigger-js, serve, .", []string{".outrigger/", "node_modules/", "dist/"}, []file{
		{"src/plugin.ts", "ts/plugin.ts", "the plugin"},
		{"src/plugin.test.ts", "node/plugin.test", "its unit tests"},
		{"package.json", "ts/package.json", "what it needs"},
		{"tsconfig.json", "ts/tsconfig.json", "how it is compiled"},
	}},
}

// values fills the templates.
type values struct {
	Name, Title, Command string
	Ignored              []string
	Files                []listed
	module
}

// YAMLName is the name as YAML reads it as a text: 123, 1.0 and null are something else there.
func (v values) YAMLName() string {
	words := []string{"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
	if v.Name[0] <= '9' || slices.Contains(words, v.Name) {
		return strconv.Quote(v.Name)
	}
	return v.Name
}

// listed is a line of the plugin's README.
type listed struct{ Name, Doc string }

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

// CheckName is an error for a text that cannot name a plugin in every language.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf(`found the plugin name %q; expected lower-case letters, digits, "-", "_" and ".", beginning with a letter or digit, such as "my-plugin"`, name)
	}
	return nil
}

// New writes a new plugin into dir, with the SDK of this program in its hidden folder. dir is made if it is not there; one with files in it is
// refused. Nothing is fetched over the network, and when it fails a directory that it made is gone again.
func New(name string, l Language, dir string) error { return create(name, l, dir, embedded()) }

func create(name string, l Language, dir string, kits fs.FS) (err error) {
	if err := CheckName(name); err != nil {
		return err
	}
	k, err := kitOf(kits, l)
	if err != nil {
		return err
	}
	made, err := makeEmpty(dir)
	if err != nil {
		return fmt.Errorf("making the plugin %q: %w", name, err)
	}
	if err := write(name, l, dir, k, kits); err != nil {
		if made {
			err = errors.Join(err, os.RemoveAll(dir))
		}
		return fmt.Errorf("making the plugin %q: %w", name, err)
	}
	return nil
}

// makeEmpty makes a directory, or takes one in which there is nothing but perhaps a git repository.
func makeEmpty(dir string) (made bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if e.Name() != ".git" {
			return false, fmt.Errorf("directory %s: found %s in it; expected an empty directory, or none: choose another with --dir", dir, e.Name())
		}
	}
	return false, nil
}

func write(name string, l Language, dir string, k kit, kits fs.FS) error {
	layout := layouts[l]
	v := values{Name: name, Title: layout.title, Command: layout.command, Ignored: layout.ignored}
	if l == Go {
		var err error
		if v.module, err = moduleOf(k); err != nil {
			return fmt.Errorf("reading the SDK package %s: %w", k.name, err)
		}
	}
	for _, f := range layout.files {
		if f.doc != "" {
			v.Files = append(v.Files, listed{f.name, f.doc})
		}
	}
	for _, f := range slices.Concat(layout.files, common) {
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(f.name)), f.template, v); err != nil {
			return err
		}
	}
	if l == Go {
		if err := os.WriteFile(filepath.Join(dir, "go.sum"), v.sums, 0o644); err != nil {
			return err
		}
	}
	p, err := open(dir, kits, io.Discard)
	if err != nil {
		return err
	}
	return p.place()
}

func writeFile(path, name string, v values) error {
	text, err := templates.ReadFile("scaffold/" + name + ".tmpl")
	if err != nil {
		return err
	}
	t, err := template.New(name).Delims("<<", ">>").Option("missingkey=error").Parse(string(text))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// module is what the go.mod and go.sum of a new plugin take from those of the SDK.
type module struct {
	Module, GoVersion string
	Requires          []string // "path version"
	sums              []byte   // go.sum
}

func moduleOf(k kit) (module, error) {
	z, err := zip.NewReader(bytes.NewReader(k.content), int64(len(k.content)))
	if err != nil {
		return module{}, err
	}
	text, err := fs.ReadFile(z, "go.mod")
	if err != nil {
		return module{}, err
	}
	m := module{}
	if m.sums, err = fs.ReadFile(z, "go.sum"); err != nil {
		return module{}, err
	}
	for line := range strings.Lines(string(text)) { // as modulekit writes it
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case verb == "module":
			m.Module = rest
		case verb == "go":
			m.GoVersion = rest
		case strings.HasPrefix(line, "\t"):
			m.Requires = append(m.Requires, strings.TrimSpace(line))
		}
	}
	if m.Module == "" || m.GoVersion == "" {
		return module{}, errors.New("go.mod: expected lines with module and go")
	}
	return m, nil
}
