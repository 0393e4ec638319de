package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

const helloSchema = `{
  "type": "object", "additionalProperties": false, "required": ["greeting"],
  "properties": {
    "greeting": {"type": "string", "minLength": 1, "default": "hello"},
    "count": {"type": "integer", "minimum": 1, "maximum": 10, "default": 3},
    "ratio": {"type": "number", "exclusiveMinimum": 0},
    "mode": {"enum": ["fast", "safe"], "default": "safe"},
    "on": {"type": "boolean"},
    "values": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": true},
    "password": {"type": "string", "x-secret": true, "minLength": 8},
    "nested": {"type": "object", "writeOnly": true, "properties": {"token": {"type": "string", "pattern": "^t-"}}},
    "limits": {"type": "object", "default": {}, "additionalProperties": false, "properties": {
      "n": {"type": "integer", "default": 7}, "unit": {"type": "string", "default": "s"}}},
    "rules": {"type": "array", "items": {"$ref": "#/$defs/rule"}},
    "labels": {"type": "object", "additionalProperties": {"$ref": "#/$defs/rule"}},
    "either": {"anyOf": [{"type": "string", "minLength": 3}, {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}]}
  },
  "$defs": {"rule": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "weight": {"type": "integer", "default": 1}}}}
}`

func manifests() []entity.Manifest {
	return []entity.Manifest{
		{Name: "hello-go", Server: "go", Phases: []string{"access"}, Schema: []byte(helloSchema)},
		{Name: "key-auth", Phases: []string{"access"}, Schema: []byte(`{"type":"object","additionalProperties":false,"properties":{}}`), Authenticates: true},
		{Name: "login-py", Server: "py", Phases: []string{"access"}, Authenticates: true, FailMode: "open"},
	}
}

// resolveText is Parse and ResolvePlugins of a document with the given plugin records.
func resolveText(t *testing.T, plugins string) (*entity.Set, error) {
	t.Helper()
	set := mustParse(t, "_format_version: '3.0'\nconsumers: [{username: ann}]\nconsumer_groups: [{name: gold}]\nplugins:\n"+plugins)
	return set, ResolvePlugins(set, manifests(), nil)
}

func TestResolveFillsDefaults(t *testing.T) {
	set, err := resolveText(t, `
- name: hello-go
  config:
    greeting: null
    rules: [{name: a}, {name: b, weight: 2}]
    labels: {x: {name: c}}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"greeting": "hello", "count": int64(3), "mode": "safe", "limits": map[string]any{"n": int64(7), "unit": "s"},
		"rules":  []any{map[string]any{"name": "a", "weight": int64(1)}, map[string]any{"name": "b", "weight": int64(2)}},
		"labels": map[string]any{"x": map[string]any{"name": "c", "weight": int64(1)}},
	}
	if got := set.Plugins[0].Config; !reflect.DeepEqual(got, want) {
		t.Errorf("config is %#v, want %#v", got, want)
	}
	if err := ResolvePlugins(set, manifests(), nil); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

// What is null is not there, also where a schema does not know the field or wants something else in it. A null in a list is none of these.
func TestResolveLeavesNullsOut(t *testing.T) {
	set, err := resolveText(t, `
- name: hello-go
  config: {greeting: hi, later: null, on: null, values: null, ratio: null, mode: null, either: null, limits: {n: 1, m: null}, rules: [{name: a, weight: null}]}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"greeting": "hi", "count": int64(3), "mode": "safe", "limits": map[string]any{"n": int64(1), "unit": "s"},
		"rules": []any{map[string]any{"name": "a", "weight": int64(1)}},
	}
	if got := set.Plugins[0].Config; !reflect.DeepEqual(got, want) {
		t.Errorf("config is %#v, want %#v", got, want)
	}
	for config, want := range map[string]string{
		"{values: [null]}":         `plugins[0].config.values[0]: found null, expected a string`,
		"{rules: [{name: null}]}":  `plugins[0].config.rules[0]: found no "name", expected this key`,
		"{later: null, latter: 1}": `plugins[0].config.latter: found unknown key "latter"`,
	} {
		if _, err := resolveText(t, "- name: hello-go\n  config: "+config+"\n"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "later") {
			t.Errorf("%s: found %v, expected %s", config, err, want)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	for _, c := range []struct{ name, plugins, want string }{
		{"unknown plugin", "- name: helo-go\n", `gateway.yaml:5:9: plugins[0].name: found "helo-go", expected a plugin that is loaded (plugin server "go": hello-go; built in: key-auth; plugin server "py": login-py) (nearest: hello-go)`},
		{"unknown key", "- name: hello-go\n  config:\n    greting: hi\n", `gateway.yaml:7:5: plugins[0].config.greting: found unknown key "greting", expected a key of the configuration (nearest: greeting)`},
		{"type", "- name: hello-go\n  config: {on: 'yes'}\n", `gateway.yaml:6:16: plugins[0].config.on: found "yes", expected true or false (fix: write true without quotes)`},
		{"list", "- name: hello-go\n  config: {values: x}\n", `plugins[0].config.values: found "x", expected a list (fix: write ["x"])`},
		{"range", "- name: hello-go\n  config: {count: 11}\n", `plugins[0].config.count: found 11, expected a number of at most 10`},
		{"enum", "- name: hello-go\n  config: {mode: save}\n", `plugins[0].config.mode: found "save", expected one of "fast", "safe" (nearest: safe)`},
		{"min length", "- name: hello-go\n  config: {greeting: ''}\n", `plugins[0].config.greeting: found "", expected at least 1 character`},
		{"item", "- name: hello-go\n  config:\n    values:\n    - a\n    - 5\n", `gateway.yaml:9:7: plugins[0].config.values[1]: found 5, expected a string (fix: write "5" with the quotes)`},
		{"unique", "- name: hello-go\n  config: {values: [a, b, a]}\n", `plugins[0].config.values[2]: found the same item as item 0, expected each item once`},
		{"min items", "- name: hello-go\n  config: {values: []}\n", `plugins[0].config.values: found an empty list, expected at least 1 item`},
		{"nested required", "- name: hello-go\n  config:\n    rules:\n    - weight: 2\n", `gateway.yaml:8:7: plugins[0].config.rules[0]: found no "name", expected this key, which the plugin requires`},
		{"any of", "- name: hello-go\n  config: {either: 5}\n", `plugins[0].config.either: found 5, expected a string, or a mapping`},
		{"any of, one fits", "- name: hello-go\n  config: {either: {a: x}}\n", `plugins[0].config.either.a: found "x", expected a whole number`},
		{"nested unknown", "- name: hello-go\n  config: {limits: {m: 1}}\n", `gateway.yaml:6:21: plugins[0].config.limits.m: found unknown key "m", expected one of the keys n, unit`},
		{"secret", "- name: hello-go\n  config: {password: hunter2}\n", `plugins[0].config.password: found a value that is not shown, expected at least 8 characters`},
		{"secret below", "- name: hello-go\n  config: {nested: {token: hunter2}}\n", `plugins[0].config.nested.token: found a value that is not shown, expected text that matches ^t-`},
		{"consumer scope", "- name: key-auth\n  consumer: ann\n", `gateway.yaml:6:13: plugins[0].consumer: found a record of "key-auth" for a consumer, expected a record without it: the plugin cannot depend on the consumer`},
		{"group scope", "- name: key-auth\n  consumer_group: gold\n", `plugins[0].consumer_group: found a record of "key-auth" for a consumer group`},
		{"fail open", "- name: key-auth\n  fail_mode: open\n", `gateway.yaml:6:14: plugins[0].fail_mode: found fail_mode open on "key-auth", which authenticates, expected fail_mode closed (fix: write fail_mode: closed, or allow_fail_open: true`},
		{"fail open of the server", "- name: login-py\n", `gateway.yaml:5:3: plugins[0].fail_mode: found fail_mode open, which is that of plugin server "py", on "login-py", which authenticates`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := resolveText(t, c.plugins)
			var errs Errors
			if !errors.As(err, &errs) || len(errs) != 1 {
				t.Fatalf("got %v, want one error", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the secret is in the text")
			}
		})
	}
	for _, ok := range []string{"- {name: login-py, fail_mode: closed}", "- {name: login-py, allow_fail_open: true}", "- {name: key-auth}", "- {name: hello-go, fail_mode: open, consumer: ann}"} {
		if _, err := resolveText(t, ok+"\n"); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
}

func TestResolveManifests(t *testing.T) {
	for _, c := range []struct {
		name     string
		manifest entity.Manifest
		want     string
	}{
		{"response and filter", entity.Manifest{Name: "x", Server: "s", Phases: []string{"response", "header_filter"}}, `config: plugin server "s": plugin "x": found phases response, header_filter, expected either response, or header_filter and body_filter`},
		{"phase", entity.Manifest{Name: "x", Phases: []string{"acces"}}, `config: plugin "x": found phase "acces", expected phases of rewrite`},
		{"need", entity.Manifest{Name: "x", Needs: []string{"body"}}, `found the need "body"`},
		{"twice", entity.Manifest{Name: "key-auth", Server: "s"}, `plugin server "s": plugin "key-auth": found the name "key-auth" again, expected a name that no other plugin has: it is that of a plugin of the gateway itself too`},
		{"not JSON", entity.Manifest{Name: "x", Schema: []byte(`{`)}, `found a configuration schema with a mistake: not JSON`},
		{"not a schema", entity.Manifest{Name: "x", Schema: []byte(`{"type": "strin"}`)}, `found a configuration schema with a mistake`},
		{"far schema", entity.Manifest{Name: "x", Schema: []byte(`{"$ref": "http://127.0.0.1:1/x"}`)}, `a schema may only refer to itself`},
		{"file schema", entity.Manifest{Name: "x", Schema: []byte(`{"$ref": "file:///etc/passwd"}`)}, `a schema may only refer to itself`},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := ResolvePlugins(Empty(), append(manifests(), c.manifest), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestHostileSchemas wants an answer, whatever it is: no endless recursion, no panic.
func TestHostileSchemas(t *testing.T) {
	for _, schema := range []string{
		`{"$ref": "#"}`,
		`{"anyOf": [{"$ref": "#"}]}`,
		`{"allOf": [{"$ref": "#"}], "properties": {"a": {"$ref": "#"}}}`,
		`{"properties": {"a": {"default": {}, "$ref": "#"}, "b": {"default": {}, "$ref": "#"}}}`,
		`{"properties": {"greeting": {"anyOf": [{"$ref": "#/properties/greeting"}, {"type": "null"}]}}}`,
		`true`, `false`, `[]`, `5`, `null`, `{"properties": {"greeting": false}}`,
		`{"additionalProperties": {"$dynamicRef": "#x"}, "$dynamicAnchor": "x"}`,
		`{"unevaluatedProperties": false}`, `{"propertyNames": {"maxLength": 2}}`, `{"not": {}}`, `{"dependentRequired": {"greeting": ["x"]}}`,
		`{"if": {"required": ["greeting"]}, "then": {"required": ["y"]}}`, `{"type": "array"}`, `{"properties": {"greeting": {"const": 5}}}`,
		`{"oneOf": [{}, {}]}`, `{"minProperties": 5}`, `{"maxProperties": 0}`,
	} {
		t.Run(schema, func(t *testing.T) {
			set := mustParse(t, "_format_version: '3.0'\nplugins: [{name: x, config: {greeting: {greeting: null, l: [1]}}}]")
			err := ResolvePlugins(set, []entity.Manifest{{Name: "x", Schema: []byte(schema)}}, nil)
			if err != nil && !strings.HasPrefix(err.Error(), "config") {
				t.Errorf("error %v", err)
			}
			t.Log(err)
		})
	}
}
