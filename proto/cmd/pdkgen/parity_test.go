package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/proto/pdkdef"
)

// The parity tests read the committed surfaces with eyes of their own, not with the generator's: reflection for Go, the text of the
// files for Python and TypeScript. Each compares both ways: what is defined is there, and what is there is defined.

// sameSet reports what is only in found and what is only in want.
func sameSet(t *testing.T, what string, found, want []string) {
	t.Helper()
	for _, s := range found {
		if !slices.Contains(want, s) {
			t.Errorf("%s: %s is there but not defined", what, s)
		}
	}
	for _, s := range want {
		if !slices.Contains(found, s) {
			t.Errorf("%s: %s is defined but not there", what, s)
		}
	}
}

// method is what the text of a surface says about one function.
type method struct {
	async     bool
	signature string // "(name: str) -> str | None"
	call      string // what its body calls
}

func readSurface(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	splitParams = regexp.MustCompile(`\(\n\s+([^()]*?),\n\s*\)`)
	lineBreak   = regexp.MustCompile(`\n\s*`)
)

// oneLineCalls joins parameter lists that stand on several lines.
func oneLineCalls(text string) string {
	return splitParams.ReplaceAllStringFunc(text, func(list string) string {
		return "(" + lineBreak.ReplaceAllString(splitParams.FindStringSubmatch(list)[1], " ") + ")"
	})
}

// TestDocsParity holds the pages and the definition together: a heading for each function, and none beside them.
func TestDocsParity(t *testing.T) {
	for _, ns := range load(t).Namespaces {
		var found, want []string
		text := readSurface(t, "docs/pdk/"+pdkdef.Snake(ns.Name)+".md")
		for _, m := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(text, -1) {
			found = append(found, m[1])
		}
		for _, f := range ns.Functions {
			want = append(want, f.FullName())
			for _, call := range []string{
				"`k." + ns.GoName() + "." + f.GoName() + "(", "`kong." + ns.Name + "." + f.PythonName() + "(", "`kong." + ns.Name + "." + f.JSName() + "(",
			} {
				if !strings.Contains(text, call) {
					t.Errorf("docs of %s: expected a call %s", f.FullName(), call)
				}
			}
		}
		sameSet(t, "docs of "+ns.Name, found, want)
	}
}

// TestNumbersAreThoseOfTheWire compares operations and questions with the tables of docs/wire.md.
func TestNumbersAreThoseOfTheWire(t *testing.T) {
	text := readSurface(t, "docs/wire.md")
	_, text, _ = strings.Cut(text, "## 6. outcome")
	operations, rest, _ := strings.Cut(text, "## 7. ask and answer")
	questions, _, _ := strings.Cut(rest, "## 8.")
	read := func(text string) (rows []string) {
		for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|? ?([a-z_.]+) `).FindAllStringSubmatch(text, -1) {
			rows = append(rows, m[1]+" "+m[2])
		}
		return rows
	}
	var ops, asks []string
	for _, f := range load(t).Functions() {
		if f.Op != 0 {
			ops = append(ops, fmt.Sprintf("%d %s", f.Op, f.FullName()))
		}
		if f.Ask != 0 && f.Via == "" {
			asks = append(asks, fmt.Sprintf("%d %s", f.Ask, f.FullName()))
		}
	}
	sameSet(t, "operations of the definition, by docs/wire.md", ops, read(operations))
	sameSet(t, "questions of the definition, by docs/wire.md", asks, read(questions))
}
