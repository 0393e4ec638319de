// Package condition compiles and evaluates the conditions of plugin records: expressions in CEL that say for which requests a plugin
// runs. docs/guides/conditions.md is the reference of the language.
//
// A condition is checked when it is compiled: syntax, names, types, and the largest amount of work that it may cause. Evaluating it does
// no I/O, reads of the request only what the expression names, and is bounded a second time by the work it really does.
package condition

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// MaxLength is the largest length of a condition, in characters.
const MaxLength = 1024

// MaxCost bounds the work of a condition, in CEL's cost units: as estimated when it is compiled, and as counted when it is evaluated.
// 100,000 units are a few milliseconds.
const MaxCost = 100_000

// Program is a compiled condition. Several goroutines may evaluate it at once.
type Program struct {
	text      string
	program   cel.Program
	ast       *cel.Ast
	variables map[string]*variable // of the language
	reads     []string
	mutable   bool
}

// Compile checks a condition and makes it ready for evaluation. The error is an *Error.
func Compile(text string) (*Program, error) {
	if strings.TrimSpace(text) == "" {
		return nil, &Error{Line: 1, Col: 1, Found: "an empty text", Expected: "an expression"}
	}
	if n := utf8.RuneCountInString(text); n > MaxLength {
		return nil, &Error{Line: 1, Col: 1, Found: fmt.Sprintf("%d characters", n), Expected: fmt.Sprintf("at most %d", MaxLength)}
	}
	lang, err := language()
	if err != nil {
		return nil, &Error{Line: 1, Col: 1, Found: "no usable CEL: " + err.Error(), Expected: "an environment for conditions"}
	}
	parsed, issues := lang.env.Parse(text)
	if issues.Err() != nil {
		return nil, lang.explain(nil, issues)
	}
	rewrite(parsed.NativeRep())
	checked, issues := lang.env.Check(parsed)
	if issues.Err() != nil {
		return nil, lang.explain(parsed.NativeRep(), issues)
	}
	if t := checked.OutputType(); !t.IsExactType(types.BoolType) && t.Kind() != types.DynKind {
		return nil, &Error{Line: 1, Col: 1, Found: "an expression whose result is " + typeName(t.String()), Expected: "one whose result is bool"}
	}
	if err := affordable(lang.env, checked); err != nil {
		return nil, err
	}
	program, err := planned(lang.env, checked)
	if err != nil {
		return nil, &Error{Line: 1, Col: 1, Found: "an expression that cannot be planned: " + err.Error(), Expected: "one that can"}
	}
	p := &Program{text: text, program: program, ast: checked, variables: lang.variables}
	names := map[string]bool{}
	for _, ref := range checked.NativeRep().ReferenceMap() {
		if v := lang.variables[ref.Name]; v != nil {
			names[v.name] = true
			p.mutable = p.mutable || v.mutable
		}
	}
	p.reads = slices.Sorted(maps.Keys(names))
	return p, nil
}

// affordable refuses what costs too much over a request of usual size.
func affordable(env *cel.Env, checked *cel.Ast) error {
	cost, err := env.EstimateCost(checked, usualSizes)
	if err != nil {
		return &Error{Line: 1, Col: 1, Found: "an expression whose cost cannot be estimated: " + err.Error(), Expected: "a cheap one"}
	}
	if cost.Max > MaxCost {
		return &Error{
			Line: 1, Col: 1, Found: "an expression that may cost " + units(cost.Max), Expected: fmt.Sprintf("at most %d", MaxCost),
			Fix: "walk fewer lists inside one another, and build fewer or shorter texts",
		}
	}
	return nil
}

func units(n uint64) string {
	if n > 1e15 {
		return "without bound"
	}
	return fmt.Sprintf("%d units", n)
}

// planned makes the program. Counting the cost is left out where no request can make it exceed the limit: it takes ten times as long as
// comparing two texts.
func planned(env *cel.Env, checked *cel.Ast) (cel.Program, error) {
	cost, err := env.EstimateCost(checked, largestSizes)
	if err == nil && cost.Max <= MaxCost {
		return env.Program(checked, cel.EvalOptions(cel.OptOptimize))
	}
	return env.Program(checked, cel.EvalOptions(cel.OptOptimize|cel.OptTrackCost), cel.CostLimit(MaxCost))
}

// String is the text of the condition.
func (p *Program) String() string { return p.text }

// Reads lists the variables that the condition names, sorted. The caller must not change it.
func (p *Program) Reads() []string { return p.reads }

// Mutable reports whether the condition reads what a plugin may change while the request passes, such as kong.ctx.shared, the consumer or
// a header of the request. The result for one exchange may then differ from one step to the next.
func (p *Program) Mutable() bool { return p.mutable }

// Eval evaluates the condition over an exchange. An error is a field that is missing, a value of another type than the expression needs,
// or too much work; the request is answered 500.
func (p *Program) Eval(f Facts) (bool, error) {
	a := activations.Get().(*activation)
	a.facts, a.variables = f, p.variables
	result, _, err := p.program.Eval(a)
	a.reset()
	activations.Put(a)
	if err != nil {
		return false, p.failed(err)
	}
	b, ok := result.(types.Bool)
	if !ok {
		return false, fmt.Errorf("evaluating the condition %q: the result is %s, expected bool", p.text, typeName(result.Type().TypeName()))
	}
	return bool(b), nil
}

// failed says where an evaluation failed.
func (p *Program) failed(err error) error {
	at := ""
	if e, ok := err.(*types.Err); ok {
		if place := p.ast.NativeRep().SourceInfo().GetStartLocation(e.NodeID()); place.Line() > 0 {
			at = fmt.Sprintf(" at %d:%d", place.Line(), place.Column()+1)
		}
	}
	return fmt.Errorf("evaluating the condition %q%s: %w", p.text, at, err)
}
