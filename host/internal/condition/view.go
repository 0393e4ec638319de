package condition

import (
	"reflect"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// viewKind says what a view shows.
type viewKind int

const (
	headerTexts viewKind = iota
	headerLists
	queryTexts
	queryLists
	sharedValues
	pluginStates
	viewCount
)

func (k viewKind) read(a *activation) ref.Val { return &a.views[k] }

// view is a map of the request that looks up one name at a time, without making the map. It is made when an expression walks over all
// names or looks up many of them, so that the work grows with the request and not with its square.
type view struct {
	a    *activation
	kind viewKind

	lookups int
	made    map[string]ref.Val // nil: not made
	order   []string           // names of made, in the order of the request
}

// maxLookups is how many names are looked up in one evaluation before the map is made.
const maxLookups = 8

var _ traits.Mapper = (*view)(nil)

func (v *view) reset() { v.lookups, v.made, v.order = 0, nil, nil }

// find gives the value under a name; nil when there is none.
func (v *view) find(name string) ref.Val {
	if v.kind == pluginStates {
		state, ok := v.a.facts.PluginState(VariableName(name))
		return &pluginValue{state: state, configured: ok}
	}
	if v.lookups++; v.lookups > maxLookups {
		v.make()
	}
	if v.made != nil {
		return v.made[v.spelling(name)]
	}
	switch v.kind {
	case headerTexts:
		for _, h := range v.a.request().Headers {
			if local.SameHeader(h.Name, name) {
				return types.String(h.Value)
			}
		}
	case headerLists:
		var values []string
		for _, h := range v.a.request().Headers {
			if local.SameHeader(h.Name, name) {
				values = append(values, h.Value)
			}
		}
		return listOrNil(values)
	case queryTexts:
		for query := v.a.request().RawQuery; query != ""; {
			var n, value string
			if n, value, query = nextArg(query); n != "" && local.DecodeQuery(n) == name {
				return types.String(local.DecodeQuery(value))
			}
		}
	case queryLists:
		var values []string
		for query := v.a.request().RawQuery; query != ""; {
			var n, value string
			if n, value, query = nextArg(query); n != "" && local.DecodeQuery(n) == name {
				values = append(values, local.DecodeQuery(value))
			}
		}
		return listOrNil(values)
	case sharedValues:
		for _, s := range v.a.facts.LiveFacts().Shared {
			if s.Key == name {
				return sharedValue(s)
			}
		}
	}
	return nil
}

// make makes the map. That of plugins stays empty: they cannot be listed.
func (v *view) make() {
	if v.made != nil {
		return
	}
	v.made = map[string]ref.Val{}
	add := func(name string, value ref.Val) {
		if _, there := v.made[name]; !there { // the first one counts
			v.made[name] = value
			v.order = append(v.order, name)
		}
	}
	lists := map[string][]string{}
	switch v.kind {
	case headerTexts:
		for _, h := range v.a.request().Headers {
			add(v.spelling(h.Name), types.String(h.Value))
		}
	case headerLists:
		for _, h := range v.a.request().Headers {
			name := v.spelling(h.Name)
			lists[name] = append(lists[name], h.Value)
			add(name, nil)
		}
	case queryTexts, queryLists:
		for query := v.a.request().RawQuery; query != ""; {
			var n, value string
			if n, value, query = nextArg(query); n == "" {
				continue
			}
			name, value := local.DecodeQuery(n), local.DecodeQuery(value)
			if v.kind == queryLists {
				lists[name] = append(lists[name], value)
			}
			add(name, types.String(value))
		}
	case sharedValues:
		for _, s := range v.a.facts.LiveFacts().Shared {
			add(s.Key, sharedValue(s))
		}
	}
	for name, values := range lists {
		v.made[name] = list(values)
	}
}

// spelling is how the made map spells a name.
func (v *view) spelling(name string) string {
	if v.kind == headerTexts || v.kind == headerLists {
		return strings.ReplaceAll(strings.ToLower(name), "-", "_")
	}
	return name
}

func listOrNil(values []string) ref.Val {
	if values == nil {
		return nil
	}
	return list(values)
}

func sharedValue(s wire.SharedValue) ref.Val {
	value, err := wire.DecodeValue(s.Value)
	if err != nil {
		return types.NewErr("kong.ctx.shared.%s: %v", s.Key, err)
	}
	return types.DefaultTypeAdapter.NativeToValue(value)
}

// nextArg cuts the first argument off a raw query, still encoded.
func nextArg(query string) (name, value, rest string) {
	part, rest, _ := strings.Cut(query, "&")
	name, value, _ = strings.Cut(part, "=")
	return name, value, rest
}

// whole is the made map as CEL's own.
func (v *view) whole() traits.Mapper {
	v.make()
	return types.NewDynamicMap(types.DefaultTypeAdapter, v.made)
}

// names lists the names of the map, each once.
func (v *view) names() []string {
	v.make()
	return v.order
}

// Find implements traits.Mapper. A missing name is null, but in kong.ctx.shared it is missing.
func (v *view) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key), false
	}
	if value := v.find(string(name)); value != nil {
		return value, true
	}
	if v.kind == sharedValues {
		return nil, false
	}
	return types.NullValue, true
}

// Get implements traits.Indexer.
func (v *view) Get(key ref.Val) ref.Val {
	value, found := v.Find(key)
	if found || value != nil {
		return value
	}
	return types.NewErr("no such key: %v", key)
}

// Contains implements traits.Container.
func (v *view) Contains(key ref.Val) ref.Val {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key)
	}
	value := v.find(string(name))
	if state, ok := value.(*pluginValue); ok {
		return types.Bool(state.configured)
	}
	return types.Bool(value != nil)
}

// Iterator implements traits.Iterable.
func (v *view) Iterator() traits.Iterator { return list(v.names()).(traits.Iterable).Iterator() }

// Size implements traits.Sizer.
func (v *view) Size() ref.Val { return types.Int(len(v.names())) }

// ConvertToNative implements ref.Val.
func (v *view) ConvertToNative(t reflect.Type) (any, error) { return v.whole().ConvertToNative(t) }

// ConvertToType implements ref.Val.
func (v *view) ConvertToType(t ref.Type) ref.Val { return v.whole().ConvertToType(t) }

// Equal implements ref.Val.
func (v *view) Equal(other ref.Val) ref.Val {
	if o, ok := other.(*view); ok {
		other = o.whole()
	}
	return v.whole().Equal(other)
}

// Type implements ref.Val.
func (v *view) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (v *view) Value() any { return v }
