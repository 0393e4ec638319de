package pdkdef

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

// Placeholder is what stands in braces in a text of the definition: {null}, {true}, {false}, the name of a parameter of the same function, or
// the canonical name of any function.
var Placeholder = regexp.MustCompile(`\{([^{}]*)\}`)

// variadic lists the parameter types that take the rest of the arguments in Go.
var variadic = []Type{"log_args", "header_values"}

// taken lists the names of types beside which the classes of the namespaces stand.
var taken = strings.Fields(`
AsyncPDK Backend Body Captures Class Consumer ConsumerGroup ConsumerGroups Credential Error ExitBody Function Handlers HeaderMap HeaderValue MultiMap Need PDK
Pair Phase Plugin Query QueryArg QueryMap QueryParam QueryValue Ref Reference Route Service Span
`)

// checker holds what must be unique over the whole definition.
type checker struct {
	def      *Definition
	problems []Problem
	names    map[string]*Function // per language: "go RequestGetHeader"
	ops      map[int]*Function
	asks     map[int]*Function
}

// check finds the faults that show only when functions are seen as a whole, and together.
func check(def *Definition) []Problem {
	c := &checker{def: def, names: map[string]*Function{}, ops: map[int]*Function{}, asks: map[int]*Function{}}
	spaces, classes := map[string]*Namespace{}, map[string]bool{}
	for _, word := range taken {
		classes[word] = true
	}
	for _, ns := range def.Namespaces {
		if first := spaces[ns.Name]; first != nil {
			c.failf(ns.Pos, "namespace %s is declared at %s already", ns.Name, first.Pos)
		}
		spaces[ns.Name] = ns
		if name := ns.ClassName(); name != "" && classes[name] {
			c.failf(ns.Pos, "namespace %s: the class name %s is taken; give another with class", ns.Name, name)
		} else {
			classes[name] = true
		}
		c.text(ns.Pos, "namespace "+ns.Name, nil, ns.Doc)
		for _, f := range ns.Functions {
			c.function(f)
		}
	}
	return c.problems
}

func (c *checker) failf(pos Pos, format string, args ...any) {
	c.problems = append(c.problems, Problem{pos, fmt.Sprintf(format, args...)})
}

func (c *checker) function(f *Function) {
	fail := func(format string, args ...any) {
		c.failf(f.Pos, "function %s: "+format, append([]any{f.FullName()}, args...)...)
	}
	if !namePattern.MatchString(f.Name) || !namespacePattern.MatchString(f.Namespace.Name) || f.Class == "" {
		return // reported by the reader
	}
	for _, name := range []string{"go " + f.GoFullName(), "python " + f.PythonFullName(), "js " + f.JSFullName()} {
		if first := c.names[name]; first != nil {
			lang, word, _ := strings.Cut(name, " ")
			fail("its name in %s, %s, is taken by the function at %s", lang, word, first.Pos)
		}
		c.names[name] = f
	}
	c.number(f, "op", f.Op, c.ops)
	c.number(f, "ask", f.Ask, c.asks)
	c.via(f)

	switch {
	case f.Class == Read && f.Returns == nil:
		fail("class read answers something; returns is missing")
	case f.Returns != nil && (f.Class == Write || f.Class == Exit):
		c.failf(f.Returns.Pos, "function %s: class %s answers nothing; leave returns out", f.FullName(), f.Class)
	}
	if f.Op != 0 && f.Class == Read {
		fail("op goes with what is recorded, the class is read")
	}
	if f.Op == 0 && f.Class == Exit {
		fail("class exit needs an op")
	}
	if (f.Ask != 0) != (f.Class == Ask) {
		fail("ask goes with class ask, and only there")
	}
	c.params(f)

	what := "function " + f.FullName()
	c.text(f.Pos, what, f, f.Doc)
	for _, p := range f.Params {
		c.text(p.Pos, what, f, p.Doc)
	}
	for _, e := range f.Errors {
		c.text(e.Pos, what, f, e.When)
	}
	if f.Returns != nil {
		c.text(f.Returns.Pos, what, f, f.Returns.Doc+f.Returns.Absent)
	}
}

func (c *checker) number(f *Function, key string, n int, taken map[int]*Function) {
	if n == 0 {
		return
	}
	if first := taken[n]; first != nil {
		c.failf(f.Pos, "function %s: %s %d is taken by %s at %s", f.FullName(), key, n, first.FullName(), first.Pos)
		return
	}
	taken[n] = f
}

// via gives a function the question of another one.
func (c *checker) via(f *Function) {
	if f.Via == "" {
		return
	}
	other := c.def.Lookup(f.Via)
	switch {
	case f.Ask != 0:
		c.failf(f.Pos, "function %s: it has a question of its own, ask %d; leave via out", f.FullName(), f.Ask)
	case other == nil || other.Class != Ask || other.Via != "":
		c.failf(f.Pos, "function %s: via %q is no function of class ask with a question of its own", f.FullName(), f.Via)
	default:
		f.Ask = other.Ask
	}
}

func (c *checker) params(f *Function) {
	for i, p := range f.Params {
		fail := func(message string) { c.failf(p.Pos, "function %s: parameter %s %s", f.FullName(), p.Name, message) }
		if slices.ContainsFunc(f.Params[:i], func(q *Param) bool { return q.Name == p.Name }) {
			fail("stands twice")
		}
		if i > 0 && f.Params[i-1].Optional && !p.Optional {
			fail("is required but stands behind an optional one")
		}
		if slices.Contains(variadic, p.Type) {
			if i < len(f.Params)-1 {
				fail(fmt.Sprintf("is of type %s, which must be the last one", p.Type))
			}
			if p.Optional {
				fail(fmt.Sprintf("is of type %s, which cannot be optional: it may be empty", p.Type))
			}
		}
		if p.Optional && p.Default == nil && zero(p.Type) != nil && p.Type != "string" {
			fail(fmt.Sprintf("is an optional %s, which needs a default", p.Type))
		}
	}
}

// text checks what stands in braces in a text about f, which is nil for a namespace.
func (c *checker) text(pos Pos, what string, f *Function, text string) {
	for _, m := range Placeholder.FindAllStringSubmatch(text, -1) {
		word := m[1]
		if word == "null" || word == "true" || word == "false" || c.def.Lookup(word) != nil || f != nil && f.Param(word) != nil {
			continue
		}
		var names []string
		for _, f := range c.def.Functions() {
			names = append(names, f.FullName())
		}
		near := nearest.Name(word, names)
		if near != "" {
			near = fmt.Sprintf("; did you mean {%s}?", near)
		}
		c.failf(pos, "%s: {%s} is neither {null}, {true}, {false}, a parameter nor a function%s", what, word, near)
	}
}
