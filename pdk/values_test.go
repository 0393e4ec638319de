package pdk_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
)

func TestMultiMap(t *testing.T) {
	m := pdk.NewMultiMap([]pdk.Pair{{"x-a", "1"}, {"x-empty", ""}, {"x-a", "2"}}, true)
	for _, name := range []string{"x-a", "X-A", "X_a"} {
		if v, ok := m.Get(name); v != "1" || !ok {
			t.Errorf("Get(%q) = %q, %v; expected the first value", name, v, ok)
		}
		if v := m.Values(name); !slices.Equal(v, []string{"1", "2"}) {
			t.Errorf("Values(%q) = %q", name, v)
		}
	}
	if v, ok := m.Get("x-empty"); v != "" || !ok {
		t.Errorf("an empty value: %q, %v", v, ok)
	}
	if v, ok := m.Get("x-ab"); v != "" || ok || m.Values("x-ab") != nil {
		t.Errorf("an absent name: %q, %v, %q", v, ok, m.Values("x-ab"))
	}
	if m.Len() != 3 || !m.Truncated() {
		t.Errorf("Len %d, Truncated %v", m.Len(), m.Truncated())
	}
	var order []string
	for name, value := range m.All() {
		order = append(order, name+"="+value)
		if len(order) == 2 {
			break
		}
	}
	if !slices.Equal(order, []string{"x-a=1", "x-empty="}) {
		t.Errorf("All gives %q", order)
	}
	if got := m.Map(); !reflect.DeepEqual(got, map[string][]string{"x-a": {"1", "2"}, "x-empty": {""}}) {
		t.Errorf("Map gives %v", got)
	}
	var none pdk.MultiMap
	if _, ok := none.Get("x"); ok || none.Len() != 0 || none.Truncated() || len(none.Map()) != 0 {
		t.Error("the zero MultiMap is not empty")
	}
}

func TestQuery(t *testing.T) {
	q := pdk.NewQuery([]pdk.QueryArg{{"a", pdk.QueryValue{Text: "1"}}, {"flag", pdk.QueryValue{Bare: true}}, {"a", pdk.QueryValue{}}}, false)
	if v, ok := q.Get("a"); v.Text != "1" || v.Bare || !ok {
		t.Errorf("Get(a) = %v, %v", v, ok)
	}
	if v, ok := q.Get("flag"); !v.Bare || !ok {
		t.Errorf("Get(flag) = %v, %v", v, ok)
	}
	if _, ok := q.Get("A"); ok {
		t.Error("case must matter")
	}
	if v := q.Values("a"); !slices.Equal(v, []pdk.QueryValue{{Text: "1"}, {}}) {
		t.Errorf("Values(a) = %v", v)
	}
	if q.Len() != 3 || q.Truncated() {
		t.Errorf("Len %d, Truncated %v", q.Len(), q.Truncated())
	}
	var order []string
	for name := range q.All() {
		order = append(order, name)
	}
	if !slices.Equal(order, []string{"a", "flag", "a"}) {
		t.Errorf("All gives %q", order)
	}
	if got := q.Map(); !reflect.DeepEqual(got, map[string][]pdk.QueryValue{"a": {{Text: "1"}, {}}, "flag": {{Bare: true}}}) {
		t.Errorf("Map gives %v", got)
	}
}

func TestCredentialIsFlatInJSON(t *testing.T) {
	const text = `{"consumer_id":"c1","id":"k1","key":"secret","ttl":5}`
	var c pdk.Credential
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if c.ID != "k1" || c.ConsumerID != "c1" || c.Fields["key"] != "secret" || len(c.Fields) != 2 {
		t.Errorf("found %+v", c)
	}
	out, err := json.Marshal(c)
	if err != nil || string(out) != text {
		t.Errorf("found %s, %v, expected %s", out, err, text)
	}
	if out, _ := json.Marshal(&pdk.Credential{}); string(out) != "{}" {
		t.Errorf("an empty credential: %s", out)
	}
	if err := json.Unmarshal([]byte(`[]`), &c); err == nil {
		t.Error("a list was taken for a credential")
	}
}

// TestEntitiesHaveTheFieldsOfTheDeclarativeFormat holds the structs of plugins and those of the host together, by their JSON names. The
// host's are read as text, because its packages are its own.
func TestEntitiesHaveTheFieldsOfTheDeclarativeFormat(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../host/internal/entity/entity.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	host := map[string][]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if fields, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range fields.Fields.List {
				if f.Tag == nil {
					continue
				}
				if tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"); tag != "-" {
					host[spec.Name.Name] = append(host[spec.Name.Name], tag)
				}
			}
		}
		return false
	})
	for _, kind := range []reflect.Type{reflect.TypeFor[pdk.Route](), reflect.TypeFor[pdk.Service](), reflect.TypeFor[pdk.Consumer]()} {
		var tags []string
		for i := range kind.NumField() {
			tags = append(tags, kind.Field(i).Tag.Get("json"))
		}
		if want := host[kind.Name()]; !slices.Equal(tags, want) {
			t.Errorf("%s has the fields %q, the host's has %q", kind, tags, want)
		}
	}
}

func TestRouteReadsAWholeServiceAsItsId(t *testing.T) {
	var r pdk.Route
	err := json.Unmarshal([]byte(`{"id":"r","service":{"id":"s","name":"shop","port":80}}`), &r)
	if err != nil || r.Service == nil || r.Service.ID != "s" {
		t.Errorf("found %+v, %v", r, err)
	}
}
