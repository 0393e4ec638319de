package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/proto/pdkdef"
)

var (
	pyClassLine  = regexp.MustCompile(`^class (\w+)(?:\((\w+).*\))?:`)
	pyMethodLine = regexp.MustCompile(`^    (async )?def (\w+)\(self(?:, )?(.*)\) -> (.*):`)
	pyCallLine   = regexp.MustCompile(`self\._of\._call\.(\w+)\((.*)\)$`)
	pyMember     = regexp.MustCompile(`^    (\w+) = _Namespace\((\w+)\)$`)
)

// pythonSurface walks from the class called start and lists every function by its path.
func pythonSurface(text, start string) map[string]method {
	type class struct {
		base     string
		methods  map[string]method
		children map[string]string
	}
	classes := map[string]*class{}
	var at *class
	last := ""
	// One line for each signature, however long.
	text = regexp.MustCompile(`\(\n        self,`).ReplaceAllString(text, "(self,")
	text = regexp.MustCompile(`,\n        (\S.*),\n    \) ->`).ReplaceAllString(text, ", $1) ->")
	for _, line := range strings.Split(text, "\n") {
		if m := pyClassLine.FindStringSubmatch(line); m != nil {
			at = &class{m[2], map[string]method{}, map[string]string{}}
			classes[m[1]] = at
		} else if m := pyMethodLine.FindStringSubmatch(line); m != nil {
			last = m[2]
			at.methods[last] = method{m[1] != "", "(" + m[3] + ") -> " + m[4], ""}
		} else if m := pyCallLine.FindStringSubmatch(line); m != nil {
			found := at.methods[last]
			found.call = m[1] + "(" + m[2] + ")"
			if strings.Contains(line, "await ") != found.async {
				found.call = "wrongly awaited " + found.call
			}
			at.methods[last] = found
		} else if m := pyMember.FindStringSubmatch(line); m != nil {
			at.children[m[1]] = m[2]
		}
	}
	all := map[string]method{}
	var walk func(prefix, name string)
	walk = func(prefix, name string) {
		for c := classes[name]; c != nil; c = classes[c.base] {
			for n, m := range c.methods {
				if !strings.HasPrefix(n, "_") {
					all[prefix+n] = m
				}
			}
			for n, child := range c.children {
				walk(prefix+n+".", child)
			}
		}
	}
	walk("", start)
	return all
}

func pythonShape(f *pdkdef.Function) (signature, args string) {
	types := map[pdkdef.Type]string{
		"string": "str", "int": "int", "float": "float", "bool": "bool", "bytes": "bytes", "any": "Any", "header_values": "HeaderValue",
		"header_map": "HeaderMap", "query_map": "QueryMap", "exit_body": "ExitBody", "multi_map": "MultiMap", "query": "Query",
		"query_value": "QueryValue", "captures": "Captures", "route": "Route", "service": "Service", "consumer": "Consumer",
		"credential": "Credential", "map": "dict[str, Any]", "strings": "list[str]", "consumer_group": "ConsumerGroup",
		"consumer_groups": "ConsumerGroups", "body": "Body", "reference": "Reference", "span": "Span",
	}
	var params, names []string
	for _, p := range f.Params {
		s, name := p.Name+": "+types[p.Type], p.Name
		switch d := p.Default.(type) {
		case bool:
			s += " = " + map[bool]string{true: "True", false: "False"}[d]
		case string:
			s += ` = "` + d + `"`
		case int, float64:
			s += fmt.Sprintf(" = %v", d)
		}
		if p.Optional && p.Default == nil {
			if p.Type != "exit_body" {
				s += " | None"
			}
			s += " = None"
		}
		if p.Type == "log_args" {
			s, name = "*"+p.Name+": object", "*"+p.Name
		}
		params, names = append(params, s), append(names, name)
	}
	result := "None"
	if f.Class == pdkdef.Exit {
		result = "NoReturn"
	} else if r := f.Returns; r != nil {
		result = types[r.Type]
		if r.Nullable && r.Type != "any" {
			result += " | None"
		}
	}
	return "(" + strings.Join(params, ", ") + ") -> " + result, "(" + strings.Join(names, ", ") + ")"
}

func TestPythonParity(t *testing.T) {
	def, text := load(t), oneLineCalls(readSurface(t, "sdk-python/src/outrigger/_gen/pdk.py"))
	for _, handle := range []string{"PDK", "AsyncPDK"} {
		found := pythonSurface(text, handle)
		if m := found["cancelled"]; m.signature != "() -> bool" { // the one member that is no function
			t.Errorf("%s.cancelled: found %+v", handle, m)
		}
		delete(found, "cancelled")
		for _, f := range def.Functions() {
			path := f.Namespace.Name + "." + f.PythonName()
			signature, args := pythonShape(f)
			backend := pdkdef.Snake(f.Namespace.Name) + "_" + f.PythonName()
			want := method{handle == "AsyncPDK" && f.Class == pdkdef.Ask, signature, backend + args}
			if want.async {
				want.call = backend + "_async" + args
			}
			switch m, ok := found[path]; {
			case !ok:
				t.Errorf("%s: %s is defined but not there", handle, path)
			case m != want:
				t.Errorf("%s: %s: found %+v, expected %+v", handle, path, m, want)
			}
			delete(found, path)
		}
		for path := range found {
			t.Errorf("%s: %s is there but not defined", handle, path)
		}
	}
}

func TestPythonBackendParity(t *testing.T) {
	var found []string
	want := []string{"cancelled"}
	text := oneLineCalls(readSurface(t, "sdk-python/src/outrigger/_gen/backend.py"))
	for _, m := range regexp.MustCompile(`(?m)^    (async )?def (\w+)\(`).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1]+m[2])
	}
	for _, f := range load(t).Functions() {
		name := pdkdef.Snake(f.Namespace.Name) + "_" + f.PythonName()
		want = append(want, name)
		if f.Class == pdkdef.Ask {
			want = append(want, "async "+name+"_async")
		}
	}
	sameSet(t, "methods of Backend", found, want)
}

func TestPythonTableParity(t *testing.T) {
	text := readSurface(t, "sdk-python/src/outrigger/_gen/functions.py")
	rows := regexp.MustCompile(`(?ms)^(\w+): Final = Function\(\n(.*?)^\)`).FindAllStringSubmatch(text, -1)
	numbers := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^((?:OP|ASK)_\w+): Final = (\d+)$`).FindAllStringSubmatch(text, -1) {
		numbers[m[1]] = m[2]
	}
	var found, want []string
	for _, row := range rows {
		fields := strings.Join(strings.Fields(row[2]), " ")
		for name, n := range numbers {
			fields = strings.ReplaceAll(fields, "="+name+",", "="+n+",")
		}
		found = append(found, row[1]+" "+fields)
	}
	for _, f := range load(t).Functions() {
		phases := strings.ToUpper(strings.Join(f.Phases, " | "))
		if f.AnyPhase {
			phases = "EVERY_PHASE"
		}
		s := fmt.Sprintf("%s %q, %q, %s,", strings.ToUpper(pdkdef.Snake(f.Namespace.Name)+"_"+f.PythonName()), f.FullName(), f.Class, phases)
		for _, n := range []struct {
			name  string
			value int
		}{{"op", f.Op}, {"ask", f.Ask}, {"level", f.Level}} {
			if n.value != 0 {
				s += fmt.Sprintf(" %s=%d,", n.name, n.value)
			}
		}
		want = append(want, s)
	}
	sameSet(t, "table of functions", found, want)
	for i, name := range pdkdef.Phases {
		if line := fmt.Sprintf("\n%s: Final = 1 << %d\n", strings.ToUpper(name), i+1); !strings.Contains(text, line) {
			t.Errorf("expected the line %q", line)
		}
	}
}
