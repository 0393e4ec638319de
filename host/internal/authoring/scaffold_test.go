package authoring

import (
	"errors"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestCheckName(t *testing.T) {
	for _, good := range []string{"a", "my-plugin", "2fa", "a.b_c-d", "key-auth-2", strings.Repeat("n", 100)} {
		if err := CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "-a", ".a", "_a", "A", "My", "a b", "a/b", "../a", "a\n", "é", "a\"", "a:b"} {
		if err := CheckName(bad); err == nil || !strings.Contains(err.Error(), "expected lower-case letters") {
			t.Errorf("%q: found %v, expected an error", bad, err)
		}
	}
}

func TestNew(t *testing.T) {
	want := map[Language][]string{
		Go:         {"go.mod", "go.sum", "main.go", "plugin.go", "plugin_test.go", ".outrigger/sdk/go.mod", ".outrigger/sdk/go.sum", ".outrigger/sdk/pdk/pdk.go"},
		Python:     {"plugin.py", "pyproject.toml", "requirements.txt", "test_plugin.py", ".outrigger/requirements.txt", ".outrigger/outrigger_pdk-1.0-py3-none-any.whl"},
		JavaScript: {"package.json", "plugin.js", "plugin.test.js", ".outrigger/outrigger-pdk.tgz"},
		TypeScript: {"package.json", "src/plugin.test.ts", "src/plugin.ts", "tsconfig.json", ".outrigger/outrigger-pdk.tgz"},
	}
	yamlNames := map[string]string{"2fa": `"2fa"`, "123": `"123"`, "1.0": `"1.0"`, "null": `"null"`}
	// Names that would be something else to a language, to YAML or a package registry.
	for _, name := range []string{"greeter", "2fa", "outrigger-pdk", "plugin", "class", "node_modules", "a-", "123", "1.0", "null"} {
		if yamlNames[name] == "" {
			yamlNames[name] = name
		}
		for _, l := range Languages() {
			dir := filepath.Join(t.TempDir(), "deep", "er")
			if err := create(name, l, dir, testKits(t, "x")); err != nil {
				t.Errorf("%s %s: %v", name, l, err)
				continue
			}
			all := append([]string{".gitignore", "README.md", "gateway.yaml", "outrigger.yaml", ".outrigger/.gitignore", ".outrigger/kit"}, want[l]...)
			slices.Sort(all)
			if found := tree(t, dir); !slices.Equal(found, all) {
				t.Errorf("%s %s: found the files %q, expected %q", name, l, found, all)
			}
			for _, f := range tree(t, dir) {
				text := content(t, dir, f)
				if strings.HasPrefix(f, hidden) || f == "go.sum" {
					continue
				}
				if strings.Contains(text, "<<") || strings.Contains(text, "<no value>") || !strings.HasSuffix(text, "\n") || strings.HasSuffix(text, "\n\n") {
					t.Errorf("%s %s: %s is not filled in, or does not end with one line break:\n%s", name, l, f, text)
				}
			}
			if text := content(t, dir, "gateway.yaml"); !strings.Contains(text, "- name: "+yamlNames[name]+"\n") {
				t.Errorf("%s %s: gateway.yaml does not use the plugin:\n%s", name, l, text)
			}
			if found, err := Detect(dir); err != nil || found != l {
				t.Errorf("%s %s: detected as %q, %v", name, l, found, err)
			}
		}
	}
}

func TestNewGo(t *testing.T) {
	dir := t.TempDir()
	if err := create("greeter", Go, dir, testKits(t, "x")); err != nil {
		t.Fatal(err)
	}
	found := content(t, dir, "go.mod")
	for _, want := range []string{
		"module example.com/greeter\n", "\ngo 1.26.0\n", "require example.org/sdk v0.0.0\n", "\texample.org/a v1.2.3 // indirect\n\texample.org/b v0.1.0 // indirect\n",
		"replace example.org/sdk => ./.outrigger/sdk\n",
	} {
		if !strings.Contains(found, want) {
			t.Errorf("go.mod lacks %q:\n%s", want, found)
		}
	}
	if text := content(t, dir, "go.sum"); text != "sums\n" {
		t.Errorf("go.sum is %q, expected that of the SDK", text)
	}
	for _, f := range []string{"plugin.go", "plugin_test.go", "main.go"} {
		if _, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, f), nil, parser.AllErrors); err != nil {
			t.Error(err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	kits := testKits(t, "x")
	base := t.TempDir()
	full := filepath.Join(base, "full")
	for _, d := range []string{"full/sub", "repository/.git"} {
		if err := os.MkdirAll(filepath.Join(base, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, dir, want string }{
		{"p", full, "found sub in it; expected an empty directory"},
		{"p", file, file},
		{"p", filepath.Join(file, "below"), file},
		{"../p", filepath.Join(base, "new"), `found the plugin name "../p"`},
	} {
		if err := create(c.name, Python, c.dir, kits); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s in %s: found %v, expected %q", c.name, c.dir, err, c.want)
		}
	}
	if err := create("p", Python, filepath.Join(base, "new"), fstest.MapFS{}); err == nil || !strings.Contains(err.Error(), "built without the SDK packages") {
		t.Errorf("without SDK packages: found %v", err)
	}
	broken := fstest.MapFS{"sdk.zip": {Data: zipped(t, "go.mod", testGoMod, "go.sum", "", "../out", "")}}
	if err := create("p", Go, filepath.Join(base, "new"), broken); err == nil || !strings.Contains(err.Error(), `"../out"`) {
		t.Errorf("with a broken SDK package: found %v", err)
	}
	if found, want := tree(t, base), []string{"file"}; !slices.Equal(found, want) {
		t.Errorf("found the files %q, expected what was refused to leave nothing", found)
	}
	if _, err := os.Stat(filepath.Join(base, "new")); err == nil {
		t.Error("a directory that was made for a plugin is left after an error")
	}
	if err := create("p", Python, filepath.Join(base, "repository"), kits); err != nil {
		t.Errorf("into a directory with a git repository only: %v", err)
	}
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		files string
		want  Language
		err   string
	}{
		{"go.mod go.sum main.go", Go, ""},
		{"pyproject.toml plugin.py", Python, ""},
		{"package.json plugin.js", JavaScript, ""},
		{"package.json tsconfig.json src", TypeScript, ""},
		{"plugin.py", "", "found none of go.mod, pyproject.toml, package.json; make a plugin with outrigger plugin new"},
		{"tsconfig.json", "", "found none of"},
		{"", "", "found none of"},
		{"go.mod package.json", "", "found go.mod and package.json; expected the files of one language"},
		{"pyproject.toml package.json tsconfig.json", "", "expected the files of one language"},
		{"pyproject.toml tsconfig.json", "", "expected the files of one language"},
	} {
		dir := t.TempDir()
		for f := range strings.FieldsSeq(c.files) {
			if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		l, err := Detect(dir)
		if l != c.want || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: found %q, %v; expected %q, %q", c.files, l, err, c.want, c.err)
		}
		if missing := strings.HasPrefix(c.err, "found none"); missing != errors.Is(err, ErrNoPlugin) {
			t.Errorf("%q: ErrNoPlugin is the cause: %v, expected %v", c.files, !missing, missing)
		}
	}
	if _, err := Detect(filepath.Join(t.TempDir(), "nowhere")); err == nil || !strings.Contains(err.Error(), "nowhere: found nothing of that name") {
		t.Errorf("a directory that is not there: found %v", err)
	}
	file := filepath.Join(t.TempDir(), "plugin.py")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Detect(file); err == nil || !strings.Contains(err.Error(), "found a file; expected the directory") {
		t.Errorf("a file: found %v", err)
	}
}
