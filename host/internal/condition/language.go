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

// sizes tells how large the values of a request may be when the cost of a condition is estimated.
type sizes struct {
	text uint64 // characters of a path, a header, a value in kong.ctx.shared
	item uint64 // characters of an element of a list
	list uint64 // elements of a list or a map
}

// usualSizes are large for a request, but no limit: a condition may cost MaxCost over them. largestSizes are
// twice what the settings max_header_size and max_shared allow unless they are raised: the cost of a condition that stays below MaxCost
// even over them is not counted while it is evaluated.
var (
	usualSizes   = sizes{text: 8 << 10, item: 256, list: 64}
	largestSizes = sizes{text: 128 << 10, item: 128 << 10, list: 16 << 10}
)

// EstimateSize implements cost.Estimator.
func (s sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	size, item, entries := cost.RangedSizeEstimate(0, s.text), cost.RangedSizeEstimate(0, s.item), cost.RangedSizeEstimate(0, s.list)
	path := node.Path()
	switch node.Type().Kind() {
	case types.ListKind:
		size = cost.ListSizeEstimate(entries, item)
	case types.MapKind:
		size = cost.MapSizeEstimate(entries, item, size)
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
