package pdkdef_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/outrigger-gateway/outrigger/proto/pdkdef"
)

func TestLoadReadsTheWholeDefinition(t *testing.T) {
	def, err := pdkdef.Load(os.DirFS("../.."), "proto/pdk")
	if err != nil {
		t.Fatal(err)
	}
	f := def.Lookup("service.request.set_header")
	if f == nil {
		t.Fatal("service.request.set_header is not there")
	}
	if f.Class != pdkdef.Write || f.Op != 1 || strings.Join(f.Phases, " ") != "rewrite access" || f.AnyPhase || !f.ReturnsError() {
		t.Errorf("found %+v", f)
	}
	if got := []string{f.GoFullName(), f.PythonFullName(), f.JSFullName()}; strings.Join(got, " ") !=
		"ServiceRequestSetHeader service_request_set_header serviceRequestSetHeader" {
		t.Errorf("names %v", got)
	}
	if f = def.Lookup("request.get_query"); f == nil || len(f.Params) != 1 || f.Params[0].Default != 100 || !f.AnyPhase {
		t.Errorf("request.get_query: found %+v", f)
	}
	for i, ns := range def.Namespaces {
		if i > 0 && def.Namespaces[i-1].Name >= ns.Name {
			t.Errorf("namespace %s stands behind %s, expected order of name", ns.Name, def.Namespaces[i-1].Name)
		}
	}
}

const head = "namespace: request\ndoc: The request.\nfunctions:\n"

// read is a function without fault, to which a test adds lines.
const read = "  - name: get_it\n    class: read\n    returns: {type: string}\n    doc: Returns it.\n"

func TestLoadSaysWhatIsWrongAndWhere(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
	}{
		{"no YAML", "namespace: [", "a.yaml:1:13: did not find expected node content"},
		{"a list that is not closed", "namespace: [a,\n  b\n", "a.yaml:1:12: did not find expected ',' or ']'"},
		{"no YAML in a later document", head + read + "---\na: b: c\n", "a.yaml:9:5: mapping values are not allowed in this context"},
		{"not a mapping", "- 1", "a.yaml:1:1: namespace: found a list, expected a mapping"},
		{"unknown key of a namespace", "namespase: x\ndoc: A b.\n", `a.yaml:1:1: namespace: unknown key "namespase"; did you mean "namespace"?`},
		{"no functions", "namespace: request\ndoc: The request.\n", `a.yaml:1:1: namespace request: "functions" is missing`},
		{"name of a namespace", "namespace: Request\ndoc: The request.\nfunctions:\n" + read, `a.yaml:1:12: namespace Request: namespace "Request" is no name; expected`},
		{"unknown key of a function", head + read + "    clas: read\n",
			`a.yaml:8:5: function request.get_it: unknown key "clas"; did you mean "class"?`},
		{"a key far from any other", head + read + "    zzzzzzzz: read\n",
			`a.yaml:8:5: function request.get_it: unknown key "zzzzzzzz"; expected one of name, class, op`},
		{"a key twice", head + read + "    class: read\n", `a.yaml:8:5: function of request: key "class" stands twice`},
		{"a key that is no text", head + read + "    ? [a]\n    : b\n", `a.yaml:8:7: function of request: a key is a list, expected a text`},
		{"an anchor", head + strings.Replace(read, "read", "&a read", 1),
			`a.yaml:5:12: function request.get_it: "class" is the anchor &a, expected a text`},
		{"an alias", head + "  - name: &a get_it\n    class: *a\n", `a.yaml:5:12: function of request: "class" is the alias *a, expected a text`},
		{"a tag", head + read + "    op: !!int 5\n", `a.yaml:8:9: function request.get_it: "op" is the tag !!int, expected an integer of 1 to 65535`},
		{"class missing", head + "  - name: get_it\n    returns: {type: string}\n    doc: Returns it.\n",
			`a.yaml:4:5: function request.get_it: "class" is missing`},
		{"unknown class", head + strings.Replace(read, "class: read", "class: reed", 1),
			`a.yaml:5:12: function request.get_it: unknown class "reed"; did you mean "read"?`},
		{"unknown phase", head + read + "    phases: [acces]\n",
			`a.yaml:8:14: function request.get_it: unknown phase "acces"; did you mean "access"?`},
		{"phases out of order", head + read + "    phases: [log, access]\n",
			`a.yaml:8:19: function request.get_it: phase access stands behind log; expected request order, each once`},
		{"every phase", head + read + "    phases: [rewrite, access, response, header_filter, body_filter, log]\n",
			`a.yaml:8:13: function request.get_it: all phases are named; leave phases out`},
		{"no phase", head + read + "    phases: []\n", `a.yaml:8:13: function request.get_it: "phases" is an empty list; leave it out`},
		{"unknown type", head + read + "    params:\n      - {name: a, type: strin, doc: x}\n",
			`a.yaml:9:25: function request.get_it: parameter a: unknown type "strin"; did you mean "string"?`},
		{"type of a result as a parameter", head + read + "    params:\n      - {name: a, type: multi_map, doc: x}\n",
			`a.yaml:9:25: function request.get_it: parameter a: unknown type "multi_map"`},
		{"a word of a language", head + read + "    params:\n      - {name: default, type: string, doc: x}\n",
			`a.yaml:9:16: function request.get_it: parameter default: the name is a word of one of the languages; expected another`},
		{"a parameter twice", head + read + "    params:\n      - {name: a, type: string, doc: x}\n      - {name: a, type: string, doc: x}\n",
			`a.yaml:10:10: function request.get_it: parameter a stands twice`},
		{"required behind optional", head + read + "    params:\n      - {name: a, type: bool, optional: true, default: false, doc: x}\n      - {name: b, type: string, doc: x}\n",
			`a.yaml:10:10: function request.get_it: parameter b is required but stands behind an optional one`},
		{"default of another type", head + read + "    params:\n      - {name: a, type: int, optional: true, default: many, doc: x}\n",
			`a.yaml:9:55: function request.get_it: parameter a: default is the text "many", which is no int`},
		{"default of a required one", head + read + "    params:\n      - {name: a, type: int, default: 1, doc: x}\n",
			`a.yaml:9:39: function request.get_it: parameter a: only an optional parameter has a default`},
		{"optional without default", head + read + "    params:\n      - {name: a, type: int, optional: true, doc: x}\n",
			`a.yaml:9:10: function request.get_it: parameter a is an optional int, which needs a default`},
		{"variadic in front", head + read + "    params:\n      - {name: a, type: header_values, doc: x}\n      - {name: b, type: string, doc: x}\n",
			`a.yaml:9:10: function request.get_it: parameter a is of type header_values, which must be the last one`},
		{"read without result", head + "  - name: get_it\n    class: read\n    doc: Returns it.\n",
			`a.yaml:4:11: function request.get_it: class read answers something; returns is missing`},
		{"write with result", head + "  - name: set_it\n    class: write\n    returns: {type: string}\n    doc: Sets it.\n",
			`a.yaml:6:15: function request.set_it: class write answers nothing; leave returns out`},
		{"nullable without absent", head + strings.Replace(read, "{type: string}", "{type: string, nullable: true}", 1),
			`a.yaml:6:15: function request.get_it: returns: "absent" is missing`},
		{"an empty value that is null", head + strings.Replace(read, "{type: string}", "{type: query, nullable: true, absent: x}", 1),
			`a.yaml:6:38: function request.get_it: returns: a query is empty, never null`},
		{"ask without number", head + strings.Replace(read, "class: read", "class: ask", 1),
			`a.yaml:4:11: function request.get_it: ask goes with class ask, and only there`},
		{"op of a read", head + read + "    op: 1\n", `a.yaml:4:11: function request.get_it: op goes with what is recorded, the class is read`},
		{"op out of range", head + read + "    op: 70000\n", `a.yaml:8:9: function request.get_it: "op" is 70000, expected an integer of 1 to 65535`},
		{"level of a read", head + read + "    level: 1\n", `a.yaml:4:5: function request.get_it: "level" goes with class notice, and only there`},
		{"an op taken", head + "  - {name: a, class: write, op: 1, doc: Sets a.}\n  - {name: b, class: write, op: 1, doc: Sets b.}\n",
			`a.yaml:5:12: function request.b: op 1 is taken by request.a at a.yaml:4:12`},
		{"a name taken", head + read + read, `a.yaml:8:11: function request.get_it: its name in go, RequestGetIt, is taken by the function at a.yaml:4:11`},
		{"a name taken in one language", head + read + strings.Replace(read, "get_it", "get_that", 1) + "    js: getIt\n",
			`a.yaml:8:11: function request.get_that: its name in js, requestGetIt, is taken by the function at a.yaml:4:11`},
		{"unknown error", head + read + "    errors: {bad_arg: x}\n",
			`a.yaml:8:14: function request.get_it: errors: unknown key "bad_arg"`},
		{"no sentence", head + strings.Replace(read, "Returns it.", "returns it", 1),
			`a.yaml:7:10: function request.get_it: doc "returns it": expected a sentence, with a capital letter and a full stop`},
		{"unknown word in braces", head + strings.Replace(read, "Returns it.", `"Returns {request.get_itt}."`, 1),
			`a.yaml:4:11: function request.get_it: {request.get_itt} is neither {null}, {true}, {false}, a parameter nor a function; did you mean {request.get_it}?`},
		{"a namespace twice", head + read + "---\n" + head + strings.ReplaceAll(read, "get_it", "get_that"),
			`a.yaml:9:12: namespace request is declared at a.yaml:1:12 already`},
		{"a class name taken", strings.Replace(head, "request", "service", 1) + read,
			`a.yaml:1:12: namespace service: the class name Service is taken; give another with class`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := pdkdef.Load(fstest.MapFS{"a.yaml": {Data: []byte(test.text)}}, ".")
			var invalid *pdkdef.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("found %v, expected an InvalidError", err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("found\n%s\nexpected\n%s", err, test.want)
			}
		})
	}
}

func TestLoadSkipsEmptyDocuments(t *testing.T) {
	def, err := pdkdef.Load(fstest.MapFS{"a.yaml": {Data: []byte("# Nothing.\n---\n---\n" + head + read + "---\n# The end.\n")}}, ".")
	if err != nil || len(def.Namespaces) != 1 {
		t.Errorf("found %+v, %v", def, err)
	}
}

func TestLoadReportsEveryFaultInOrder(t *testing.T) {
	text := head + "  - {name: A, class: read, returns: {type: string}, doc: Returns it.}\n  - {name: b, class: red, doc: Does it.}\n"
	_, err := pdkdef.Load(fstest.MapFS{
		"one.yaml": {Data: []byte(text)},
		"two.yaml": {Data: []byte("namespace: ip\ndoc: Nothing.\n")},
	}, ".")
	if err == nil {
		t.Fatal("found no error")
	}
	var places []string
	for _, line := range strings.Split(err.Error(), "\n") {
		place, _, _ := strings.Cut(line, ": ")
		places = append(places, place)
	}
	if got := strings.Join(places, " "); got != "one.yaml:4:12 one.yaml:5:22 two.yaml:1:1" {
		t.Errorf("found faults at %s in\n%s", got, err)
	}
}

func TestLoadRefusesAnEmptyDirectory(t *testing.T) {
	if _, err := pdkdef.Load(fstest.MapFS{"x.txt": {}}, "."); err == nil || !strings.Contains(err.Error(), "no namespace found") {
		t.Errorf("found %v", err)
	}
	if _, err := pdkdef.Load(fstest.MapFS{}, "nowhere"); err == nil {
		t.Error("found no error for a directory that does not exist")
	}
}

func TestNames(t *testing.T) {
	for _, test := range []struct{ in, camel, lower string }{
		{"set_header", "SetHeader", "setHeader"},
		{"service.request", "ServiceRequest", "serviceRequest"},
		{"exit", "Exit", "exit"},
	} {
		if got := pdkdef.Camel(test.in); got != test.camel {
			t.Errorf("Camel(%q) = %q", test.in, got)
		}
		if got := pdkdef.LowerCamel(test.in); got != test.lower {
			t.Errorf("LowerCamel(%q) = %q", test.in, got)
		}
	}
}
