package condition

import (
	"fmt"
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// pluginTypeName is the type of plugins.<name> in messages of the type checker.
const pluginTypeName = "plugin"

// Fields of plugins.<name>.
const (
	fieldMatched   = "is_matched"
	fieldPriority  = "priority"
	fieldAccessRan = "access_has_executed"
)

var pluginFields = []string{fieldAccessRan, fieldMatched, fieldPriority}

// pluginValue is plugins.<name>. Without a record of the plugin all its fields are null.
type pluginValue struct {
	state      PluginState
	configured bool
}

func (p *pluginValue) field(name string) ref.Val {
	switch {
	case !p.configured:
	case name == fieldMatched:
		return types.Bool(p.state.Matched)
	case name == fieldAccessRan:
		return types.Bool(p.state.AccessRan)
	case name == fieldPriority && p.state.Matched:
		return types.Int(p.state.Priority)
	}
	return types.NullValue
}

// Get implements traits.Indexer.
func (p *pluginValue) Get(name ref.Val) ref.Val {
	s, _ := name.(types.String)
	return p.field(string(s))
}

// ConvertToNative implements ref.Val.
func (p *pluginValue) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a plugin's state has no form as %s", t)
}

// ConvertToType implements ref.Val.
func (p *pluginValue) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("a plugin's state has no form as %s", t.TypeName())
}

// Equal implements ref.Val.
func (p *pluginValue) Equal(other ref.Val) ref.Val {
	o, ok := other.(*pluginValue)
	return types.Bool(ok && *p == *o)
}

// Type implements ref.Val.
func (p *pluginValue) Type() ref.Type { return types.NewObjectType(pluginTypeName) }

// Value implements ref.Val.
func (p *pluginValue) Value() any { return p }

// provider adds the type of plugins.<name> to CEL's own types.
type provider struct{ *types.Registry }

// FindStructType implements types.Provider.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if name == pluginTypeName {
		return types.NewTypeTypeWithParam(types.NewObjectType(pluginTypeName)), true
	}
	return p.Registry.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	if name == pluginTypeName {
		return pluginFields, true
	}
	return p.Registry.FindStructFieldNames(name)
}

// FindStructFieldType implements types.Provider.
func (p provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if name != pluginTypeName {
		return p.Registry.FindStructFieldType(name, field)
	}
	t := types.BoolType
	switch field {
	case fieldPriority:
		t = types.IntType
	case fieldMatched, fieldAccessRan:
	default:
		return nil, false
	}
	return &types.FieldType{
		Type:    t,
		IsSet:   func(target any) bool { return target.(*pluginValue).field(field) != types.NullValue },
		GetFrom: func(target any) (any, error) { return target.(*pluginValue).field(field), nil },
	}, true
}
