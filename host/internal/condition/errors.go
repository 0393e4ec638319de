package condition

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// Error is what is wrong with a condition.
type Error struct {
	Line, Col int // in the text of the condition, from 1
	Found     string
	Expected  string // may be empty
	Nearest   string // the name that looks most like the one found; may be empty
	Fix       string // may be empty
}

func (e *Error) Error() string {
	s := fmt.Sprintf("condition at %d:%d: found %s", e.Line, e.Col, e.Found)
	if e.Expected != "" {
		s += ", expected " + e.Expected
	}
	switch {
	case e.Nearest != "":
		s += " (nearest: " + e.Nearest + ")"
	case e.Fix != "":
		s += " (fix: " + e.Fix + ")"
	}
	return s
}

// foreign are variables that Kong has and we do not, with the reason.
var foreign = map[string]string{
	"principal":   "there are no principals here; use consumer",
	"net.tls.sni": "the server name of TLS is not known to conditions; use http.host",
	"net.dst.ip":  "the address of the listener is not known to conditions; use net.dst.port",
}

var syntaxWords = strings.NewReplacer("mismatched input ", "", "extraneous input ", "", "'<EOF>'", "the end of the text")

// Messages of CEL's checker.
var (
	undeclared = regexp.MustCompile(`^undeclared reference to '([^']*)'(?: \(did you mean '([^']*)'.*)?`)
	overload   = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '(?:(.*)\.)?\((.*)\)'`)
	noField    = regexp.MustCompile(`^undefined field '([^']*)'`)
	mismatch   = regexp.MustCompile(`^expected type '([^']*)' but found '([^']*)'`)
)

// explain says the first thing that is wrong in our words. Parsed is nil when the text is not an expression at all.
func (l *lang) explain(parsed *ast.AST, issues *cel.Issues) *Error {
	first := slices.MinFunc(issues.Errors(), func(a, b *cel.Error) int {
		return cmp.Or(cmp.Compare(a.Location.Line(), b.Location.Line()), cmp.Compare(a.Location.Column(), b.Location.Column()))
	})
	e := &Error{Line: max(first.Location.Line(), 1), Col: max(first.Location.Column(), 0) + 1}
	if syntax, ok := strings.CutPrefix(first.Message, "Syntax error: "); ok {
		found, _, _ := strings.Cut(syntax, " expecting ")
		e.Found, e.Expected = syntaxWords.Replace(found), "an expression of CEL"
		return e
	}
	if m := undeclared.FindStringSubmatch(first.Message); m != nil {
		l.unknown(e, parsed, first, m[1], m[2])
		return e
	}
	if m := overload.FindStringSubmatch(first.Message); m != nil {
		l.wrongTypes(e, m[1], m[2], m[3])
		return e
	}
	if m := noField.FindStringSubmatch(first.Message); m != nil {
		e.Found, e.Expected = "field "+m[1], "one of "+strings.Join(pluginFields, ", ")
		return e
	}
	if m := mismatch.FindStringSubmatch(first.Message); m != nil {
		e.Found, e.Expected = typeName(m[2]), typeName(m[1])
		return e
	}
	e.Found = first.Message
	if node := find(parsed, first.ExprID); node != nil && node.Kind() == ast.LiteralKind && strings.HasPrefix(first.Message, "invalid matches") {
		if _, err := regexp.Compile(fmt.Sprint(node.AsLiteral().Value())); err != nil {
			e.Found, e.Expected = "a pattern that does not compile: "+err.Error(), "a regular expression of RE2"
		}
	}
	return e
}

// unknown explains a name that nobody declared.
func (l *lang) unknown(e *Error, parsed *ast.AST, at *common.Error, name, nearest string) {
	e.Nearest = nearest
	if node := find(parsed, at.ExprID); node != nil && node.Kind() == ast.CallKind {
		e.Found, e.Expected = "unknown function "+node.AsCall().FunctionName(), "a function of CEL, or default"
		return
	}
	path := strings.Split(name, ".")
	if chain := chainAt(parsed, at.ExprID); chain != nil {
		path = pathOf(chain)
		for chain.Kind() == ast.SelectKind {
			chain = chain.AsSelect().Operand()
		}
		place := parsed.SourceInfo().GetStartLocation(chain.ID())
		e.Line, e.Col = place.Line(), place.Column()+1
	}
	e.Found = "unknown variable " + strings.Join(path, ".")
	for name, reason := range foreign {
		if full := strings.Join(path, ".") + "."; strings.HasPrefix(full, name+".") {
			e.Expected, e.Nearest, e.Fix = "a variable of conditions", "", reason
			return
		}
	}
	if e.Nearest != "" && l.variables[e.Nearest] == nil {
		e.Nearest = ""
	}
	var same []string
	for name := range l.variables {
		if strings.HasPrefix(name, path[0]+".") {
			same = append(same, name)
		}
	}
	if len(same) == 0 {
		namespaces := map[string]bool{}
		for name := range l.variables {
			namespace, _, _ := strings.Cut(name, ".")
			namespaces[namespace] = true
		}
		e.Expected = "a variable of " + strings.Join(slices.Sorted(maps.Keys(namespaces)), ", ")
		return
	}
	slices.Sort(same)
	e.Expected = "one of " + strings.Join(same, ", ")
}

// wrongTypes explains a function or operator that does not take what it is given.
func (l *lang) wrongTypes(e *Error, function, target, args string) {
	args, target = typeName(args), typeName(target)
	if symbol, ok := operators.FindReverse(function); ok && symbol != "" {
		e.Found, e.Expected = fmt.Sprintf("%s with %s", symbol, args), "types that it takes"
		if function == operators.Equals || function == operators.NotEquals {
			e.Expected = "two values of one type"
		}
		return
	}
	switch function {
	case operators.Index:
		e.Found, e.Expected = "an index into "+args, "a list with an int, or a map with one of its keys"
		return
	case operators.Conditional:
		e.Found, e.Expected = "? : with "+args, "a bool and two values of one type"
		return
	}
	e.Found = fmt.Sprintf("%s(%s)", function, args)
	if target != "" {
		e.Found = target + "." + e.Found
	}
	if f := l.env.Functions()[function]; f != nil {
		var signatures []string
		for _, o := range f.OverloadDecls() {
			var types []string
			for _, t := range o.ArgTypes() {
				types = append(types, typeName(t.String()))
			}
			signature := fmt.Sprintf("%s(%s)", function, strings.Join(types, ", "))
			if o.IsMemberFunction() {
				signature = fmt.Sprintf("%s.%s(%s)", types[0], function, strings.Join(types[1:], ", "))
			}
			signatures = append(signatures, signature)
		}
		e.Expected = strings.Join(signatures, " or ")
	}
}

// typeName is a type of CEL in messages.
func typeName(t string) string {
	return strings.NewReplacer("null_type", "null", "<", "", ">", "").Replace(t)
}

// find is the node with an id; nil when there is none.
func find(parsed *ast.AST, id int64) (found ast.Expr) {
	ast.PreOrderVisit(parsed.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.ID() == id && found == nil {
			found = e
		}
	}))
	return found
}

// chainAt is the longest chain of names, such as http.headers.x, that holds the node with an id; nil when the node is no part of one.
func chainAt(parsed *ast.AST, id int64) (longest ast.Expr) {
	ast.PreOrderVisit(parsed.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if longest != nil || pathOf(e) == nil {
			return
		}
		for part := e; ; part = part.AsSelect().Operand() {
			if part.ID() == id {
				longest = e
				return
			}
			if part.Kind() != ast.SelectKind {
				return
			}
		}
	}))
	return longest
}
