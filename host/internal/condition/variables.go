package condition

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// variable is one name that conditions may read.
type variable struct {
	name    string
	typ     *cel.Type
	absent  string // what stands for a value that is not there: "never", "null", "null for a missing name", "error for a missing name"
	mutable bool   // plugins may change it before the condition is evaluated
	read    func(a *activation) ref.Val
}

// What a variable, or a name in a map, is when there is nothing.
const (
	never       = "never"
	null        = "null"
	nullByName  = "null for a missing name"
	errorByName = "error for a missing name"
)

var (
	textType  = cel.StringType
	listType  = cel.ListType(cel.StringType)
	textsType = cel.MapType(cel.StringType, cel.StringType)
	listsType = cel.MapType(cel.StringType, listType)
	valueType = cel.MapType(cel.StringType, cel.DynType)
	stateType = cel.MapType(cel.StringType, cel.ObjectType(pluginTypeName))
)

// declared are the variables of conditions. Names are those that Kong documents for its conditions; http.scheme, http.port, http.version
// and net.forwarded are ours.
func declared() []variable {
	return []variable{
		{"http.method", textType, never, true, func(a *activation) ref.Val { return types.String(a.request().Method) }},
		{"http.scheme", textType, never, false, func(a *activation) ref.Val { return types.String(a.request().Scheme) }},
		{"http.host", textType, never, false, func(a *activation) ref.Val { return types.String(a.request().Host) }},
		{"http.port", cel.IntType, never, false, func(a *activation) ref.Val { return types.Int(a.request().Port) }},
		{"http.version", textType, never, false, func(a *activation) ref.Val { return version(a.request().HTTPVersion) }},
		{"http.path", textType, never, false, func(a *activation) ref.Val { return types.String(a.request().Path) }},
		{"http.path_segments", listType, never, false, func(a *activation) ref.Val { return list(segments(a.request().Path)) }},
		{"http.headers", textsType, nullByName, true, headerTexts.read},
		{"http.headers_list", listsType, nullByName, true, headerLists.read},
		{"http.queries", textsType, nullByName, true, queryTexts.read},
		{"http.queries_list", listsType, nullByName, true, queryLists.read},

		{"net.protocol", textType, never, false, func(a *activation) ref.Val { return types.String(a.request().Scheme) }},
		{"net.src.ip", textType, never, false, func(a *activation) ref.Val { return types.String(a.client().IP) }},
		{"net.src.port", cel.IntType, never, false, func(a *activation) ref.Val { return types.Int(a.client().Port) }},
		{"net.dst.port", cel.IntType, never, false, func(a *activation) ref.Val { return types.Int(a.request().Port) }},
		{"net.forwarded.ip", textType, never, false, forwardedIP},
		{"net.forwarded.port", cel.IntType, null, false, func(a *activation) ref.Val { return port(a.client().ForwardedPort) }},

		{"route.id", textType, null, false, ofRoute(func(r *entity.Route) ref.Val { return text(r.ID) })},
		{"route.name", textType, null, false, ofRoute(func(r *entity.Route) ref.Val { return text(r.Name) })},
		{"route.tags", listType, null, false, ofRoute(func(r *entity.Route) ref.Val { return tags(r.Tags) })},
		{"service.id", textType, null, false, ofService(func(s *entity.Service) ref.Val { return text(s.ID) })},
		{"service.name", textType, null, false, ofService(func(s *entity.Service) ref.Val { return text(s.Name) })},
		{"service.tags", listType, null, false, ofService(func(s *entity.Service) ref.Val { return tags(s.Tags) })},
		{"consumer.id", textType, null, true, ofConsumer(func(c *entity.Consumer) ref.Val { return text(c.ID) })},
		{"consumer.username", textType, null, true, ofConsumer(func(c *entity.Consumer) ref.Val { return text(c.Username) })},
		{"consumer.custom_id", textType, null, true, ofConsumer(func(c *entity.Consumer) ref.Val { return text(c.CustomID) })},
		{"consumer.tags", listType, null, true, ofConsumer(func(c *entity.Consumer) ref.Val { return tags(c.Tags) })},
		{"consumer_group.ids", listType, null, true, ofGroups(func(g wire.Group) string { return g.ID })},
		{"consumer_group.names", listType, null, true, ofGroups(func(g wire.Group) string { return g.Name })},

		{"kong.ctx.shared", valueType, errorByName, true, sharedValues.read},
		{"plugins", stateType, nullByName, true, pluginStates.read},
	}
}

// text is null when it is empty: entities leave out what they do not have.
func text(s string) ref.Val {
	if s == "" {
		return types.NullValue
	}
	return types.String(s)
}

func list(l []string) ref.Val { return types.NewStringList(types.DefaultTypeAdapter, l) }

func tags(l []string) ref.Val {
	if len(l) == 0 {
		return types.NullValue
	}
	return list(l)
}

func port(n int) ref.Val {
	if n <= 0 {
		return types.NullValue
	}
	return types.Int(n)
}

// version is the version of HTTP as Kong writes it.
func version(n int) ref.Val {
	switch n {
	case 10:
		return types.String("1.0")
	case 20:
		return types.String("2")
	case 30:
		return types.String("3")
	}
	return types.String("1.1")
}

// segments are the parts of a path between slashes that are not empty.
func segments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

func forwardedIP(a *activation) ref.Val {
	c := a.client()
	if c.ForwardedIP == "" {
		return types.String(c.IP)
	}
	return types.String(c.ForwardedIP)
}

func ofRoute(get func(*entity.Route) ref.Val) func(*activation) ref.Val {
	return func(a *activation) ref.Val {
		if r := a.facts.MatchedRoute(); r != nil {
			return get(r)
		}
		return types.NullValue
	}
}

func ofService(get func(*entity.Service) ref.Val) func(*activation) ref.Val {
	return func(a *activation) ref.Val {
		if s := a.facts.MatchedService(); s != nil {
			return get(s)
		}
		return types.NullValue
	}
}

func ofConsumer(get func(*entity.Consumer) ref.Val) func(*activation) ref.Val {
	return func(a *activation) ref.Val {
		if c := a.facts.AuthenticatedConsumer(); c != nil {
			return get(c)
		}
		return types.NullValue
	}
}

func ofGroups(get func(wire.Group) string) func(*activation) ref.Val {
	return func(a *activation) ref.Val {
		groups := a.facts.AuthenticatedGroups()
		if len(groups) == 0 {
			return types.NullValue
		}
		l := make([]string, len(groups))
		for i, g := range groups {
			l[i] = get(g)
		}
		return list(l)
	}
}
