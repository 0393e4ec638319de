package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
)

// spell gives what a method returned, without its error, in the spelling of vectors. A second result says whether there is a first.
func spell(results []reflect.Value) any {
	if len(results) == 0 || len(results) == 2 && !results[1].Bool() {
		return nil
	}
	return spellValue(results[0].Interface())
}

func spellValue(v any) any {
	switch v := v.(type) {
	case pdk.MultiMap:
		pairs := []any{}
		for name, value := range v.All() {
			pairs = append(pairs, []any{name, vectors.Spell(value)})
		}
		return map[string]any{"pairs": pairs, "truncated": v.Truncated()}
	case pdk.Query:
		pairs := []any{}
		for name, value := range v.All() {
			pairs = append(pairs, []any{vectors.Spell(name), spellValue(value)})
		}
		return map[string]any{"pairs": pairs, "truncated": v.Truncated()}
	case pdk.QueryValue:
		if v.Bare {
			return true
		}
		return vectors.Spell(v.Text)
	case pdk.Captures:
		named := map[string]any{}
		for name, value := range v.Named {
			named[name] = vectors.Spell(value)
		}
		return map[string]any{"unnamed": vectors.Spell(append([]string{}, v.Unnamed...)), "named": named}
	case *pdk.Span:
		if v == nil {
			return nil
		}
		r := v.Record()
		attributes := map[string]any{}
		maps.Copy(attributes, r.Attributes)
		return map[string]any{
			"name": r.Name, "attributes": vectors.Spell(attributes), "status": r.Status, "message": r.Message, "finished": v.Finished(),
		}
	case *pdk.Credential:
		if v == nil {
			return nil
		}
		return vectors.Spell(v.Map())
	}
	rv := reflect.ValueOf(v)
	switch {
	case rv.Kind() == reflect.Pointer && rv.IsNil():
		return nil
	case rv.Kind() == reflect.Pointer && rv.Elem().Kind() == reflect.Struct:
		return spellDocument(v)
	case rv.Kind() == reflect.Struct:
		return spellFields(rv)
	case rv.Kind() == reflect.Slice && rv.Type().Elem().Kind() == reflect.Pointer:
		list := make([]any, rv.Len())
		for i := range list {
			list[i] = spellValue(rv.Index(i).Interface())
		}
		return list
	}
	return vectors.Spell(v)
}

// spellDocument gives an entity as the wire has it.
func spellDocument(v any) any {
	doc, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T: %v", v, err)
	}
	return json.RawMessage(doc)
}

// spellFields gives a struct by the names of its fields, in lower case unless a tag says otherwise.
func spellFields(v reflect.Value) any {
	out := map[string]any{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		if f.Type.Kind() == reflect.Map && f.Type.Elem().Kind() == reflect.String {
			texts := map[string]any{}
			for it := v.Field(i).MapRange(); it.Next(); {
				texts[it.Key().String()] = vectors.Spell(it.Value().String())
			}
			out[name] = texts
			continue
		}
		out[name] = spellValue(v.Field(i).Interface())
	}
	return out
}
