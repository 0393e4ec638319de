// Pdkgen writes everything that follows from the PDK definition, proto/pdk/*.yaml: the Go, Python and TypeScript surfaces, the tables
// of functions, and docs/pdk. It is what make generate runs.
//
//	go run ./proto/cmd/pdkgen [-root .] [-check]
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/outrigger-gateway/outrigger/proto/pdkdef"
)

func main() {
	root := flag.String("root", ".", "root of the repository")
	check := flag.Bool("check", false, "write nothing; fail when a file is not up to date")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "pdkgen:", err)
		os.Exit(1)
	}
}

// run brings the generated files under root up to date, or says which are not.
func run(root string, check bool) error {
	def, err := pdkdef.Load(os.DirFS(root), "proto/pdk")
	if err != nil {
		return err
	}
	cover, err := loadCoverage(os.DirFS(root), def)
	if err != nil {
		return err
	}
	files, err := Generate(def, cover)
	if err != nil {
		return err
	}
	stale, err := Stale(root, files)
	if err != nil {
		return err
	}
	if check {
		if len(stale) > 0 {
			return fmt.Errorf("not up to date, run make generate: %v", stale)
		}
		return nil
	}
	for _, path := range stale {
		full := filepath.Join(root, filepath.FromSlash(path))
		i := slices.IndexFunc(files, func(f File) bool { return f.Path == path })
		if i < 0 {
			if err := os.Remove(full); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, files[i].Text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Stale lists the files under root that differ from what was generated, are missing, or are not generated any more.
func Stale(root string, files []File) ([]string, error) {
	var stale []string
	made, dirs := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		made[f.Path], dirs[filepath.ToSlash(filepath.Dir(f.Path))] = true, true
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f.Path)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err != nil || !bytes.Equal(text, f.Text) {
			stale = append(stale, f.Path)
		}
	}
	for dir := range dirs {
		entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(dir)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			path := dir + "/" + e.Name()
			if made[path] || !e.Type().IsRegular() {
				continue
			}
			text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
			if err != nil {
				return nil, err
			}
			if bytes.Contains(text[:min(len(text), 200)], []byte(Mark)) {
				stale = append(stale, path)
			}
		}
	}
	slices.Sort(stale)
	return stale, nil
}
