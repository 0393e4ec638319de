package config

import (
	"errors"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
	jskind "github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// withoutNulls removes the fields of configurations that are null and that their schema does not know: null is the same as nothing, and files that come
// out of Kong hold every field of a plugin, also those that newer versions have alone. It reports whether there were any; err is that of the schema about
// the first configuration, and the others have the same fields. (Nulls of fields that the schema knows are gone already, see fillDefaults.)
func withoutNulls(err error, configs ...map[string]any) bool {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return false
	}
	found := false
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			walk(cause)
		}
		k, ok := e.ErrorKind.(*jskind.AdditionalProperties)
		if !ok {
			return
		}
		for _, name := range k.Properties {
			for _, config := range configs {
				found = removeNull(config, e.InstanceLocation, name) || found
			}
		}
	}
	walk(invalid)
	return found
}

// removeNull removes a field of the mapping at a place if it is null.
func removeNull(config map[string]any, at []string, name string) bool {
	var v any = config
	for _, step := range at {
		switch inner := v.(type) {
		case map[string]any:
			v = inner[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(inner) {
				return false
			}
			v = inner[i]
		default:
			return false
		}
	}
	m, ok := v.(map[string]any)
	if value, there := m[name]; !ok || !there || value != nil {
		return false
	}
	delete(m, name)
	return true
}
