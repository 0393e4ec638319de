package local

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// numbersOf lists the constants of a file whose names begin with Op or Ask and whose value is a number.
func numbersOf(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 {
			return true
		}
		name := spec.Names[0].Name
		if number, isNumber := spec.Values[0].(*ast.BasicLit); isNumber && (strings.HasPrefix(name, "Op") || strings.HasPrefix(name, "Ask")) {
			found[name] = number.Value
		}
		return true
	})
	return found
}

// TestNumbersAreThoseOfTheDefinition compares the numbers of package wire, written by hand, with the generated ones.
func TestNumbersAreThoseOfTheDefinition(t *testing.T) {
	generated, wired := numbersOf(t, "../functions_gen.go"), numbersOf(t, "../../proto/wire/ops.go")
	if len(generated) < 40 {
		t.Fatalf("only %d numbers in the definition", len(generated))
	}
	if !reflect.DeepEqual(generated, wired) {
		for _, name := range slices.Sorted(maps.Keys(generated)) {
			if wired[name] != generated[name] {
				t.Errorf("%s is %s in the definition, %q in package wire", name, generated[name], wired[name])
			}
		}
		for _, name := range slices.Sorted(maps.Keys(wired)) {
			if generated[name] == "" {
				t.Errorf("%s is in package wire alone", name)
			}
		}
	}
}

// TestEveryOperationIsChecked gives Check an operation of each code without arguments: none is unknown to it.
func TestEveryOperationIsChecked(t *testing.T) {
	for i := range pdk.Functions {
		f := &pdk.Functions[i]
		if f.Op == 0 {
			continue
		}
		err := Check(&wire.Op{Code: wire.OpCode(f.Op)})
		if err != nil && strings.Contains(err.Error(), "does not exist") {
			t.Errorf("%s: %v", f.Name, err)
		}
		if op := wire.OpCode(f.Op); op.Generic() && err == nil {
			t.Errorf("%s: an operation without arguments is taken", f.Name)
		}
	}
	if err := Check(&wire.Op{Code: 999}); err == nil {
		t.Error("an operation that does not exist is taken")
	}
}
