package conformance

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Table is what came of all vectors on all implementations.
type Table struct {
	columns []string
	rows    []string
	counts  map[[2]string]*count // by row and column
	// problems in order: one line for the cell, one for each difference.
	problems []string
	Passed   int
	Failed   int
	// Known is how many vectors failed as the list says. They count as failed.
	Known int
	// Compiled is how many of the passes are a refusal by the compiler.
	Compiled int
}

type count struct{ passed, failed int }

// all is the last row.
const all = "all"

func newTable(s *Suite, cells []*cell) *Table {
	t := &Table{counts: map[[2]string]*count{}}
	for _, impl := range s.implementations {
		t.columns = append(t.columns, impl.name())
	}
	seen := map[Difference]bool{}
	for _, c := range cells {
		known := slices.IndexFunc(s.Known, func(d Difference) bool { return d.Implementation == c.impl.name() && d.Vector == c.vector.ID() })
		diffs := c.diffs
		if known >= 0 {
			seen[s.Known[known]] = true
			if len(diffs) == 0 {
				diffs = append(diffs, fmt.Errorf("passes, but stands in the known differences: take it out"))
			} else {
				t.Known++
			}
		}
		if c.how != "" && len(diffs) == 0 {
			t.Compiled++
		}
		t.add(c, diffs)
	}
	for _, d := range s.Known {
		if !seen[d] {
			t.Failed++
			t.problems = append(t.problems, fmt.Sprintf("FAIL %s on %s", d.Vector, d.Implementation), "     a known difference of a vector or an implementation that did not run")
		}
	}
	return t
}

func (t *Table) add(c *cell, diffs []error) {
	if !slices.Contains(t.rows, c.vector.File) {
		t.rows = append(t.rows, c.vector.File)
	}
	for _, row := range []string{c.vector.File, all} {
		key := [2]string{row, c.impl.name()}
		n := t.counts[key]
		if n == nil {
			n = &count{}
			t.counts[key] = n
		}
		if len(diffs) == 0 {
			n.passed++
		} else {
			n.failed++
		}
	}
	if len(diffs) == 0 {
		t.Passed++
		return
	}
	t.Failed++
	t.problems = append(t.problems, fmt.Sprintf("FAIL %s on %s", c.vector.ID(), c.impl.name()))
	for _, diff := range diffs {
		t.problems = append(t.problems, "     "+strings.ReplaceAll(diff.Error(), "\n", "\n     "))
	}
}

// maxProblems bounds what is printed of the differences.
const maxProblems = 400

// Write prints the differences, the table and, as the last line, the sum.
func (t *Table) Write(w io.Writer) error {
	for i, text := range t.problems {
		if i == maxProblems {
			fmt.Fprintf(w, "%d more lines\n", len(t.problems)-i)
			break
		}
		fmt.Fprintln(w, text)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "vectors\t%s\t\n", strings.Join(t.columns, "\t"))
	for _, row := range append(slices.Clone(t.rows), all) {
		fmt.Fprintf(tw, "%s\t", row)
		for _, column := range t.columns {
			fmt.Fprintf(tw, "%s\t", t.counts[[2]string{row, column}])
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d of the passes are calls that Go refuses at compile time; %d of the failures are known\n", t.Compiled, t.Known)
	_, err := fmt.Fprintf(w, "%d passed, %d failed\n", t.Passed, t.Failed)
	return err
}

// String is what a cell of the table shows: passes of all, such as 30 or 28/30.
func (n *count) String() string {
	switch {
	case n == nil:
		return "-"
	case n.failed == 0:
		return fmt.Sprint(n.passed)
	}
	return fmt.Sprintf("%d/%d", n.passed, n.passed+n.failed)
}
