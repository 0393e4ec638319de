// Command modulekit writes the Go module that plugins are built with into one archive: the packages below pdk without their tests and programs,
// what of this module they import, and a go.mod with nothing else than they need. The same sources give the same bytes.
//
//	modulekit FILE.zip   in the folder of the module
package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 2 || !strings.HasSuffix(os.Args[1], ".zip") {
		fmt.Fprintln(os.Stderr, "usage: modulekit FILE.zip")
		os.Exit(2)
	}
	content, err := pack(".")
	if err == nil {
		err = replace(os.Args[1], content)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "modulekit:", err)
		os.Exit(1)
	}
}

// replace writes a file in one step.
func replace(file string, content []byte) error {
	next := file + ".next"
	if err := os.WriteFile(next, content, 0o644); err != nil {
		return err
	}
	return os.Rename(next, file)
}

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath     string
	Name           string
	Dir            string
	Standard       bool
	GoFiles        []string
	IgnoredGoFiles []string // for other systems
	EmbedFiles     []string
	Module         *goModule
}

type goModule struct {
	Path, Version, GoVersion string
	Main                     bool
}

// pack makes the archive from the module in a folder.
func pack(dir string) ([]byte, error) {
	packages, err := list(dir)
	if err != nil {
		return nil, err
	}
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	modules := map[string]string{}
	var own *goModule
	for _, p := range packages {
		switch {
		case p.Standard || p.Module == nil:
		case p.Module.Main:
			own = p.Module
			for _, name := range slices.Concat(p.GoFiles, p.IgnoredGoFiles, p.EmbedFiles) {
				if strings.HasSuffix(name, "_test.go") {
					continue
				}
				if err := add(files, root, filepath.Join(p.Dir, name)); err != nil {
					return nil, err
				}
			}
		default:
			modules[p.Module.Path] = p.Module.Version
		}
	}
	files["go.mod"] = goMod(own, modules)
	for _, name := range []string{"go.sum", "LICENSE"} {
		if err := add(files, root, filepath.Join(root, name)); err != nil {
			return nil, err
		}
	}
	return archive(files)
}

// list asks for the packages below pdk that plugins may import, and everything those import.
func list(dir string) ([]goPackage, error) {
	below, err := goList(dir, "./pdk/...")
	if err != nil {
		return nil, err
	}
	arguments := []string{"-deps"}
	for _, p := range below {
		if p.Name != "main" && !strings.Contains(p.ImportPath+"/", "/pdk/conformance/") { // the latter runs our vectors
			arguments = append(arguments, p.ImportPath)
		}
	}
	if len(arguments) == 1 {
		return nil, errors.New("found no package below pdk; expected to run in the folder of the module")
	}
	return goList(dir, arguments...)
}

func goList(dir string, arguments ...string) ([]goPackage, error) {
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Name,Dir,Standard,GoFiles,IgnoredGoFiles,EmbedFiles,Module"}, arguments...)...)
	cmd.Dir = dir
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, errOut.Bytes())
	}
	var packages []goPackage
	for d := json.NewDecoder(&out); ; {
		var p goPackage
		if err := d.Decode(&p); err == io.EOF {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading the output of go list: %w", err)
		}
		packages = append(packages, p)
	}
}

func add(files map[string][]byte, root, file string) error {
	name, err := filepath.Rel(root, file)
	if err != nil {
		return err
	}
	files[filepath.ToSlash(name)], err = os.ReadFile(file)
	return err
}

// goMod requires the modules that the packages are made of. go.sum stays as it is: it may list more than go.mod needs.
func goMod(own *goModule, modules map[string]string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "module %s\n\ngo %s\n\nrequire (\n", own.Path, own.GoVersion)
	for _, path := range sorted(modules) {
		fmt.Fprintf(&b, "\t%s %s\n", path, modules[path])
	}
	b.WriteString(")\n")
	return b.Bytes()
}

func archive(files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range sorted(files) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate}) // without a time
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
