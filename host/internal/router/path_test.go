package router

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

type textCases []struct {
	Case string
	Rows [][]string
}

// each calls f with the texts of each row; without a second one nothing changes.
func (cs textCases) each(t *testing.T, f func(t *testing.T, path, want string)) {
	for _, c := range cs {
		t.Run(c.Case, func(t *testing.T) {
			for _, row := range c.Rows {
				var texts []string
				for _, s := range row {
					text, err := strconv.Unquote(`"` + s + `"`)
					if err != nil {
						t.Fatalf("%q: %v", s, err)
					}
					texts = append(texts, text)
				}
				f(t, texts[0], texts[len(texts)-1])
			}
		})
	}
}

func TestNormalizeTable(t *testing.T) {
	var table struct{ Normalize, Escape textCases }
	readYAML(t, "normalize", &table)
	table.Normalize.each(t, func(t *testing.T, path, want string) {
		if got := Normalize(path); got != want {
			t.Errorf("Normalize(%q) = %q, want %q", path, got, want)
		}
		if got, want := IsNormal(path), path == want; got != want {
			t.Errorf("IsNormal(%q) = %v, want %v", path, got, want)
		}
	})
	table.Escape.each(t, func(t *testing.T, path, want string) {
		if got := EscapePath(path); got != want {
			t.Errorf("EscapePath(%q) = %q, want %q", path, got, want)
		}
	})
}

func TestBuildTable(t *testing.T) {
	var cases []struct {
		Case string
		Rows []buildRow
	}
	readYAML(t, "build", &cases)
	for _, c := range cases {
		t.Run(c.Case, func(t *testing.T) {
			for _, r := range c.Rows {
				m := Match{MatchedPath: r.matched, Glued: r.handling == "v1"}
				if got := UpstreamPath(r.service, &m, r.request, r.strip); got != r.want {
					t.Errorf("%+v: upstream path %q", r, got)
				}
			}
		})
	}
}

// buildRow is a row of build.yaml.
type buildRow struct {
	handling, service      string
	strip                  bool
	matched, request, want string
}

// UnmarshalYAML reads the row, which is a list.
func (r *buildRow) UnmarshalYAML(n *yaml.Node) error {
	if len(n.Content) != 6 {
		return fmt.Errorf("line %d: %d values, expected 6", n.Line, len(n.Content))
	}
	at := func(i int) string { return n.Content[i].Value }
	*r = buildRow{handling: at(0), service: at(1), strip: at(2) == "true", matched: at(3), request: at(4), want: at(5)}
	if r.handling != "v0" && r.handling != "v1" || at(2) != "true" && at(2) != "false" {
		return fmt.Errorf("line %d: expected v0 or v1, and true or false", n.Line)
	}
	return nil
}

func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"", "/", "/a/../b", "//..//", "/%2e%2e/", "/%2E%2e%2f", "/a//../b", "/%25%32%65", "/..;/a", "*", "/%c0%ae", "0%0%300"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := Normalize(path)
		if again := Normalize(got); again != got {
			t.Errorf("Normalize(%q) = %q, and of that %q", path, got, again)
		}
		if IsNormal(path) != (got == path) {
			t.Errorf("IsNormal(%q) = %v, Normalize gives %q", path, IsNormal(path), got)
		}
		if !strings.HasPrefix(got, "/") {
			t.Errorf("Normalize(%q) = %q does not start with /", path, got)
		}
		for _, s := range strings.Split(got[1:], "/") {
			if s == "." || s == ".." {
				t.Errorf("Normalize(%q) = %q has a dot segment", path, got)
			}
		}
		if strings.Contains(got, "//") {
			t.Errorf("Normalize(%q) = %q has two slashes side by side", path, got)
		}
		sent := EscapePath(got)
		if back := Normalize(sent); back != got {
			t.Errorf("Normalize(EscapePath(%q)) = %q", got, back)
		}
		for i := range len(sent) {
			if c := sent[i]; c <= ' ' || c >= 0x7f {
				t.Errorf("EscapePath(%q) = %q has the byte %#x", got, sent, c)
			}
		}
	})
}

func TestPathsDoNotAllocate(t *testing.T) {
	m, slash := Match{MatchedPath: "/orders"}, Match{MatchedPath: "/"}
	for name, f := range map[string]func(){
		"Normalize":                      func() { Normalize("/a/b.c/..d/%2F/e") },
		"EscapePath":                     func() { EscapePath("/a/b.c/..d/%2F/e") },
		"UpstreamPath to root":           func() { UpstreamPath("/", &m, "/orders/17", true) },
		"UpstreamPath, / stripped":       func() { UpstreamPath("/", &slash, "/orders/17", true) },
		"UpstreamPath, nothing stripped": func() { UpstreamPath("", &m, "/orders/17", false) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}
