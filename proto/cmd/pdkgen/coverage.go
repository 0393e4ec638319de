package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v4"

	"github.com/outrigger-gateway/outrigger/proto/pdkdef"
)

// coverageFile says what became of Kong's functions; docs/pdk/coverage.md is made of it and of the definition.
const coverageFile = "proto/coverage.yaml"

type (
	// coverage is the content of the file.
	coverage struct {
		Kong      map[string][]string `yaml:"kong"` // names of functions by namespace
		Elsewhere []fate              `yaml:"elsewhere"`
		LeftOut   []fate              `yaml:"left_out"`
	}
	// fate is what became of some functions.
	fate struct {
		Functions []string `yaml:"functions"`
		Ours      string   `yaml:"ours"`
		Why       string   `yaml:"why"`
	}
	coverageView struct {
		Namespaces         []coverageNamespace
		Elsewhere, LeftOut []fate
		Functions          int
	}
	coverageNamespace struct {
		Name, File string
		Rows       []coverageRow
	}
	coverageRow struct {
		Name, Anchor, Go, Python, JS string
		Ours                         bool // Kong has no such function
	}
)

// loadCoverage reads the file and holds it against the definition.
func loadCoverage(fsys fs.FS, def *pdkdef.Definition) (*coverage, error) {
	text, err := fs.ReadFile(fsys, coverageFile)
	if err != nil {
		return nil, err
	}
	c := &coverage{}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(c); err != nil {
		return nil, fmt.Errorf("%s: %w", coverageFile, err)
	}
	if problems := c.check(def); len(problems) > 0 {
		return nil, fmt.Errorf("%s:\n%s", coverageFile, strings.Join(problems, "\n"))
	}
	return c, nil
}

// functions lists Kong's functions by their whole names, sorted.
func (c *coverage) functions() []string {
	var all []string
	for space, names := range c.Kong {
		for _, name := range names {
			all = append(all, space+"."+name)
		}
	}
	slices.Sort(all)
	return all
}

// check finds functions of Kong without a fate, or with two.
func (c *coverage) check(def *pdkdef.Definition) (problems []string) {
	fates := map[string]int{}
	listed := c.functions()
	for _, f := range append(slices.Clone(c.Elsewhere), c.LeftOut...) {
		for _, name := range f.Functions {
			fates[name]++
			if !slices.Contains(listed, name) {
				problems = append(problems, name+": has a fate but is not in the list kong")
			}
		}
	}
	for _, f := range c.LeftOut {
		if f.Why == "" || f.Ours != "" {
			problems = append(problems, strings.Join(f.Functions, ", ")+": what is left out has why, and no ours")
		}
	}
	for _, f := range c.Elsewhere {
		if f.Ours == "" {
			problems = append(problems, strings.Join(f.Functions, ", ")+": ours is missing")
		}
	}
	for _, name := range listed {
		n := fates[name]
		if def.Lookup(name) != nil {
			n++
		}
		if n != 1 {
			problems = append(problems, fmt.Sprintf("%s: found in %d of the definition, elsewhere and left_out; expected one", name, n))
		}
	}
	return problems
}

// generateCoverage makes the table of functions by language.
func generateCoverage(templates *template.Template, def *pdkdef.Definition, c *coverage) (File, error) {
	view := coverageView{Elsewhere: c.Elsewhere, LeftOut: c.LeftOut, Functions: len(def.Functions())}
	kong := c.functions()
	for _, ns := range def.Namespaces {
		v := coverageNamespace{Name: ns.Name, File: mdFile(ns)}
		for _, f := range ns.Functions {
			v.Rows = append(v.Rows, coverageRow{
				Name: f.FullName(), Anchor: mdAnchor(f),
				Go:     ns.GoName() + "." + f.GoName(),
				Python: ns.Name + "." + f.PythonName(),
				JS:     ns.Name + "." + f.JSName(),
				Ours:   !slices.Contains(kong, f.FullName()),
			})
		}
		view.Namespaces = append(view.Namespaces, v)
	}
	text, err := render(templates, "markdown_coverage.tmpl", view)
	return File{"docs/pdk/coverage.md", text}, err
}
