package main

import (
	"strings"

	"github.com/outrigger-gateway/outrigger/proto/pdkdef"
)

// node is one step on the path of a namespace in Python and TypeScript, where service.request is reached as kong.service.request. Go has
// one field per namespace instead.
type node struct {
	Name     string            // last step of the path: request
	Path     string            // service.request
	Space    *pdkdef.Namespace // nil: the node only leads to others
	Children []*node
}

// tree arranges the namespaces by path; the root has no name.
func tree(def *pdkdef.Definition) *node {
	root := &node{}
	for _, ns := range def.Namespaces {
		at := root
		for _, step := range strings.Split(ns.Name, ".") {
			at = at.child(step)
		}
		at.Space = ns
	}
	return root
}

func (n *node) child(name string) *node {
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
	}
	c := &node{Name: name, Path: strings.TrimPrefix(n.Path+"."+name, ".")}
	n.Children = append(n.Children, c)
	return c
}

// Class is the name of the class of this node.
func (n *node) Class() string {
	if len(n.Children) > 0 {
		return pdkdef.Camel(n.Path) + "Namespaces"
	}
	return n.Space.ClassName()
}

// HasAsk reports whether a function at or below the node is an ask.
func (n *node) HasAsk() bool {
	if n.Space != nil && n.Space.HasAsk() {
		return true
	}
	for _, c := range n.Children {
		if c.HasAsk() {
			return true
		}
	}
	return false
}

// AsyncClass is the name of the class that has the asks as coroutines; the same as Class when there are none.
func (n *node) AsyncClass() string {
	if n.HasAsk() {
		return "Async" + n.Class()
	}
	return n.Class()
}

// Doc says what is at or below the node.
func (n *node) Doc() string {
	if n.Space != nil {
		return firstSentence(n.Space.Doc)
	}
	var names []string
	for _, c := range n.Children {
		names = append(names, c.Name)
	}
	return "Leads to " + enumerate(names, "and") + "."
}

// groups lists the nodes that lead to others, the innermost first.
func (n *node) groups() []*node {
	var all []*node
	for _, c := range n.Children {
		all = append(all, c.groups()...)
		if len(c.Children) > 0 {
			all = append(all, c)
		}
	}
	return all
}

// valueTypes are the names that a surface imports from the hand-written values of its SDK, by type of the definition.
var valueTypes = map[pdkdef.Type]string{
	"header_values": "HeaderValue", "header_map": "HeaderMap", "query_map": "QueryMap", "exit_body": "ExitBody",
	"multi_map": "MultiMap", "query": "Query", "query_value": "QueryValue", "captures": "Captures",
	"route": "Route", "service": "Service", "consumer": "Consumer", "credential": "Credential",
	"consumer_group": "ConsumerGroup", "consumer_groups": "ConsumerGroups", "body": "Body", "reference": "Reference", "span": "Span",
}

// usedValues lists the value types that the definition uses, sorted.
func usedValues(def *pdkdef.Definition) []string {
	used := map[string]bool{}
	for _, f := range def.Functions() {
		for _, p := range f.Params {
			used[valueTypes[p.Type]] = true
		}
		if f.Returns != nil {
			used[valueTypes[f.Returns.Type]] = true
		}
	}
	delete(used, "")
	return sortedKeys(used)
}

// phaseBits is the set of phases of a function: bit 1<<code for each, code as on the wire.
func phaseBits(f *pdkdef.Function) int {
	bits := 0
	for i, name := range pdkdef.Phases {
		for _, allowed := range f.Phases {
			if allowed == name {
				bits |= 1 << (i + 1)
			}
		}
	}
	return bits
}
