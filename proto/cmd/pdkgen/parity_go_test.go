package main

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/pdkdef"
)

// goShape spells parameters and results of the definition as reflect does.
func goShape(f *pdkdef.Function) string {
	types := map[pdkdef.Type]string{
		"string": "string", "int": "int", "float": "float64", "bool": "bool", "bytes": "[]uint8", "any": "interface {}",
		"log_args": "...interface {}", "header_values": "...string", "header_map": "map[string][]string",
		"query_map": "map[string][]pdk.QueryValue", "exit_body": "interface {}", "multi_map": "pdk.MultiMap", "query": "pdk.Query",
		"query_value": "pdk.QueryValue", "captures": "pdk.Captures", "route": "*pdk.Route", "service": "*pdk.Service",
		"consumer": "*pdk.Consumer", "credential": "*pdk.Credential",
		"map": "map[string]interface {}", "strings": "[]string", "consumer_group": "*pdk.ConsumerGroup", "consumer_groups": "[]*pdk.ConsumerGroup",
		"body": "pdk.Body", "reference": "pdk.Reference", "span": "*pdk.Span",
	}
	var in, out []string
	for _, p := range f.Params {
		in = append(in, types[p.Type])
	}
	if r := f.Returns; r != nil {
		out = append(out, types[r.Type])
		if r.Nullable && !strings.HasPrefix(types[r.Type], "*") && r.Type != "any" {
			out = append(out, "bool")
		}
	}
	if f.Class == pdkdef.Write || f.Class == pdkdef.Ask || f.Class == pdkdef.Exit || len(f.Errors) > 0 {
		out = append(out, "error")
	}
	return "(" + strings.Join(in, ", ") + ") " + strings.Join(out, ", ")
}

// shapeOf spells a method type, without its receiver.
func shapeOf(m reflect.Type, skip int) string {
	var in, out []string
	for i := skip; i < m.NumIn(); i++ {
		s := m.In(i).String()
		if m.IsVariadic() && i == m.NumIn()-1 {
			s = "..." + m.In(i).Elem().String()
		}
		in = append(in, s)
	}
	for i := range m.NumOut() {
		out = append(out, m.Out(i).String())
	}
	return "(" + strings.Join(in, ", ") + ") " + strings.Join(out, ", ")
}

func TestGoParity(t *testing.T) {
	def := load(t)
	var surface, backend, wantSurface, wantBackend []string

	handle := reflect.TypeFor[pdk.PDK]()
	for i := range handle.NumField() {
		field := handle.Field(i)
		if !field.IsExported() {
			continue
		}
		for j := range field.Type.NumMethod() {
			m := field.Type.Method(j)
			surface = append(surface, field.Name+"."+m.Name+shapeOf(m.Type, 1))
		}
	}
	answering := reflect.TypeFor[pdk.Backend]()
	for i := range answering.NumMethod() {
		m := answering.Method(i)
		backend = append(backend, m.Name+shapeOf(m.Type, 0))
	}

	wantBackend = []string{"Context() context.Context", "Err() error"}
	for _, f := range def.Functions() {
		wantSurface = append(wantSurface, f.Namespace.GoName()+"."+f.GoName()+goShape(f))
		wantBackend = append(wantBackend, f.Namespace.GoName()+f.GoName()+goShape(f))
	}
	sameSet(t, "methods of pdk.PDK's namespaces", surface, wantSurface)
	sameSet(t, "methods of pdk.Backend", backend, wantBackend)
}

func TestGoTableParity(t *testing.T) {
	def := load(t)
	if len(pdk.Functions) != len(def.Functions()) {
		t.Errorf("pdk.Functions has %d rows, the definition %d functions", len(pdk.Functions), len(def.Functions()))
	}
	for i, f := range def.Functions() {
		if i >= len(pdk.Functions) {
			break
		}
		var phases pdk.Phase
		for _, name := range f.Phases {
			phases |= pdk.PhaseByName(name)
		}
		row := pdk.Functions[i]
		found := fmt.Sprintf("%s %s [%s] %d %d %d", row.Name, row.Class, row.Phases, row.Op, row.Ask, row.Level)
		want := fmt.Sprintf("%s %s [%s] %d %d %d", f.FullName(), f.Class, phases, f.Op, f.Ask, f.Level)
		if found != want {
			t.Errorf("row %d of pdk.Functions: found %s, expected %s", i, found, want)
		}
	}
	if row := pdk.Functions[pdk.FnServiceRequestSetHeader]; row.Name != "service.request.set_header" || row.Op != pdk.OpServiceRequestSetHeader {
		t.Errorf("FnServiceRequestSetHeader leads to %+v", row)
	}
	if row := pdk.Functions[pdk.FnLogSerialize]; row.Ask != pdk.AskLogSerialize {
		t.Errorf("FnLogSerialize leads to %+v", row)
	}
}

// TestPhaseNamesAreThoseOfThePDK holds the two lists of phases together.
func TestPhaseNamesAreThoseOfThePDK(t *testing.T) {
	for i, p := range pdk.Phases() {
		if p.String() != pdkdef.Phases[i] || int(p.Code()) != i+1 {
			t.Errorf("phase %d: pdk has %s with code %d, the definition %s", i+1, p, p.Code(), pdkdef.Phases[i])
		}
	}
}

// TestGoMethodsDelegate reads that every method of a namespace hands its own arguments to its own method of the backend.
func TestGoMethodsDelegate(t *testing.T) {
	line := regexp.MustCompile(`func \(n (\w+)\) (\w+)\((.*?)\).* \{\n\t(?:return )?n\.pdk\.backend\.(\w+)\((.*)\)\n\}`)
	for _, ns := range load(t).Namespaces {
		text := readSurface(t, "pdk/"+pdkdef.Snake(ns.Name)+"_gen.go")
		found := line.FindAllStringSubmatch(text, -1)
		if len(found) != len(ns.Functions) {
			t.Errorf("%s: found %d delegating methods, expected %d", ns.Name, len(found), len(ns.Functions))
		}
		for _, m := range found {
			var args []string
			for _, param := range strings.Split(m[3], ", ") {
				name, kind, _ := strings.Cut(param, " ")
				if strings.HasPrefix(kind, "...") {
					name = "borrowed(" + name + ")..."
				}
				args = append(args, name)
			}
			if m[1] != ns.ClassName() || m[4] != ns.GoName()+m[2] || m[5] != strings.Join(args, ", ") {
				t.Errorf("%s.%s(%s) calls %s(%s)", m[1], m[2], m[3], m[4], m[5])
			}
		}
	}
}
