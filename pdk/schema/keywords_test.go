package schema

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

type keywords struct {
	ID      string            `json:"id" schema:"format=uuid"`
	URL     string            `json:"url" schema:"format=url"`
	Host    string            `json:"host" schema:"format=host"`
	IP      string            `json:"ip" schema:"format=ip"`
	Nets    []string          `json:"nets" schema:"format=cidr,unique"`
	Header  string            `json:"header" schema:"format=header,pattern=^X-"`
	Method  string            `json:"method" schema:"format=method"`
	Path    string            `json:"path" schema:"format=path"`
	Regex   string            `json:"regex" schema:"format=regex"`
	Port    int               `json:"port" schema:"format=port"`
	Ratio   float64           `json:"ratio" schema:"above=0,below=1"`
	Labels  map[string]string `json:"labels" schema:"minprops=1,maxprops=2,keys=^[a-z]+$"`
	Secret  string            `json:"secret" schema:"secret,referenceable" doc:"the password"`
	Secrets []string          `json:"secrets" schema:"referenceable"`
	ByName  map[string]string `json:"by_name" schema:"referenceable"`
	Inner   *struct {
		Key string `json:"key" schema:"referenceable"`
	} `json:"inner"`
}

func TestKeywordsInTheSchema(t *testing.T) {
	doc, err := Of(&keywords{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"id":{"type":"string","format":"uuid","pattern":"^[0-9a-fA-F]{8}-`,
		`"nets":{"type":"array","items":{"type":"string","pattern":"^[0-9A-Fa-f:.]+/[0-9]{1,3}$"},"uniqueItems":true}`,
		`"header":{"type":"string","pattern":"^X-","allOf":[{"pattern":"^[!#`,
		`"port":{"type":"integer","minimum":0,"maximum":65535}`,
		`"ratio":{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1}`,
		`"labels":{"type":"object","propertyNames":{"pattern":"^[a-z]+$"},"additionalProperties":{"type":"string"},"minProperties":1,"maxProperties":2}`,
		`"secret":{"type":"string","x-secret":true,"x-referenceable":true,"description":"the password"}`,
		`"secrets":{"type":"array","items":{"type":"string","x-referenceable":true}}`,
		`"by_name":{"type":"object","additionalProperties":{"type":"string","x-referenceable":true}}`,
	} {
		if !strings.Contains(string(doc), want) {
			t.Errorf("the schema lacks %s:\n%s", want, doc)
		}
	}
}

// TestKeywordsAgainstAnotherValidator compares verdicts with an independent implementation. only: what a pattern cannot say, so that the other one
// takes it.
func TestKeywordsAgainstAnotherValidator(t *testing.T) {
	doc, err := Of(&keywords{})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(string(doc)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config.json", parsed); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	const good, bad, only = 0, 1, 2
	for text, verdict := range map[string]int{
		`{"id":"0f8fad5b-d9cb-469f-a165-70867728950e"}`: good,
		`{"id":"0f8fad5b"}`:                             bad,
		`{"url":"https://a.test:8443/x?y#z"}`:           good,
		`{"url":"http://[::1]:80"}`:                     good,
		`{"url":"ftp://a"}`:                             bad,
		`{"url":"http://"}`:                             bad,
		`{"url":"http://a b"}`:                          bad,
		`{"host":"a-b.test"}`:                           good,
		`{"host":"10.0.0.1"}`:                           good,
		`{"host":"::1"}`:                                good,
		`{"host":"a b"}`:                                bad,
		`{"host":"a:80"}`:                               only,
		`{"host":"-a"}`:                                 bad,
		`{"ip":"::1"}`:                                  good,
		`{"ip":"10.0.0.256"}`:                           only,
		`{"ip":"here"}`:                                 bad,
		`{"nets":["10.0.0.0/8","::1/128"]}`:             good,
		`{"nets":["10.0.0.0"]}`:                         bad,
		`{"nets":["10.0.0.0/33"]}`:                      only,
		`{"nets":["10.0.0.0/8","10.0.0.0/8"]}`:          bad,
		`{"header":"X-A"}`:                              good,
		`{"header":"A"}`:                                bad,
		`{"header":"X-A b"}`:                            bad,
		`{"method":"PATCH"}`:                            good,
		`{"method":"patch"}`:                            bad,
		`{"path":"/a/b%20c"}`:                           good,
		`{"path":"a"}`:                                  bad,
		`{"path":"/a?b"}`:                               bad,
		`{"regex":"^a+$"}`:                              good,
		`{"regex":"("}`:                                 only,
		`{"port":65535}`:                                good,
		`{"port":65536}`:                                bad,
		`{"ratio":0.5}`:                                 good,
		`{"ratio":0}`:                                   bad,
		`{"ratio":1}`:                                   bad,
		`{"labels":{"a":"1"}}`:                          good,
		`{"labels":{}}`:                                 bad,
		`{"labels":{"a":"1","b":"2","c":"3"}}`:          bad,
		`{"labels":{"A":"1"}}`:                          bad,
		`{"inner":{"key":"x"}}`:                         good,
		`{"inner":null}`:                                good,
		`{"inner":{"other":"x"}}`:                       bad,
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		theirs := compiled.Validate(v) == nil
		ours := Decode(&keywords{}, []byte(text))
		if (ours == nil) != (verdict == good) || theirs != (verdict != bad) {
			t.Errorf("%s: ours %v, theirs %v", text, ours, theirs)
		}
	}
}

func TestMisplacedKeywords(t *testing.T) {
	for name, in := range map[string]any{
		"format of a number": &struct {
			A int `schema:"format=uuid"`
		}{},
		"port of a text": &struct {
			A string `schema:"format=port"`
		}{},
		"unknown format": &struct {
			A string `schema:"format=phone"`
		}{},
		"unique text": &struct {
			A string `schema:"unique"`
		}{},
		"referenceable number": &struct {
			A int `schema:"referenceable"`
		}{},
		"flag with a value": &struct {
			A string `schema:"referenceable=yes"`
		}{},
		"keys of a list": &struct {
			A []string `schema:"keys=^a"`
		}{},
		"bad keys": &struct {
			A map[string]string `schema:"keys=("`
		}{},
		"entries of a text": &struct {
			A string `schema:"minprops=1"`
		}{},
		"default against a format": &struct {
			A string `schema:"format=uuid,default=x"`
		}{},
	} {
		if _, err := Of(in); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestResolve(t *testing.T) {
	secret := func(text string) (string, bool, error) {
		switch {
		case text == "{bad}":
			return "", true, errors.New("there is none")
		case strings.HasPrefix(text, "{"):
			return "secret of " + text, true, nil
		}
		return "", false, nil
	}
	config := `{"secret":"{a}","secrets":["{b}","plain"],"by_name":{"x":"{c}"},"inner":{"key":"{d}"},"id":"{e}"}`
	resolved, err := Resolve(&keywords{}, []byte(config), secret)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if got, err = objectOf(resolved); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"secret": "secret of {a}", "secrets": []any{"secret of {b}", "plain"}, "by_name": map[string]any{"x": "secret of {c}"},
		"inner": map[string]any{"key": "secret of {d}"}, "id": "{e}",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("resolved %v, expected %v", got, want)
	}
	var faults *Error
	if _, err := Resolve(&keywords{}, []byte(`{"secrets":["ok","{bad}"]}`), secret); !errors.As(err, &faults) || faults.Problems[0].Path != "secrets.1" {
		t.Errorf("error %v", err)
	}
	for _, same := range []string{"", "{", "null"} {
		if out, err := Resolve(&keywords{}, []byte(same), secret); err != nil || strings.TrimSpace(string(out)) != same {
			t.Errorf("%q becomes %q, %v", same, out, err)
		}
	}
}

func objectOf(text []byte) (map[string]any, error) {
	v, err := parse(text)
	m, _ := v.(map[string]any)
	return m, err
}
