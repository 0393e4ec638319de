package condition

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// rewrite changes a parsed expression where conditions differ from plain CEL:
//
//   - a value compared with null may be of any type: a text or a list that is not there is null, as in Kong
//   - has(consumer.id) and has(http.headers.x) ask whether the value is null; has(plugins.x) asks for plugins.x.is_matched
//   - starts_with and ends_with, which Kong 3.15 has, are startsWith and endsWith
func rewrite(a *ast.AST) {
	r := rewriter{factory: ast.NewExprFactory(), source: a.SourceInfo(), next: ast.MaxID(a)}
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.ComprehensionKind {
			r.own = append(r.own, e.AsComprehension().IterVar(), e.AsComprehension().IterVar2())
		}
	}))
	ast.PostOrderVisit(a.Expr(), ast.NewExprVisitor(r.visit))
}

type rewriter struct {
	factory ast.ExprFactory
	source  *ast.SourceInfo
	next    int64    // the next free id
	own     []string // names that the expression itself gives to elements of lists
}

func (r *rewriter) visit(e ast.Expr) {
	switch e.Kind() {
	case ast.SelectKind:
		if s := e.AsSelect(); s.IsTestOnly() {
			r.presence(e, s)
		}
	case ast.CallKind:
		call := e.AsCall()
		args := call.Args()
		switch name := call.FunctionName(); {
		case (name == operators.Equals || name == operators.NotEquals) && len(args) == 2:
			switch {
			case isNull(args[1]):
				e.SetKindCase(r.factory.NewCall(e.ID(), name, r.untyped(args[0]), args[1]))
			case isNull(args[0]):
				e.SetKindCase(r.factory.NewCall(e.ID(), name, args[0], r.untyped(args[1])))
			}
		case name == "starts_with" && call.IsMemberFunction():
			e.SetKindCase(r.factory.NewMemberCall(e.ID(), "startsWith", call.Target(), args...))
		case name == "ends_with" && call.IsMemberFunction():
			e.SetKindCase(r.factory.NewMemberCall(e.ID(), "endsWith", call.Target(), args...))
		}
	}
}

// presence rewrites has(operand.field) where a value that is not there is null.
func (r *rewriter) presence(e ast.Expr, s ast.SelectExpr) {
	path := pathOf(s.Operand())
	if len(path) == 0 || slices.Contains(r.own, path[0]) || path[0] == "kong" || path[0] == "plugins" && len(path) > 1 {
		return
	}
	field := r.factory.NewSelect(r.id(e), s.Operand(), s.FieldName())
	if path[0] == "plugins" {
		field = r.factory.NewSelect(r.id(e), field, fieldMatched)
	}
	e.SetKindCase(r.factory.NewCall(e.ID(), operators.NotEquals, r.untyped(field), r.factory.NewLiteral(r.id(e), types.NullValue)))
}

// untyped is dyn(e).
func (r *rewriter) untyped(e ast.Expr) ast.Expr {
	if isNull(e) {
		return e
	}
	return r.factory.NewCall(r.id(e), "dyn", r.factory.CopyExpr(e))
}

// id is a new id at the place of an expression.
func (r *rewriter) id(of ast.Expr) int64 {
	r.next++
	if place, ok := r.source.GetOffsetRange(of.ID()); ok {
		r.source.SetOffsetRange(r.next, place)
	}
	return r.next
}

func isNull(e ast.Expr) bool { return e.Kind() == ast.LiteralKind && e.AsLiteral() == types.NullValue }

// pathOf are the names of a chain such as http.headers.x; nil when the expression is another one.
func pathOf(e ast.Expr) []string {
	switch e.Kind() {
	case ast.IdentKind:
		return []string{e.AsIdent()}
	case ast.SelectKind:
		if path := pathOf(e.AsSelect().Operand()); path != nil {
			return append(path, e.AsSelect().FieldName())
		}
	}
	return nil
}
