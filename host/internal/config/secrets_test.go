package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

const secretSchema = `{
  "type": "object", "additionalProperties": false,
  "properties": {
    "password": {"type": "string", "x-secret": true, "x-referenceable": true, "minLength": 8},
    "url": {"type": "string", "x-referenceable": true},
    "plain": {"type": "string", "readOnly": true},
    "hidden": {"type": "string", "x-secret": true},
    "tokens": {"type": "array", "items": {"type": "string", "x-referenceable": true}},
    "headers": {"type": "object", "x-referenceable": true, "additionalProperties": {"type": "string"}},
    "deep": {"type": "object", "properties": {"list": {"type": "array", "items": {"$ref": "#/$defs/item"}}}}
  },
  "$defs": {"item": {"type": "object", "properties": {"key": {"type": "string", "x-referenceable": true}, "name": {"type": "string"}}}}
}`

// vault knows a few secrets.
type vault map[string]string

func (vault) IsReference(text string) bool { return strings.HasPrefix(text, "{vault://") }

func (v vault) Get(reference string) (string, error) {
	if s, ok := v[reference]; ok {
		return s, nil
	}
	return "", errors.New("there is no such variable")
}

// OnFailure takes the policy from the beginning of the reference.
func (v vault) OnFailure(reference string) string {
	for _, policy := range []string{entity.OnFailureEmpty, entity.OnFailureRequest} {
		if strings.HasPrefix(reference, "{vault://"+strings.ReplaceAll(policy, "_", "-")) {
			return policy
		}
	}
	return entity.OnFailureReject
}

func resolveSecrets(t *testing.T, config string) (*entity.Plugin, error) {
	t.Helper()
	set := mustParse(t, "_format_version: '3.0'\nplugins:\n- name: s\n  config:\n"+config)
	v := vault{"{vault://env/long}": "long enough", "{vault://env/short}": "short", "{vault://env/url}": "http://secret.example"}
	return set.Plugins[0], ResolvePlugins(set, []entity.Manifest{{Name: "s", Schema: []byte(secretSchema)}}, v)
}

func TestReferencesBecomeSecrets(t *testing.T) {
	p, err := resolveSecrets(t, `
    password: "{vault://env/long}"
    url: "{vault://env/url}"
    plain: "{vault://env/nothing}"
    hidden: "written in the file"
    tokens: [a, "{vault://env/short}"]
    headers: {X-A: "{vault://env/short}", X-B: b}
    deep: {list: [{key: "{vault://env/url}", name: "{vault://env/nothing}"}]}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"password": "long enough", "url": "http://secret.example", "plain": "{vault://env/nothing}", "hidden": "written in the file",
		"tokens": []any{"a", "short"}, "headers": map[string]any{"X-A": "short", "X-B": "b"},
		"deep": map[string]any{"list": []any{map[string]any{"key": "http://secret.example", "name": "{vault://env/nothing}"}}},
	}
	if got := p.Effective(); !reflect.DeepEqual(got, want) {
		t.Errorf("the instance gets %v, want %v", got, want)
	}
	if p.Config["password"] != "{vault://env/long}" || p.Config["tokens"].([]any)[1] != "{vault://env/short}" {
		t.Errorf("the record no longer holds its references: %v", p.Config)
	}
	text := p.Redact("long enough, http://secret.example, \"written in the file\" and short, but not b")
	if want := "***, ***, \"***\" and ***, but not b"; text != want {
		t.Errorf("redacted: %s, want %s", text, want)
	}
}

func TestNoReferences(t *testing.T) {
	p, err := resolveSecrets(t, "    url: http://plain.example\n    plain: '{vault://env/long}'\n")
	if err != nil || p.Resolved != nil || len(p.Secrets) != 0 {
		t.Errorf("resolved %v, secrets %v, %v", p.Resolved, p.Secrets, err)
	}
}

func TestReferencesThatAreRefused(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{
		{
			"no such secret", "    url: x\n    tokens: [a, '{vault://env/gone}']\n",
			`config gateway.yaml:6:17: plugins[0].config.tokens[1]: found "{vault://env/gone}", expected a reference that leads to a secret: there is no such variable`,
		},
		{
			"the schema refuses the secret", "    password: '{vault://env/short}'\n",
			`config gateway.yaml:5:15: plugins[0].config.password: found a value that is not shown, expected at least 8 characters`,
		},
	} {
		_, err := resolveSecrets(t, c.config)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.name, err, c.want)
		}
	}
}

func TestRedactFindsEscapedSecrets(t *testing.T) {
	p := &entity.Plugin{Secrets: []string{"a\"b\nü", "a"}}
	if got := p.Redact(`found "a\"b\nü", raw a"b` + "\nü" + `, ascii a\"b\n\u00fc.`); strings.ContainsAny(got, "ü") || strings.Contains(got, "fc") {
		t.Errorf("redacted: %s", got)
	}
}
