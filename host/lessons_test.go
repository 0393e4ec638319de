package host

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// lessonColumns are the columns of docs/lessons.md that name tests: where they are, and how they are declared.
var lessonColumns = []struct {
	dirs   []string
	suffix string
	start  string // what stands before the name; \x00 for the name
}{
	{[]string{"examples"}, "_test.go", "\nfunc \x00(t *testing.T)"},
	{[]string{"host", "pdk", "proto", "plugins"}, "_test.go", "\nfunc \x00(t *testing.T)"},
	{[]string{"sdk-python/tests"}, ".py", "def \x00("},
	{[]string{"sdk-js/test"}, ".ts", "\ntest(\"\x00\""},
}

// Every test that docs/lessons.md names is there, and every lesson has one.
func TestLessonsNameTheirTests(t *testing.T) {
	text, err := os.ReadFile("../docs/lessons.md")
	if err != nil {
		t.Fatal(err)
	}
	sources := make([]string, len(lessonColumns))
	for i, c := range lessonColumns {
		for _, dir := range c.dirs {
			sources[i] += sourcesBelow(t, filepath.Join("..", dir), c.suffix)
		}
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	lessons := 0
	for row := range strings.Lines(string(text)) {
		cells := strings.Split(row, "|")
		if len(cells) != len(lessonColumns)+4 || strings.Trim(cells[1], " -#") == "" {
			continue
		}
		lessons++
		number := strings.TrimSpace(cells[1])
		if number != fmt.Sprint(lessons) {
			t.Errorf("found lesson %s, expected %d", number, lessons)
		}
		tests := 0
		for i, c := range lessonColumns {
			for _, name := range quoted.FindAllStringSubmatch(cells[i+3], -1) {
				tests++
				if !strings.Contains(sources[i], strings.ReplaceAll(c.start, "\x00", name[1])) {
					t.Errorf("lesson %s: there is no test %q below %s", number, name[1], strings.Join(c.dirs, ", "))
				}
			}
		}
		if tests == 0 {
			t.Errorf("lesson %s has no test", number)
		}
	}
	if lessons != 24 {
		t.Errorf("found %d lessons, expected 24", lessons)
	}
}

// sourcesBelow reads all files with a suffix below a directory, except what was installed there.
func sourcesBelow(t *testing.T, dir, suffix string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && e.Name() == "node_modules":
			return filepath.SkipDir
		case e.IsDir() || !strings.HasSuffix(path, suffix):
			return nil
		}
		text, err := os.ReadFile(path)
		all.WriteString("\n" + string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
