package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// readFile reads a document that may not be larger than maxDocument.
func readFile(name string) ([]byte, *Error) {
	unreadable := func(err error) *Error {
		e := &Error{File: name, Code: CodeUnreadable, Found: err.Error(), Expected: "a file that can be read"}
		var p *os.PathError
		if errors.As(err, &p) {
			e.Found = p.Err.Error()
		}
		return e
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return nil, unreadable(err)
	}
	return data, nil
}

// parseDocument reads YAML or JSON. An empty document is null.
func parseDocument(name string, data []byte) (*node, *Error) {
	if len(data) > maxDocument {
		return nil, &Error{File: name, Code: CodeSyntax, Found: "more than 64 MiB", Expected: "a document of at most 64 MiB"}
	}
	if e := checkText(data); e != nil {
		e.File = name
		return nil, e
	}
	trimmed := bytes.TrimLeft(data, " \t\r\n")
	var n *node
	var e *Error
	if len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && json.Valid(data) {
		n, e = parseJSON(data)
	} else {
		n, e = parseYAML(data)
	}
	if e != nil {
		e.File = name
	}
	return n, e
}

// checkText finds the first byte that no YAML or JSON document may hold.
func checkText(data []byte) *Error {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return &Error{Line: 1, Col: 1, Code: CodeSyntax, Found: "UTF-16, by its byte order mark", Expected: "UTF-8 text", Fix: "save the file as UTF-8"}
	}
	line, start := 1, 0
	for i := 0; i < len(data); {
		c := data[i]
		if c >= 0x20 && c < 0x7f {
			i++
			continue
		}
		fail := func(found, expected, fix string) *Error {
			return &Error{Line: line, Col: utf8.RuneCount(data[start:i]) + 1, Code: CodeSyntax, Found: found, Expected: expected, Fix: fix}
		}
		switch {
		case c == '\n':
			line, start = line+1, i+1
		case c == '\t' || c == '\r':
		case c < utf8.RuneSelf:
			fix := "remove it, or write it as an escape between double quotes"
			if c == 0 {
				fix = "save the file as UTF-8, if it is UTF-16"
			}
			return fail(fmt.Sprintf("the control character 0x%02x", c), "text without control characters", fix)
		default:
			r, size := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && size == 1 {
				return fail(fmt.Sprintf("the byte 0x%02x", c), "UTF-8 text", "save the file as UTF-8")
			}
			i += size
			continue
		}
		i++
	}
	return nil
}

func parseYAML(data []byte) (*node, *Error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return &node{kind: kindNull, line: 1, col: 1, size: 1}, nil
		}
		return nil, yamlError(data, err)
	}
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, &Error{
			Line: second.Line, Col: second.Column, Code: CodeSyntax, Found: "a second YAML document", Expected: "one document in a file",
			Fix: "remove the line ---, or put the second document into a file of its own",
		}
	case !errors.Is(err, io.EOF):
		return nil, yamlError(data, err)
	}
	b := builder{done: map[*yaml.Node]*node{}}
	root := document.Content[0]
	n := b.build(root, 1)
	if b.err != nil && b.wrong != nil {
		b.err.Path = pathTo(root, b.wrong, nil).String()
	}
	return n, b.err
}

// pathTo finds a node, or a key, below another one; nil when it is not there, or is the other one itself.
func pathTo(y, wanted *yaml.Node, at *path) *path {
	for i, child := range y.Content {
		here := at.item(i)
		if y.Kind == yaml.MappingNode {
			key := y.Content[i&^1]
			if key.Kind != yaml.ScalarNode { // it has no name: its mapping is all that can be told
				here = at
			} else {
				here = at.key(key.Value)
			}
		}
		if child == wanted {
			return here
		}
		if found := pathTo(child, wanted, here); found != nil {
			return found
		}
	}
	return nil
}

// yamlError gives a place and a remedy to what the YAML parser says.
func yamlError(data []byte, err error) *Error {
	e := &Error{Code: CodeSyntax, Found: strings.TrimPrefix(err.Error(), "yaml: "), Expected: "YAML or JSON"}
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		return e
	}
	language := "YAML"
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) > 0 && (first[0] == '{' || first[0] == '[') {
		language = "JSON or YAML"
	}
	e.Found = "a mistake in the " + language + " syntax: " + le.Message
	e.Line, e.Col = max(1, le.Mark.Line), max(1, le.Mark.Column)
	if last := bytes.Count(bytes.TrimRight(data, " \t\r\n"), []byte("\n")) + 1; e.Line > last {
		// It was noticed at the end of the file: tell where the unfinished thing begins.
		e.Line, e.Col = last, utf8.RuneCount(lineOf(data, last))+1
		if le.ContextMark.Line > 0 && le.ContextMark.Line <= last {
			e.Line, e.Col = le.ContextMark.Line, max(1, le.ContextMark.Column)
		}
	}
	if strings.HasPrefix(le.Message, "exceeded max depth") {
		return tooDeep(e.Line, e.Col)
	}
	if line := lineOf(data, e.Line); len(line) > 0 {
		if indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]; bytes.ContainsRune(indent, '\t') {
			e.Found = "a tab in the indentation"
			e.Col = bytes.IndexByte(indent, '\t') + 1
			e.Expected = "spaces"
			e.Fix = "replace the tab with spaces"
		}
	}
	return e
}

func lineOf(data []byte, line int) []byte {
	for range line - 1 {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			return nil
		}
		data = data[i+1:]
	}
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		data = data[:i]
	}
	return data
}

func tooDeep(line, col int) *Error {
	return &Error{
		Line: line, Col: col, Code: CodeSyntax, Found: fmt.Sprintf("more than %d levels of mappings and lists", maxDepth),
		Expected: "fewer levels",
	}
}

// builder turns the tree of the YAML package into ours: aliases become shared nodes, merge keys are merged.
type builder struct {
	done     map[*yaml.Node]*node // anchors; nil while the anchor's own value is being built
	expanded int
	err      *Error
	wrong    *yaml.Node // that err is about
}

func (b *builder) fail(y *yaml.Node, code, found, expected, fix string) {
	if b.err == nil {
		b.wrong, b.err = y, &Error{Line: y.Line, Col: y.Column, Code: code, Found: found, Expected: expected, Fix: fix}
	}
}

func (b *builder) build(y *yaml.Node, depth int) *node {
	n := &node{line: int32(y.Line), col: int32(y.Column), size: 1}
	if b.err != nil {
		return n
	}
	if depth > maxDepth {
		b.err = tooDeep(y.Line, y.Column)
		return n
	}
	if y.Anchor != "" && y.Kind != yaml.AliasNode {
		b.done[y] = nil
		defer func() { b.done[y] = n }()
	}
	switch y.Kind {
	case yaml.AliasNode:
		return b.alias(y, n)
	case yaml.ScalarNode:
		b.scalar(y, n)
	case yaml.SequenceNode:
		b.tag(y, "!!seq")
		n.kind = kindList
		n.items = make([]*node, len(y.Content))
		for i, c := range y.Content {
			n.items[i] = b.build(c, depth+1)
			n.size += n.items[i].size
		}
	case yaml.MappingNode:
		b.tag(y, "!!map")
		n.kind = kindMapping
		b.mapping(y, n, depth)
	default:
		b.fail(y, CodeSyntax, "an unknown kind of YAML node", "a mapping, a list or a plain value", "")
	}
	return n
}

func (b *builder) alias(y *yaml.Node, n *node) *node {
	target, known := b.done[y.Alias]
	if !known || target == nil {
		b.fail(y, CodeSyntax, "the alias *"+y.Value+" inside its own anchor", "an alias of a value that is complete", "")
		return n
	}
	b.expanded += int(target.size)
	if b.expanded > maxExpanded {
		b.fail(y, CodeSyntax, fmt.Sprintf("aliases that add more than %d values", maxExpanded), "fewer aliases", "")
		return n
	}
	return target
}

func (b *builder) tag(y *yaml.Node, want string) {
	if tag := y.ShortTag(); tag != want {
		b.fail(y, CodeSyntax, "the tag "+quote(tag), "no tag here", "remove the tag")
	}
}

func (b *builder) scalar(y *yaml.Node, n *node) {
	n.text = y.Value
	n.quoted = y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	switch tag := y.ShortTag(); tag {
	case "!!str", "!!timestamp", "!!merge":
		n.kind = kindText
	case "!!null":
		n.kind = kindNull
	case "!!bool":
		n.kind = kindBool
	case "!!int":
		n.kind = kindInt
		if ambiguousOctal(y.Value) {
			n.kind = kindText
		}
	case "!!float":
		n.kind = kindFloat
		if isDigits(strings.TrimLeft(y.Value, "+-")) && ambiguousOctal(y.Value) { // such as 080, which is no octal number
			n.kind = kindText
		} else if !finite(y.Value) {
			b.fail(y, CodeWrongValue, y.Value, "a finite number", "")
		}
	default:
		b.fail(y, CodeSyntax, "the tag "+quote(tag), "no tag, or one of !!str, !!int, !!float, !!bool, !!null", "remove the tag")
	}
}

// ambiguousOctal reports a number such as 017, which is 15 in YAML 1.1 and 17 in YAML 1.2.
func ambiguousOctal(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9'
}

func (b *builder) mapping(y *yaml.Node, n *node, depth int) {
	n.pairs = make([]pair, 0, len(y.Content)/2)
	seen := make(map[string]int, len(y.Content)/2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			b.fail(k, CodeSyntax, "a key that is not plain text", "text", "")
			return
		}
		if k.ShortTag() == "!!merge" {
			merges = append(merges, v)
			continue
		}
		at := y.Content[i]
		p := pair{key: k.Value, at: &node{kind: kindText, text: k.Value, line: int32(at.Line), col: int32(at.Column), size: 1}}
		if first, twice := seen[p.key]; twice {
			b.fail(k, CodeDuplicateKey, "the key "+quote(p.key)+" again", "each key once",
				fmt.Sprintf("remove it, or the one in line %d", n.pairs[first].at.line))
			return
		}
		seen[p.key] = len(n.pairs)
		p.value = b.build(v, depth+1)
		n.size += p.value.size + 1
		n.pairs = append(n.pairs, p)
	}
	for _, m := range merges {
		b.merge(b.build(m, depth+1), m, n, seen)
	}
}

// merge adds the pairs of a mapping, or of each mapping of a list, whose keys are not there yet.
func (b *builder) merge(from *node, y *yaml.Node, into *node, seen map[string]int) {
	if b.err != nil {
		return
	}
	switch from.kind {
	case kindList:
		for _, item := range from.items {
			if item.kind != kindMapping {
				b.fail(y, CodeWrongType, item.describe(), "mappings to merge", "")
				return
			}
			b.merge(item, y, into, seen)
		}
	case kindMapping:
		b.expanded += int(from.size)
		if b.expanded > maxExpanded {
			b.fail(y, CodeSyntax, fmt.Sprintf("aliases that add more than %d values", maxExpanded), "fewer aliases", "")
			return
		}
		for _, p := range from.pairs {
			if _, explicit := seen[p.key]; explicit {
				continue
			}
			p.merged = true
			seen[p.key] = len(into.pairs)
			into.pairs = append(into.pairs, p)
			into.size += p.value.size + 1
		}
	default:
		b.fail(y, CodeWrongType, from.describe(), "a mapping, or a list of mappings, to merge", "")
	}
}
