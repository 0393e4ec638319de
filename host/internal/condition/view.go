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

// view is a map of the request that looks up one name at a time, without making the map. Only an expression that walks over all names,
// counts them or compares the whole causes it to be made.
type view struct {
	a    *activation
	kind viewKind
}

var _ traits.Mapper = (*view)(nil)

// find gives the value under a name; nil when there is none.
func (v *view) find(name string) ref.Val {
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
	case pluginStates:
		state, ok := v.a.facts.PluginState(name)
		return &pluginValue{state: state, configured: ok}
	}
	return nil
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

// headerName is the spelling of a header's name in conditions.
func headerName(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "_") }

// names lists the names of the map in the order of the request, without repetitions. Plugins cannot be listed.
func (v *view) names() []string {
	var names []string
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	switch v.kind {
	case headerTexts, headerLists:
		for _, h := range v.a.request().Headers {
			add(headerName(h.Name))
		}
	case queryTexts, queryLists:
		for query := v.a.request().RawQuery; query != ""; {
			var n string
			if n, _, query = nextArg(query); n != "" {
				add(local.DecodeQuery(n))
			}
		}
	case sharedValues:
		for _, s := range v.a.facts.LiveFacts().Shared {
			add(s.Key)
		}
	}
	return names
}

// whole makes the map.
func (v *view) whole() traits.Mapper {
	values := map[string]any{}
	for _, name := range v.names() {
		values[name] = v.find(name)
	}
	return types.NewDynamicMap(types.DefaultTypeAdapter, values)
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
