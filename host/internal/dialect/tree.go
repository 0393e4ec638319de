// Package dialect rewrites declarative documents as texts: it formats them, and leads them from Kong's dialect to decK's and back, from older formats to
// 3.0, and to JSON. Comments stay where the values are that they are about. What a document means is for package config: nothing is written that means
// something else than what was read.
package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
)

// tree is a document with its comments.
type tree struct {
	root *yaml.Node // a mapping; nil: the document is empty
	doc  *yaml.Node // holds the comments around it; nil for JSON
	json bool
	// put puts expressions back into the text of a document, value into a value.
	put, value func(text string) string
}

// parse reads a document. The error is of type config.Errors.
func parse(name string, data []byte) (*tree, error) {
	if err := config.Syntax(name, data); err != nil {
		return nil, err
	}
	text, put, value := config.Mark(data)
	t := &tree{put: put, value: value}
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(text) {
		t.json = true
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		root, err := fromJSON(d)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		t.root, t.put = root, value
		return t, nil
	}
	var doc yaml.Node
	switch err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&doc); {
	case errors.Is(err, io.EOF):
		return t, nil
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	t.doc, t.root = &doc, doc.Content[0]
	writeNulls(t.root, false)
	if t.root.Kind == yaml.ScalarNode && t.root.ShortTag() == "!!null" {
		t.root = nil
		return t, nil
	}
	if t.root.Kind != yaml.MappingNode {
		return nil, config.Errors{{
			File: name, Line: t.root.Line, Col: t.root.Column, Code: config.CodeWrongType, Found: "a list or plain text", Expected: "a declarative configuration, which is a mapping",
		}}
	}
	return t, nil
}

// writeNulls writes out the nulls between brackets and braces that are not written at all: the library would write empty text in their place.
func writeNulls(n *yaml.Node, flow bool) {
	flow = flow || n.Style&yaml.FlowStyle != 0
	if flow && n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0 && n.ShortTag() == "!!null" {
		n.Value = "null"
	}
	for _, c := range n.Content {
		writeNulls(c, flow)
	}
}

// fromJSON builds nodes of JSON that is known to be valid.
func fromJSON(d *json.Decoder) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if v == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		for d.More() {
			item, err := fromJSON(d)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, item)
		}
		_, err := d.Token()
		return n, err
	case string:
		return textNode(v), nil
	case json.Number:
		tag := "!!int"
		if strings.ContainsAny(v.String(), ".eE") {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: v.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(v)}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}

// textNode is a string.
func textNode(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

func mapNode(pairs ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: pairs}
}

func listNode(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}
}

// get finds the value of a key; nil when there is none, or n is no mapping.
func get(n *yaml.Node, key string) *yaml.Node {
	if i := find(n, key); i >= 0 {
		return n.Content[i+1]
	}
	return nil
}

// find is the place of a key among the contents of a mapping, or -1.
func find(n *yaml.Node, key string) int {
	if n == nil || n.Kind != yaml.MappingNode {
		return -1
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// set gives a key a value, at the end when it is new.
func set(n *yaml.Node, key string, value *yaml.Node) {
	if i := find(n, key); i >= 0 {
		n.Content[i+1] = value
		return
	}
	n.Content = append(n.Content, textNode(key), value)
}

// remove takes a key out and gives its value; nil when there was none.
func remove(n *yaml.Node, key string) *yaml.Node {
	i := find(n, key)
	if i < 0 {
		return nil
	}
	value := n.Content[i+1]
	n.Content = append(n.Content[:i:i], n.Content[i+2:]...)
	return value
}

// items are those of a list; none when n is something else.
func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// text is the value of plain text; "" when n is something else.
func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return ""
	}
	return n.Value
}

func isTrue(n *yaml.Node) bool {
	switch strings.ToLower(text(n)) {
	case "true", "yes", "on":
		return true
	}
	return false
}

func isFalse(n *yaml.Node) bool {
	switch strings.ToLower(text(n)) {
	case "false", "no", "off":
		return true
	}
	return false
}

// clone copies a node with everything below it.
func clone(n *yaml.Node) *yaml.Node {
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		c.Content[i] = clone(child)
	}
	return &c
}

// anchored reports whether there are anchors or aliases: the order of values then matters.
func anchored(n *yaml.Node) bool {
	if n == nil {
		return false
	}
	if n.Anchor != "" || n.Kind == yaml.AliasNode {
		return true
	}
	for _, c := range n.Content {
		if anchored(c) {
			return true
		}
	}
	return false
}

// expand replaces aliases by what they stand for, and merge keys by the pairs that they bring.
func expand(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		c := expand(n.Alias)
		c.HeadComment, c.LineComment, c.FootComment = n.HeadComment, n.LineComment, n.FootComment
		return c
	}
	c := *n
	c.Anchor = ""
	c.Content = make([]*yaml.Node, 0, len(n.Content))
	if n.Kind != yaml.MappingNode {
		for _, child := range n.Content {
			c.Content = append(c.Content, expand(child))
		}
		return &c
	}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], expand(n.Content[i+1])
		if key.ShortTag() == "!!merge" {
			if value.Kind == yaml.MappingNode {
				merged = append(merged, value)
			} else {
				merged = append(merged, value.Content...)
			}
			continue
		}
		c.Content = append(c.Content, expand(key), value)
	}
	for _, m := range merged {
		for i := 0; i+1 < len(m.Content); i += 2 {
			if find(&c, m.Content[i].Value) < 0 {
				c.Content = append(c.Content, m.Content[i], m.Content[i+1])
			}
		}
	}
	return &c
}
