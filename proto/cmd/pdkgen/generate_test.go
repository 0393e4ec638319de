package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/proto/pdkdef"
)

const root = "../../.."

var update = flag.Bool("update", false, "write testdata/golden/want anew")

// TestGolden compares what a definition of five functions becomes with testdata/golden/want.
func TestGolden(t *testing.T) {
	def, err := pdkdef.Load(os.DirFS("testdata"), "golden")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(def.Functions()); n != 5 {
		t.Fatalf("the golden definition has %d functions, expected 5", n)
	}
	files, err := Generate(def, nil)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	for _, f := range files {
		path := filepath.Join("testdata/golden/want", filepath.FromSlash(f.Path)+".txt")
		made[path] = true
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, f.Text, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.Equal(f.Text, want) {
			t.Errorf("%s: %s; look at the change and run go test ./proto/cmd/pdkgen -update", f.Path, firstDifference(string(f.Text), string(want)))
		}
	}
	err = filepath.WalkDir("testdata/golden/want", func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !made[path] {
			t.Errorf("%s is not generated any more", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func firstDifference(found, want string) string {
	f, w := strings.Split(found, "\n"), strings.Split(want, "\n")
	for i := range f {
		if i >= len(w) || f[i] != w[i] {
			expected := "the end"
			if i < len(w) {
				expected = w[i]
			}
			return "line " + strconv.Itoa(i+1) + ": found\n\t" + f[i] + "\nexpected\n\t" + expected
		}
	}
	return "found " + strconv.Itoa(len(f)) + " lines, expected " + strconv.Itoa(len(w))
}

// TestGeneratedFilesAreFresh regenerates in memory and compares with what is committed.
func TestGeneratedFilesAreFresh(t *testing.T) {
	def := load(t)
	cover, err := loadCoverage(os.DirFS(root), def)
	if err != nil {
		t.Fatal(err)
	}
	files, err := Generate(def, cover)
	if err != nil {
		t.Fatal(err)
	}
	stale, err := Stale(root, files)
	if err != nil {
		t.Fatal(err)
	}
	if len(stale) > 0 {
		t.Errorf("not up to date, run make generate: %s", strings.Join(stale, ", "))
	}
}

// TestRunWritesAndRemoves runs the generator on a directory of its own.
func TestRunWritesAndRemoves(t *testing.T) {
	dir := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	definition, err := os.ReadFile("testdata/golden/pdk.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write("proto/pdk/pdk.yaml", string(definition))
	write(coverageFile, "kong:\n  request: [get_gone]\nleft_out:\n  - {functions: [request.get_gone], why: It is gone.}\n")
	write("pdk/old_gen.go", "// "+Mark+"\n\npackage pdk\n")
	write("pdk/pdk.go", "package pdk\n")
	if err := run(dir, true); err == nil || !strings.Contains(err.Error(), "pdk/old_gen.go") || !strings.Contains(err.Error(), "pdk/log_gen.go") {
		t.Fatalf("check: found %v, expected the stale files by name", err)
	}
	if err := run(dir, false); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, true); err != nil {
		t.Errorf("check after a run: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "pdk/old_gen.go")); !os.IsNotExist(err) {
		t.Errorf("a generated file that nothing generates any more: found %v, expected it to be gone", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "pdk/pdk.go")); err != nil {
		t.Errorf("a hand-written file beside generated ones: %v", err)
	}
	write("proto/pdk/pdk.yaml", "namespace: x\n")
	if err := run(dir, false); err == nil || !strings.Contains(err.Error(), "proto/pdk/pdk.yaml:1:1: ") {
		t.Errorf("a faulty definition: found %v", err)
	}
}

func TestWrapNeverBeginsALineWithAListMarker(t *testing.T) {
	for _, line := range wrap("case does not matter, - and _ are the same", 24, "// ", "// ") {
		if strings.HasPrefix(line, "// - ") {
			t.Errorf("found a line %q, which gofmt takes for a list item", line)
		}
	}
}

func load(t *testing.T) *pdkdef.Definition {
	t.Helper()
	def, err := pdkdef.Load(os.DirFS(root), "proto/pdk")
	if err != nil {
		t.Fatal(err)
	}
	return def
}
