package conformance

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/proto/vectors"
)

// run runs a suite of some vectors on some implementations.
func run(t *testing.T, known []Difference, columns []string, vs ...*vectors.Vector) *Table {
	t.Helper()
	s := &Suite{Vectors: vs, Known: known, types: suite.types}
	for _, impl := range suite.implementations {
		if slices.Contains(columns, impl.name()) {
			s.implementations = append(s.implementations, impl)
		}
	}
	table, err := s.Run(context.Background(), 4)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// A vector that expects something else than what happens fails on every implementation, whatever it is that differs.
func TestSuiteFindsDifferences(t *testing.T) {
	calls := func(v map[string]any) []any { return v["calls"].([]any) }
	for what, change := range map[string]func(v map[string]any){
		"nothing":   func(map[string]any) {},
		"result":    func(v map[string]any) { calls(v)[1] = result(call("ctx.shared.get", "k"), 2) },
		"kind":      func(v map[string]any) { calls(v)[1] = result(call("ctx.shared.get", "k"), "1") },
		"success":   func(v map[string]any) { calls(v)[0] = refused(call("ctx.shared.set", "k", 1), "bad_argument") },
		"refusal":   func(v map[string]any) { calls(v)[3] = call("response.set_status", 99) },
		"code":      func(v map[string]any) { calls(v)[3] = refused(call("response.set_status", 99), "bad_argument") },
		"function":  func(v map[string]any) { calls(v)[0] = call("ctx.shared.let", "k", 1) },
		"operation": func(v map[string]any) { v["ops"] = []any{[]any{50, "k", 2}} },
		"fewer":     func(v map[string]any) { v["ops"] = []any{} },
		"more":      func(v map[string]any) { v["ops"] = []any{[]any{50, "k", 1}, []any{50, "l", 1}} },
		"body":      func(v map[string]any) { v["body"] = map[string]any{"hex": "63"} },
		"no body":   func(v map[string]any) { delete(v, "body") },
		"level":     func(v map[string]any) { v["logs"] = []any{[]any{3, "line"}} },
		"message":   func(v map[string]any) { v["logs"] = []any{[]any{2, "lines"}} },
		"no line":   func(v map[string]any) { v["logs"] = []any{} },
		"late":      func(v map[string]any) { v["late"] = []any{refused(call("ctx.shared.set", "k", 1), "bad_argument")} },
		"question":  func(v map[string]any) { v["asks"] = []any{map[string]any{"ask": 1, "args": []any{}}} },
	} {
		t.Run(what, func(t *testing.T) {
			v := map[string]any{
				"phase": "body_filter", "facts": map[string]any{"chunk": map[string]any{"hex": "61"}},
				"calls": []any{
					call("ctx.shared.set", "k", 1), result(call("ctx.shared.get", "k"), 1), call("log.notice", "line"),
					refused(call("response.set_status", 99), "wrong_phase"),
				},
				"ops": []any{[]any{50, "k", 1}}, "returns": map[string]any{"hex": "62"}, "body": map[string]any{"hex": "62"},
				"logs": []any{[]any{2, "line"}}, "late": []any{refused(call("ctx.shared.set", "k", 2), "wrong_phase")},
			}
			change(v)
			fail := len(order)
			if what == "nothing" {
				fail = 0
			}
			if table := run(t, nil, order, vector(t, v)); table.Failed != fail || table.Passed != len(order)-fail {
				t.Errorf("%d passed, %d failed; expected %d to fail: %v", table.Passed, table.Failed, fail, table.problems)
			}
		})
	}
}

// What Go cannot write down is proved by the compiler; what it can is run.
func TestUntyped(t *testing.T) {
	columns := []string{"native", "go/grpc", "kit/go"}
	for name, c := range map[string]struct {
		calls            []any
		compiled, failed int
	}{
		"refused":            {[]any{refused(call("response.set_status", "200"), "bad_argument")}, 3, 0},
		"any takes it":       {[]any{refused(call("response.exit", 200, 5), "bad_argument")}, 0, 0},
		"part of it":         {[]any{refused(call("response.exit", "200"), "bad_argument"), refused(call("response.exit", 200, 5), "bad_argument")}, 0, 0},
		"it compiles":        {[]any{refused(call("response.set_status", 200), "bad_argument")}, 0, 3},
		"lists and entities": {[]any{refused(call("client.authenticate", []any{}, nil), "bad_argument"), refused(call("service.request.set_headers", map[string]any{"A": []any{1}}), "bad_argument")}, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			table := run(t, nil, columns, vector(t, map[string]any{"untyped": true, "calls": c.calls}))
			if table.Compiled != c.compiled || table.Failed != c.failed || table.Passed != 3-c.failed {
				t.Errorf("%d passed, %d of them compiled, %d failed; expected %+v: %v", table.Passed, table.Compiled, table.Failed, c, table.problems)
			}
		})
	}
}

// A known difference fails all the same, and so does one that has gone or that is about nothing.
func TestKnownDifferences(t *testing.T) {
	passes := vector(t, map[string]any{"calls": []any{result(call("request.get_method"), "GET")}})
	fails := vector(t, map[string]any{"calls": []any{result(call("request.get_method"), "PUT")}})
	fails.File = "fails"
	known := []Difference{
		{"native", fails.ID(), "why"}, {"native", passes.ID(), "why"}, {"native", "no: such vector", "why"},
	}
	table := run(t, known, []string{"native"}, passes, fails)
	if table.Known != 1 || table.Failed != 3 || table.Passed != 0 {
		t.Errorf("%d known, %d failed, %d passed", table.Known, table.Failed, table.Passed)
	}
	var b bytes.Buffer
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"FAIL test: " + t.Name() + " on native", "take it out", `found "GET", expected "PUT"`, "did not run"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, b.String())
		}
	}
	if !strings.HasSuffix(b.String(), "\n0 passed, 3 failed\n") {
		t.Errorf("the table ends with\n%s", b.String())
	}
}

// The vectors are enough, and the list of the known differences is empty.
func TestVectorsAreEnough(t *testing.T) {
	if n := len(suite.Vectors) * len(order); len(suite.Vectors) < 300 || n < 3000 || len(suite.implementations) != len(order) {
		t.Errorf("%d vectors on %d implementations: %d", len(suite.Vectors), len(suite.implementations), n)
	}
	if known, err := ReadKnown("../../../proto/vectors/known_differences.json"); err != nil || len(known) > 0 {
		t.Errorf("known differences %v, %v", known, err)
	}
}
