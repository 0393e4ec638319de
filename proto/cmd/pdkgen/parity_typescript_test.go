package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/proto/pdkdef"
)

var (
	tsClassLine  = regexp.MustCompile(`^export class (\w+)(?: extends (\w+))? \{`)
	tsMethodLine = regexp.MustCompile(`^  (\w+)\((.*)\): (.*) \{$`)
	tsCallLine   = regexp.MustCompile(`^    (?:return )?this\.call\.(\w+)\((.*)\);$`)
	tsMember     = regexp.MustCompile(`^  (?:readonly (\w+): (\w+);|get (\w+)\(\): (\w+) \{)$`)
)

// typeScriptSurface walks from the class PDK and lists every function by its path.
func typeScriptSurface(text string) map[string]method {
	type class struct {
		base     string
		methods  map[string]method
		children map[string]string
	}
	classes := map[string]*class{}
	var at *class
	last := ""
	for _, line := range strings.Split(text, "\n") {
		if m := tsClassLine.FindStringSubmatch(line); m != nil {
			at = &class{m[2], map[string]method{}, map[string]string{}}
			classes[m[1]] = at
		} else if m := tsMethodLine.FindStringSubmatch(line); m != nil {
			last = m[1]
			at.methods[last] = method{strings.HasPrefix(m[3], "Promise<"), "(" + m[2] + "): " + m[3], ""}
		} else if m := tsCallLine.FindStringSubmatch(line); m != nil {
			found := at.methods[last]
			found.call = m[1] + "(" + m[2] + ")"
			at.methods[last] = found
		} else if m := tsMember.FindStringSubmatch(line); m != nil {
			at.children[m[1]+m[3]] = m[2] + m[4]
		}
	}
	all := map[string]method{}
	var walk func(prefix, name string)
	walk = func(prefix, name string) {
		for c := classes[name]; c != nil; c = classes[c.base] {
			for n, m := range c.methods {
				all[prefix+n] = m
			}
			for n, child := range c.children {
				walk(prefix+n+".", child)
			}
		}
	}
	walk("", "PDK")
	return all
}

func typeScriptShape(f *pdkdef.Function) (signature, args string) {
	types := map[pdkdef.Type]string{
		"string": "string", "int": "number", "float": "number", "bool": "boolean", "bytes": "Uint8Array", "any": "unknown",
		"header_values": "HeaderValue", "header_map": "HeaderMap", "query_map": "QueryMap", "exit_body": "ExitBody", "multi_map": "MultiMap",
		"query": "Query", "query_value": "QueryValue", "captures": "Captures", "route": "Route", "service": "Service",
		"consumer": "Consumer", "credential": "Credential", "map": "Record<string, unknown>", "strings": "readonly string[]",
		"consumer_group": "ConsumerGroup", "consumer_groups": "ConsumerGroups", "body": "Body", "reference": "Reference", "span": "Span",
	}
	var params, names []string
	for _, p := range f.Params {
		name := pdkdef.LowerCamel(p.Name)
		s := name + ": " + types[p.Type]
		switch d := p.Default.(type) {
		case string:
			s = name + ` = "` + d + `"`
		case int, bool, float64:
			s = fmt.Sprintf("%s = %v", name, d)
		}
		if p.Optional && p.Default == nil {
			if p.Type != "exit_body" {
				s += " | null"
			}
			s += " = null"
		}
		if p.Type == "log_args" {
			s, name = "..."+name+": unknown[]", "..."+name
		}
		params, names = append(params, s), append(names, name)
	}
	result := "void"
	if f.Class == pdkdef.Exit {
		result = "never"
	} else if r := f.Returns; r != nil {
		result = types[r.Type]
		if r.Nullable && r.Type != "any" {
			result += " | null"
		}
	}
	if f.Class == pdkdef.Ask {
		result = "Promise<" + result + ">"
	}
	return "(" + strings.Join(params, ", ") + "): " + result, "(" + strings.Join(names, ", ") + ")"
}

// jsBackendName is serviceRequestSetHeader for service.request.set_header.
func jsBackendName(f *pdkdef.Function) string {
	name := f.JSName()
	return pdkdef.LowerCamel(f.Namespace.Name) + strings.ToUpper(name[:1]) + name[1:]
}

func TestTypeScriptParity(t *testing.T) {
	found := typeScriptSurface(oneLineCalls(readSurface(t, "sdk-js/src/gen/pdk.ts")))
	for _, f := range load(t).Functions() {
		path := f.Namespace.Name + "." + f.JSName()
		signature, args := typeScriptShape(f)
		want := method{f.Class == pdkdef.Ask, signature, jsBackendName(f) + args}
		switch m, ok := found[path]; {
		case !ok:
			t.Errorf("%s is defined but not there", path)
		case m != want:
			t.Errorf("%s: found %+v, expected %+v", path, m, want)
		}
		delete(found, path)
	}
	for path := range found {
		t.Errorf("%s is there but not defined", path)
	}
}

func TestTypeScriptBackendParity(t *testing.T) {
	var found, want []string
	text := oneLineCalls(readSurface(t, "sdk-js/src/gen/backend.ts"))
	for _, m := range regexp.MustCompile(`(?m)^  (\w+)\(.*\): (.*);$`).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1]+": "+m[2])
	}
	for _, f := range load(t).Functions() {
		signature, _ := typeScriptShape(f)
		want = append(want, jsBackendName(f)+signature[strings.LastIndex(signature, "): ")+1:])
	}
	sameSet(t, "methods of Backend", found, want)
}

func TestTypeScriptTableParity(t *testing.T) {
	text := readSurface(t, "sdk-js/src/gen/functions.ts")
	_, table, _ := strings.Cut(text, "export const functions = {")
	var found, want []string
	for _, m := range regexp.MustCompile(`(\w+): \{\s*(name: [^}]*?),?\s*\}`).FindAllStringSubmatch(table, -1) {
		found = append(found, m[1]+" "+strings.Join(strings.Fields(m[2]), " "))
	}
	for _, f := range load(t).Functions() {
		bits := 0
		for _, name := range f.Phases {
			bits |= 1 << (slices.Index(pdkdef.Phases, name) + 1)
		}
		want = append(want, fmt.Sprintf("%s name: %q, class: %q, phases: 0x%02x, op: %d, ask: %d, level: %d",
			jsBackendName(f), f.FullName(), f.Class, bits, f.Op, f.Ask, f.Level))
		for _, n := range []struct {
			prefix string
			value  int
		}{{"OP_", f.Op}, {"ASK_", f.Ask}} {
			line := fmt.Sprintf("export const %s%s = %d;", n.prefix, strings.ToUpper(pdkdef.Snake(f.FullName())), n.value)
			if n.value != 0 && !strings.Contains(text, line) {
				t.Errorf("expected the line %q", line)
			}
		}
	}
	sameSet(t, "table of functions", found, want)
}
