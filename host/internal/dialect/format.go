package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
)

// errChanged says that the text would not mean what it meant. It is a mistake of this package, and nothing is written then.
var errChanged = errors.New("found a document that cannot be written without changing what it means; please report it")

// Format writes a document in one form: fields in the order of their importance, two spaces for each level, an empty line between collections, no
// line broken. JSON stays JSON. The order of entities in their lists, comments, anchors and the style of texts stay; a document with anchors keeps the
// order of its fields too, as an alias must stand behind its anchor. Formatting twice gives the same. The error is of type config.Errors, unless it is
// about this package.
func Format(name string, data []byte) ([]byte, error) {
	t, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	if t.root == nil {
		return data, nil
	}
	if v := get(t.root, "_format_version"); v != nil && v.Kind == yaml.ScalarNode && !t.json {
		v.Tag, v.Style = "!!str", yaml.DoubleQuotedStyle
	}
	if !anchored(t.root) {
		arrange(t.root, "")
	}
	out, err := t.write(t.json)
	if err != nil {
		return nil, err
	}
	if !config.SameValues(data, out) {
		return nil, errChanged
	}
	return out, nil
}

// write gives the text of the tree.
func (t *tree) write(asJSON bool) ([]byte, error) {
	if asJSON {
		var b bytes.Buffer
		if err := t.appendJSON(&b, t.root, ""); err != nil {
			return nil, err
		}
		b.WriteByte('\n')
		return b.Bytes(), nil
	}
	var parts []string
	if t.doc != nil && t.doc.HeadComment != "" {
		parts = append(parts, t.doc.HeadComment+"\n")
	}
	if anchored(t.root) {
		text, err := dump(t.root)
		if err != nil {
			return nil, err
		}
		parts = append(parts, text)
	} else {
		block := ""
		for i := 0; i+1 < len(t.root.Content); i += 2 {
			key, value := t.root.Content[i], t.root.Content[i+1]
			text, err := dump(mapNode(key, value))
			if err != nil {
				return nil, err
			}
			if value.Kind == yaml.ScalarNode && key.HeadComment == "" && key.FootComment == "" {
				block += text // what is one line stays together
				continue
			}
			if block != "" {
				parts = append(parts, block)
				block = ""
			}
			parts = append(parts, text)
		}
		if block != "" {
			parts = append(parts, block)
		}
	}
	if t.doc != nil && t.doc.FootComment != "" {
		parts = append(parts, t.doc.FootComment+"\n")
	}
	return []byte(t.put(strings.Join(parts, "\n"))), nil
}

// dump writes a node as YAML.
func dump(n *yaml.Node) (string, error) {
	var b bytes.Buffer
	d, err := yaml.NewDumper(&b, yaml.WithV4Defaults(), yaml.WithLineWidth(-1))
	if err != nil {
		return "", err
	}
	if err := errors.Join(d.Dump(n), d.Close()); err != nil {
		return "", err
	}
	return b.String(), nil
}

// appendJSON writes a node as JSON, with the fields in their order.
func (t *tree) appendJSON(b *bytes.Buffer, n *yaml.Node, indent string) error {
	const step = "  "
	encode := func(v any) error {
		e := json.NewEncoder(b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1) // its line break
		return nil
	}
	switch n.Kind {
	case yaml.AliasNode:
		return t.appendJSON(b, n.Alias, indent)
	case yaml.MappingNode, yaml.SequenceNode:
		opening, closing, width := "[", "]", 1
		if n.Kind == yaml.MappingNode {
			opening, closing, width = "{", "}", 2
		}
		b.WriteString(opening)
		for i := 0; i+width <= len(n.Content); i += width {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString("\n" + indent + step)
			if width == 2 {
				if err := encode(t.value(n.Content[i].Value)); err != nil {
					return err
				}
				b.WriteString(": ")
			}
			if err := t.appendJSON(b, n.Content[i+width-1], indent+step); err != nil {
				return err
			}
		}
		if len(n.Content) > 0 {
			b.WriteString("\n" + indent)
		}
		b.WriteString(closing)
		return nil
	}
	v, err := config.Scalar(n.ShortTag(), n.Value)
	if err != nil {
		return err
	}
	if s, ok := v.(string); ok {
		v = t.value(s)
	}
	return encode(v)
}
