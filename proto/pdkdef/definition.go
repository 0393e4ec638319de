// Package pdkdef loads and checks the PDK definition, proto/pdk/*.yaml. The generator of proto/cmd/pdkgen and the parity tests work on
// what it returns; proto/pdk/README.md describes the format.
package pdkdef

import (
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a definition file.
type Pos struct {
	File string
	Line int
	Col  int
}

func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col) }

// Class says what calling a function means.
type Class string

// Classes of functions; proto/pdk/README.md.
const (
	Read   Class = "read"
	Write  Class = "write"
	Ask    Class = "ask"
	Notice Class = "notice"
	Exit   Class = "exit"
)

var classes = []string{"read", "write", "ask", "notice", "exit"}

// Phases lists the phases in request order; the number of a phase on the wire is its index plus 1.
var Phases = []string{"rewrite", "access", "response", "header_filter", "body_filter", "log"}

// Levels are the levels of notices; the number on the wire is the index.
var Levels = []string{"debug", "info", "notice", "warn", "err", "crit", "alert", "emerg"}

// ErrorKinds are the kinds that errors may name; wrong_phase goes without saying.
var ErrorKinds = []string{"bad_argument", "bad_data", "host_error"}

// Type is the type of a parameter or a result; proto/pdk/README.md has the table of languages.
type Type string

var (
	paramTypes = []string{
		"string", "int", "float", "bool", "bytes", "any", "map", "strings", "log_args", "header_values", "header_map", "query_map", "exit_body",
		"route", "service", "consumer", "credential", "consumer_group", "consumer_groups",
	}
	returnTypes = []string{
		"string", "int", "float", "bool", "bytes", "any", "map", "multi_map", "query", "query_value", "captures",
		"route", "service", "consumer", "credential", "consumer_group", "consumer_groups", "body", "reference", "span",
	}
	neverNull = []string{"map", "multi_map", "query", "captures", "consumer_groups", "body", "reference"} // they have an empty value of their own
)

// Definition is the whole PDK, namespaces in order of name.
type Definition struct {
	Namespaces []*Namespace
}

// Namespace is one group of functions. Functions stand in the order of the file.
type Namespace struct {
	Name      string // service.request
	Doc       string
	Go        string // the Go name where the rule gives a bad one; else ""
	Class     string // name of its class when another type has the Go name; else ""
	Functions []*Function
	Pos       Pos
}

// Function is one PDK function.
type Function struct {
	Namespace *Namespace
	Name      string // set_header
	Class     Class
	Op        int      // number of the operation on the wire; 0: none
	Ask       int      // number of the question on the wire, its own or that of Via; 0: none
	Via       string   // function that asks the same; "" when the question is its own
	Level     int      // of a notice: index in Levels
	Phases    []string // every phase when the file names none
	AnyPhase  bool     // the file names none
	Params    []*Param
	Returns   *Returns // nil: nothing
	Errors    []Failure
	Doc       string
	Source    string // RFC section; "" when the PDK itself is the source
	Pos       Pos

	Go, Python, JS string // name in that language where the rule gives a bad one; else ""
}

// Param is one parameter.
type Param struct {
	Name     string
	Type     Type
	Doc      string
	Optional bool
	Default  any // string, int, bool or float64; nil: none
	Pos      Pos
}

// Returns is the result of a function.
type Returns struct {
	Type     Type
	Nullable bool
	Absent   string // when the result is null: a clause that goes behind "when"
	Doc      string
	Pos      Pos
}

// Failure is one kind of error of a function.
type Failure struct {
	Kind string
	When string // a clause that goes behind "when"
	Pos  Pos
}

// FullName is the canonical name, such as service.request.set_header.
func (f *Function) FullName() string { return f.Namespace.Name + "." + f.Name }

// Functions lists all functions, namespace after namespace.
func (d *Definition) Functions() []*Function {
	var all []*Function
	for _, ns := range d.Namespaces {
		all = append(all, ns.Functions...)
	}
	return all
}

// Lookup finds a function by its canonical name; nil if there is none.
func (d *Definition) Lookup(fullName string) *Function {
	dot := strings.LastIndexByte(fullName, '.')
	if dot < 0 {
		return nil
	}
	for _, ns := range d.Namespaces {
		if ns.Name != fullName[:dot] {
			continue
		}
		for _, f := range ns.Functions {
			if f.Name == fullName[dot+1:] {
				return f
			}
		}
	}
	return nil
}

// ReturnsError reports whether the Go method has an error result: always for what is recorded or asked, and when errors are declared.
func (f *Function) ReturnsError() bool {
	return f.Class == Write || f.Class == Ask || f.Class == Exit || len(f.Errors) > 0
}

// HasAsk reports whether the namespace has a function of class ask.
func (ns *Namespace) HasAsk() bool {
	return slices.ContainsFunc(ns.Functions, func(f *Function) bool { return f.Class == Ask })
}

// Param finds a parameter by name; nil if there is none.
func (f *Function) Param(name string) *Param {
	for _, p := range f.Params {
		if p.Name == name {
			return p
		}
	}
	return nil
}
