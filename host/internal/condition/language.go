package condition

import (
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

// lang is CEL with our variables and functions. It is made once and not changed.
type lang struct {
	env       *cel.Env
	variables map[string]*variable
}

// language is made by the first condition: most gateways have none.
var language = sync.OnceValues(newLanguage)

const (
	maxNodes     = 600  // of the expression's tree
	maxDepth     = 40   // of it
	maxRegexSize = 1000 // instructions of one regular expression
)

func newLanguage() (*lang, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	l := &lang{variables: map[string]*variable{}}
	options := []cel.EnvOption{
		cel.CustomTypeProvider(provider{registry}),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserRecursionLimit(maxDepth),
		cel.ExpressionNodeLimit(maxNodes),
		cel.ExpressionNestingDepthLimit(maxDepth),
		cel.RegexProgramSizeLimit(maxRegexSize),
		cel.ASTValidators(cel.ValidateRegexLiterals()),
		ext.Strings(),
		ext.Network(),
		defaultFunction(),
	}
	for _, v := range declared() {
		l.variables[v.name] = &v
		options = append(options, cel.Variable(v.name, v.typ))
	}
	l.env, err = cel.NewEnv(options...)
	return l, err
}

// defaultFunction declares default(expression, fallback): the fallback when the expression fails or is null. Kong has it around a whole
// condition only, for errors only; here it may stand anywhere.
func defaultFunction() cel.EnvOption {
	t := cel.TypeParamType("T")
	return cel.Function("default", cel.Overload("default_value", []*cel.Type{t, t}, t,
		cel.OverloadIsNonStrict(),
		cel.BinaryBinding(func(value, fallback ref.Val) ref.Val {
			if types.IsError(value) || value == types.NullValue {
				return fallback
			}
			return value
		})))
}

// sizes tells how large the values of a request may be when the cost of a condition is estimated. They are no limits: the cost of what is
// really there is counted while the condition is evaluated.
type sizes struct{}

const (
	textSize = 8192 // characters of a path, a header, a value in kong.ctx.shared
	itemSize = 256  // characters of an element of a list
	listSize = 64   // elements of a list or a map
)

// EstimateSize implements cost.Estimator.
func (sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	size := cost.RangedSizeEstimate(0, textSize)
	text, item, entries := size, cost.RangedSizeEstimate(0, itemSize), cost.RangedSizeEstimate(0, listSize)
	path := node.Path()
	switch node.Type().Kind() {
	case types.ListKind:
		size = cost.ListSizeEstimate(entries, item)
	case types.MapKind:
		size = cost.MapSizeEstimate(entries, item, text)
	case types.DynKind, types.AnyKind:
		size.Elem = &item // a text, or a list of shorter ones
	default:
		if len(path) > 1 && path[len(path)-1] == "@items" {
			size = item
		}
	}
	return &size
}

// EstimateCallCost implements cost.Estimator: the library knows its functions.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
