package pdkdef

import (
	"strings"
)

// Camel turns set_header and service.request into SetHeader and ServiceRequest.
func Camel(name string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == '.' }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// LowerCamel turns set_header into setHeader.
func LowerCamel(name string) string {
	s := Camel(name)
	return strings.ToLower(s[:1]) + s[1:]
}

// Snake turns service.request.set_header into service_request_set_header.
func Snake(name string) string { return strings.ReplaceAll(name, ".", "_") }

// GoName is the name of the namespace's field in pdk.PDK.
func (ns *Namespace) GoName() string {
	if ns.Go != "" {
		return ns.Go
	}
	return Camel(ns.Name)
}

// ClassName is the name of the namespace's type in every language.
func (ns *Namespace) ClassName() string {
	if ns.Class != "" {
		return ns.Class
	}
	return ns.GoName()
}

// GoName is the name of the Go method.
func (f *Function) GoName() string {
	if f.Go != "" {
		return f.Go
	}
	return Camel(f.Name)
}

// GoFullName is the name of the method of the Go backend, such as ServiceRequestSetHeader.
func (f *Function) GoFullName() string { return f.Namespace.GoName() + f.GoName() }

// PythonName is the name of the Python method.
func (f *Function) PythonName() string {
	if f.Python != "" {
		return f.Python
	}
	return f.Name
}

// PythonFullName is the name of the method of the Python backend, such as service_request_set_header.
func (f *Function) PythonFullName() string { return Snake(f.Namespace.Name) + "_" + f.PythonName() }

// JSName is the name of the TypeScript method.
func (f *Function) JSName() string {
	if f.JS != "" {
		return f.JS
	}
	return LowerCamel(f.Name)
}

// JSFullName is the name of the method of the TypeScript backend, such as serviceRequestSetHeader.
func (f *Function) JSFullName() string {
	name := f.JSName()
	return LowerCamel(f.Namespace.Name) + strings.ToUpper(name[:1]) + name[1:]
}

// reserved lists words that cannot be the name of a parameter in at least one of the languages.
var reserved = strings.Fields(`
and any as assert async await bool break byte case catch chan class const continue debugger def default defer del delete do elif else enum
error except export extends fallthrough false finally float for from func function global go goto if implements import in instanceof int
interface is lambda len let map new nil nonlocal not null or package pass private protected public raise range return rune select self
static string struct super switch this throw true try type typeof var void while with yield n
`)
