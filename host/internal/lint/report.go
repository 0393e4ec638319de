package lint

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Report is what lint prints.
type Report struct {
	Findings []Finding `json:"findings"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
}

// NewReport counts findings.
func NewReport(findings []Finding) *Report {
	r := &Report{Findings: findings}
	if findings == nil {
		r.Findings = []Finding{} // [] in JSON
	}
	for _, f := range findings {
		if f.Severity == Error {
			r.Errors++
		} else {
			r.Warnings++
		}
	}
	return r
}

// Fails reports whether there is an error, or anything at all when strict is set.
func (r *Report) Fails(strict bool) bool { return r.Errors > 0 || strict && r.Warnings > 0 }

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// Text writes the report for people: the findings of each file by line, and how many there are.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	file := ""
	for i, f := range r.Findings {
		if f.File != file || i == 0 {
			file = f.File
			fmt.Fprintf(&b, "%s\n", file)
		}
		place := ""
		if f.Line > 0 {
			place = fmt.Sprintf("%d:%d", f.Line, f.Column)
		}
		fmt.Fprintf(&b, "  %-8s %-7s  %s", place, f.Severity, f.Code)
		if f.Path != "" {
			fmt.Fprintf(&b, "  %s", f.Path)
		}
		fmt.Fprintf(&b, "\n    found  %s\n    why    %s\n    fix    %s\n\n", f.Found, f.Why, f.Fix)
	}
	switch {
	case len(r.Findings) == 0:
		b.WriteString("no findings\n")
	default:
		fmt.Fprintf(&b, "%s, %s\n", number(r.Errors, "error"), number(r.Warnings, "warning"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func number(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
