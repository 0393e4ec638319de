package schema

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

type limit struct {
	Name  string `json:"name" schema:"required,minlen=1"`
	Count int    `json:"count" schema:"default=5,min=1"`
}

type common struct {
	Tag string `json:"tag"`
}

type config struct {
	common
	Header  string            `json:"header" schema:"required,minlen=1,maxlen=20,pattern=^[A-Za-z-]+$" doc:"name of the header"`
	Mode    string            `json:"mode" schema:"default=strict,enum=strict|loose"`
	Limit   int               `json:"limit" schema:"min=1,max=1000"`
	Ratio   float64           `json:"ratio" schema:"max=1.5"`
	Small   int8              `json:"small"`
	Big     uint64            `json:"big"`
	On      bool              `json:"on"`
	Key     string            `json:"key" schema:"secret"`
	Hosts   []string          `json:"hosts" schema:"minitems=1,maxitems=3,minlen=2"`
	Limits  []limit           `json:"limits"`
	Labels  map[string]string `json:"labels"`
	Maybe   *int              `json:"maybe" schema:"min=0"`
	Blob    []byte            `json:"blob"`
	Any     any               `json:"any"`
	Raw     json.RawMessage   `json:"raw"`
	When    time.Time         `json:"when"`
	Nested  limit2            `json:"nested"`
	Plain   string
	Hidden  string `json:"-"`
	private int
}

type limit2 struct {
	Deep string `json:"deep" schema:"default=x,enum=x|y"`
}

func fresh() *config {
	return &config{Limit: 10, Hosts: []string{"aa"}, Labels: map[string]string{"a": "1"}, Hidden: "h", private: 7}
}

func TestOf(t *testing.T) {
	doc, err := Of(fresh())
	if err != nil {
		t.Fatal(err)
	}
	again, _ := Of(fresh())
	if string(doc) != string(again) {
		t.Error("two runs differ")
	}
	for _, want := range []string{
		`"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object"`,
		`"header":{"type":"string","minLength":1,"maxLength":20,"pattern":"^[A-Za-z-]+$","description":"name of the header"}`,
		`"mode":{"type":"string","enum":["strict","loose"],"default":"strict"}`,
		`"limit":{"type":"integer","minimum":1,"maximum":1000,"default":10}`,
		`"small":{"type":"integer","minimum":-128,"maximum":127}`,
		`"big":{"type":"integer","minimum":0}`,
		`"key":{"type":"string","x-secret":true}`,
		`"hosts":{"type":"array","items":{"type":"string","minLength":2},"minItems":1,"maxItems":3,"default":["aa"]}`,
		`"labels":{"type":"object","additionalProperties":{"type":"string"},"default":{"a":"1"}}`,
		`"maybe":{"type":["integer","null"],"minimum":0}`,
		`"nested":{"type":"object","properties":{"deep":{"type":"string","enum":["x","y"],"default":"x"}},"additionalProperties":false}`,
		`"tag":{"type":"string"}`,
		`"any":{}`,
		`"Plain":{"type":"string"}`,
		`"required":["header"],"additionalProperties":false}`,
	} {
		if !strings.Contains(string(doc), want) {
			t.Errorf("the schema lacks %s:\n%s", want, doc)
		}
	}
	if strings.Contains(string(doc), "Hidden") || strings.Contains(string(doc), "private") {
		t.Error("hidden fields are in the schema")
	}
}

// TestAgainstAnotherValidator compares verdicts with an independent implementation of JSON Schema.
func TestAgainstAnotherValidator(t *testing.T) {
	doc, err := Of(fresh())
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
	for text, valid := range map[string]bool{
		`{"header":"A"}`:   true,
		`{}`:               false,
		`{"header":""}`:    false,
		`{"header":"a b"}`: false,
		`{"header":"aaaaaaaaaaaaaaaaaaaaaaaaaaaa"}`: false,
		`{"header":5}`:                                         false,
		`{"header":null}`:                                      false,
		`{"header":"A","mode":"loose"}`:                        true,
		`{"header":"A","mode":"other"}`:                        false,
		`{"header":"A","limit":0}`:                             false,
		`{"header":"A","limit":1001}`:                          false,
		`{"header":"A","limit":1.5}`:                           false,
		`{"header":"A","ratio":1.5}`:                           true,
		`{"header":"A","ratio":2}`:                             false,
		`{"header":"A","small":128}`:                           false,
		`{"header":"A","big":18446744073709551615}`:            true,
		`{"header":"A","big":-1}`:                              false,
		`{"header":"A","on":1}`:                                false,
		`{"header":"A","hosts":[]}`:                            false,
		`{"header":"A","hosts":["aa","b"]}`:                    false,
		`{"header":"A","hosts":["aa","bb"]}`:                   true,
		`{"header":"A","hosts":["aa","bb","cc","dd"]}`:         false,
		`{"header":"A","limits":[{"name":"x"}]}`:               true,
		`{"header":"A","limits":[{"count":1}]}`:                false,
		`{"header":"A","limits":[{"name":"x","count":0}]}`:     false,
		`{"header":"A","limits":[{"name":"x","extra":0}]}`:     false,
		`{"header":"A","labels":{"a":1}}`:                      false,
		`{"header":"A","maybe":null}`:                          true,
		`{"header":"A","maybe":-1}`:                            false,
		`{"header":"A","nested":{"deep":"z"}}`:                 false,
		`{"header":"A","unknown":1}`:                           false,
		`{"header":"A","any":[1,{"a":null}],"raw":{"b":[{}]}}`: true,
		`[]`:  false,
		`"x"`: false,
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		theirs := compiled.Validate(v) == nil
		err = Decode(fresh(), []byte(text))
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("%s: %T %v", text, err, err)
		}
		if (err == nil) != valid || theirs != valid {
			t.Errorf("%s: ours %v, theirs %v, expected %v", text, err, theirs, valid)
		}
	}
}

func TestDecode(t *testing.T) {
	c := fresh()
	err := Decode(c, []byte(`{"header":"A","hosts":["bb"],"labels":{"b":"2"},"limits":[{"name":"x"},{"name":"y","count":7}],"maybe":3,
		"blob":"AP8=","any":{"k":[1]},"raw":[1, 2],"when":"2026-01-02T03:04:05Z","tag":"t","Plain":"p"}`))
	if err != nil {
		t.Fatal(err)
	}
	three := 3
	want := &config{
		common: common{Tag: "t"}, Header: "A", Mode: "strict", Limit: 10, Hosts: []string{"bb"}, Labels: map[string]string{"b": "2"},
		Limits: []limit{{"x", 5}, {"y", 7}}, Maybe: &three, Blob: []byte{0, 0xff}, Any: map[string]any{"k": []any{1.0}},
		Raw: json.RawMessage("[1,2]"), When: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Nested: limit2{"x"}, Plain: "p",
		Hidden: "h", private: 7,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("decoded\n%+v, expected\n%+v", c, want)
	}
	for _, empty := range []string{"", "  ", "null", "{}"} {
		var in struct {
			Mode string `json:"mode" schema:"default=strict"`
		}
		if err := Decode(&in, []byte(empty)); err != nil || in.Mode != "strict" {
			t.Errorf("%q: %v %+v", empty, err, in)
		}
	}
}

func TestLesson20Problems(t *testing.T) {
	c := fresh()
	err := Decode(c, []byte(`{"haeder":"A","limits":[{"name":"x","count":0},{"nmae":"y"}],"hosts":"x","zzzzzz":1}`))
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %T %v", err, err)
	}
	want := []Problem{
		{"header", "is missing, expected text"},
		{"hosts", `found "x", expected a list`},
		{"limits.0.count", "found 0, expected at least 1"},
		{"limits.1.name", "is missing, expected text"},
		{"limits.1.nmae", `is unknown; did you mean "name"?`},
		{"haeder", `is unknown; did you mean "header"?`},
	}
	if len(e.Problems) != len(want)+1 || !reflect.DeepEqual(e.Problems[:len(want)], want) || !strings.HasPrefix(e.Problems[len(want)].Message, "is unknown; known are tag, header") {
		t.Errorf("problems %q", e.Problems)
	}
	if !reflect.DeepEqual(c, fresh()) {
		t.Error("a refused configuration changed the instance")
	}
	for _, bad := range []string{"{", "{} {}", "[1]", `{"header":"A","when":"yesterday"}`, `{"header":"A","blob":"%"}`} {
		if err := Decode(fresh(), []byte(bad)); !errors.As(err, &e) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestLesson20SecretsAreNotShown(t *testing.T) {
	var in struct {
		Key  string   `json:"key" schema:"secret,pattern=^k"`
		Keys []string `json:"keys" schema:"secret,minlen=9"`
	}
	err := Decode(&in, []byte(`{"key":"hush","keys":["hush"]}`))
	if err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("error %v", err)
	}
}

func TestWrongTypes(t *testing.T) {
	type loop struct {
		Next *loop `json:"next"`
	}
	for name, in := range map[string]any{
		"nil":               nil,
		"no pointer":        config{},
		"pointer to int":    new(int),
		"channel":           &struct{ C chan int }{},
		"map with int keys": &struct{ M map[int]string }{},
		"contains itself":   &loop{},
		"unknown keyword": &struct {
			A string `schema:"minimum=1"`
		}{},
		"keyword misplaced": &struct {
			A string `schema:"min=1"`
		}{},
		"bad number": &struct {
			A int `schema:"min=x"`
		}{},
		"bad pattern": &struct {
			A string `schema:"pattern=("`
		}{},
		"bad default": &struct {
			A int `schema:"default=x"`
		}{},
		"default not in set": &struct {
			A string `schema:"enum=a|b,default=c"`
		}{},
		"value for required": &struct {
			A string `schema:"required=1"`
		}{},
		"no value": &struct {
			A string `schema:"enum"`
		}{},
		"New breaks a rule": &struct {
			A int `schema:"min=5"`
		}{A: 1},
		"same name twice": &struct {
			A int
			B int `json:"A"`
		}{},
	} {
		if _, err := Of(in); err == nil {
			t.Errorf("%s: no error", name)
		}
		if err := Decode(in, nil); err == nil {
			t.Errorf("%s: decodes", name)
		}
	}
}

func TestCommaInATag(t *testing.T) {
	var in struct {
		A string `json:"a" schema:"pattern=^a{1\\,2}$,default=a"`
	}
	if err := Decode(&in, []byte(`{"a":"aa"}`)); err != nil {
		t.Error(err)
	}
	if err := Decode(&in, []byte(`{"a":"aaa"}`)); err == nil {
		t.Error("the pattern was cut")
	}
}
