package condition

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// guide reads docs/guides/conditions.md and gives the fenced blocks of one language.
func guide(t *testing.T, fence string) (page string, blocks [][]string) {
	t.Helper()
	raw, err := os.ReadFile("../../../docs/guides/conditions.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(raw), "```") {
		if body, ok := strings.CutPrefix(part, fence+"\n"); ok && i%2 == 1 {
			blocks = append(blocks, strings.Split(strings.TrimSuffix(body, "\n"), "\n"))
		}
	}
	return string(raw), blocks
}

// TestGuideVariables holds the guide's table to the declared variables.
func TestGuideVariables(t *testing.T) {
	page, _ := guide(t, "cel")
	_, table, _ := strings.Cut(page, "## Variables\n")
	var found []string
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "| `") {
			found = append(found, strings.TrimSpace(line))
		} else if strings.HasPrefix(line, "## ") {
			break
		}
	}
	var want []string
	for _, v := range declared() {
		changes := "no"
		if v.mutable {
			changes = "yes"
		}
		want = append(want, "| `"+v.name+"` | "+v.typ.String()+" | "+v.absent+" | "+changes+" |")
	}
	if !slices.Equal(found, want) {
		t.Errorf("the table in docs/guides/conditions.md:\n got %s\nwant %s", strings.Join(found, "\n     "), strings.Join(want, "\n     "))
	}
}

// TestGuideExamples evaluates the examples of the guide.
func TestGuideExamples(t *testing.T) {
	_, blocks := guide(t, "cel")
	n := 0
	for _, line := range slices.Concat(blocks...) {
		i := strings.LastIndex(line, " // ")
		if i < 0 {
			t.Errorf("%q has no result", line)
			continue
		}
		n++
		got := "error"
		if ok, err := compile(t, line).Eval(full(t)); err == nil && ok { // what follows // is a comment for CEL
			got = "true"
		} else if err == nil {
			got = "false"
		}
		if want := line[i+4:]; got != want {
			t.Errorf("%s is %s", line, got)
		}
	}
	if n < 20 {
		t.Errorf("%d examples", n)
	}
}

// TestGuideErrors holds the guide's error texts.
func TestGuideErrors(t *testing.T) {
	_, blocks := guide(t, "text")
	if len(blocks) == 0 || len(blocks[0])%2 != 0 || len(blocks[0]) < 8 {
		t.Fatalf("no pairs of condition and error in %q", blocks)
	}
	for pair := range slices.Chunk(blocks[0], 2) {
		if _, err := Compile(pair[0]); err == nil || err.Error() != pair[1] {
			t.Errorf("%s:\n got %v\nwant %s", pair[0], err, pair[1])
		}
	}
}

// TestGuideRequest holds the guide's request to the one of the tests.
func TestGuideRequest(t *testing.T) {
	_, blocks := guide(t, "text")
	r := full(t).live.Request
	want := []string{r.Method + " " + r.Target + " HTTP/1.1"}
	for _, h := range r.Headers {
		want = append(want, h.Name+": "+h.Value)
	}
	if len(blocks) != 2 || !slices.Equal(blocks[1], want) {
		t.Errorf("the request in the guide is not\n%s", strings.Join(want, "\n"))
	}
}
