package dialect

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
)

// Dialects of declarative documents. Both are read everywhere; decK and Kong read their own.
const (
	Kong = "kong"
	Deck = "deck"
)

// Options say what becomes of a document.
type Options struct {
	To   string // Kong or Deck; "": the dialect stays, and an older format becomes 3.0
	JSON bool   // write JSON; else YAML
}

// Convert writes a document in another dialect, always in format 3.0. Notes say what the reader of the result should know: what was left out because the
// other dialect has no words for it, and what only this gateway understands. What cannot be said at all is an error.
func Convert(name string, data []byte, o Options) (out []byte, notes []string, err error) {
	t, err := parse(name, data)
	if err != nil {
		return nil, nil, err
	}
	if t.root == nil {
		t.root = mapNode(textNode("_format_version"), textNode("3.0"))
	}
	c := &conversion{name: name, root: expand(t.root)}
	t.root = c.root
	c.upgrade()
	switch o.To {
	case Kong:
		c.toKong()
	case Deck:
		c.toDeck()
	}
	if o.To != "" {
		c.tellOwn(o.To)
	}
	if c.err != nil {
		return nil, nil, c.err
	}
	arrange(t.root, "")
	if o.To == Kong && t.hasExpressions(t.root) {
		c.note("Kong does not replace ${{ env … }}: decK does before it sends, and this gateway when it reads")
	}
	if o.JSON && !t.json {
		c.tellExpressions(t)
		spellBooleans(t.root)
	}
	out, err = t.write(o.JSON)
	return out, c.notes, err
}

// conversion is one document on its way.
type conversion struct {
	name  string
	root  *yaml.Node
	notes []string
	err   error // the first
	// parents are the entities that others are nested in: by collection and field, then by its value.
	parents map[string]map[string]*yaml.Node
}

func (c *conversion) note(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); !slices.Contains(c.notes, n) {
		c.notes = append(c.notes, n)
	}
}

func (c *conversion) fail(n *yaml.Node, found, expected, fix string) {
	if c.err == nil {
		c.err = config.Errors{{File: c.name, Line: n.Line, Col: n.Column, Code: config.CodeUnsupported, Found: found, Expected: expected, Fix: fix}}
	}
}

// upgrade makes format 3.0 of an older one: paths with characters of regular expressions begin with "~".
func (c *conversion) upgrade() {
	version := get(c.root, "_format_version")
	if version == nil {
		c.fail(c.root, `no "_format_version"`, `the format of the file, one of "3.0", "2.1", "1.1"`, "")
		return
	}
	if version.Kind != yaml.ScalarNode {
		c.fail(version, "a list or a mapping", `one of "3.0", "2.1", "1.1"`, "")
		return
	}
	old := text(version) == "1.1" || text(version) == "2.1"
	version.Value, version.Tag, version.Style = "3.0", "!!str", yaml.DoubleQuotedStyle
	if !old {
		return
	}
	each(c.root, "route", func(route *yaml.Node) {
		for _, path := range items(get(route, "paths")) {
			if upgraded := config.UpgradePath(text(path)); path.Kind == yaml.ScalarNode && upgraded != path.Value {
				c.note("the path %s is a regular expression: it is %s in format 3.0", path.Value, upgraded)
				path.Value, path.Tag = upgraded, "!!str"
			}
		}
	})
}

// ownFields are fields of entities that only this gateway knows.
var ownFields = map[string][]string{
	"plugin": {
		"timeout", "timeouts", "fail_mode", "fail_status", "fail_body", "max_in_flight", "queue", "error_budget", "allow_fail_open", "mode", "inherit", "stack", "priority", "on_false",
	},
	"route":          {"path_match"},
	"consumer_group": {"priority"},
	"vault":          {"on_failure"},
	"upstream":       {"circuit_breakers", "outlier_detection", "retry_budget", "retry_on", "slow_start"},
}

// tellOwn notes what the reader of the other dialect does not know.
func (c *conversion) tellOwn(to string) {
	reader := map[string]string{Kong: "Kong", Deck: "decK"}[to]
	for _, name := range []string{"route", "plugin", "consumer_group", "vault", "upstream"} {
		one := "a " + strings.ReplaceAll(name, "_", " ")
		if name == "upstream" {
			one = "an upstream"
		}
		each(c.root, name, func(n *yaml.Node) {
			for _, field := range ownFields[name] {
				if get(n, field) != nil {
					c.note("%s refuses the field %s of %s, which only this gateway has", reader, field, one)
				}
			}
			if name == "route" && get(n, "priority") != nil && get(n, "expression") == nil {
				c.note("%s refuses the field priority of a route without an expression", reader)
			}
			if name == "vault" && text(get(n, "name")) == "file" {
				c.note("%s has no vaults of type file", reader)
			}
		})
	}
	if len(items(get(c.root, "cloned_plugins"))) > 0 {
		c.note("%s has no cloned_plugins in its files", reader)
	}
}

// tellExpressions notes expressions whose values lose their type between the quotes of JSON.
func (c *conversion) tellExpressions(t *tree) {
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 {
			if written := t.value(n.Value); written != n.Value && written[0] == '$' && !strings.Contains(written, "|") {
				c.note("%s is text in JSON: write | toInt or | toBool inside where a number or a boolean is meant", written)
			}
		}
		for _, child := range n.Content {
			walk(child)
		}
	}
	walk(c.root)
}

// booleans are the fields of entities that are true or false.
var booleans = []string{
	"_transform", "skip_hash_for_basic_auth", "include_plugin_definitions", "consumer_group_policy_overrides", "enabled", "tls_verify", "strip_path", "preserve_host",
	"request_buffering", "response_buffering", "use_srv_name", "https_verify_certificate", "hash_secret", "allow_fail_open", "inherit", "stack", "handler_errors",
}

// spellBooleans writes yes, no, on and off as JSON has them, where they are not text: that they are in the configurations of plugins.
func spellBooleans(n *yaml.Node) {
	for i := 0; i < len(n.Content); i++ {
		child := n.Content[i]
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			key := n.Content[i-1].Value
			if key == "config" || key == "_plugin_configs" {
				continue
			}
			plain := child.Kind == yaml.ScalarNode && child.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
			if plain && slices.Contains(booleans, key) && (isTrue(child) || isFalse(child)) {
				child.Tag, child.Value = "!!bool", fmt.Sprint(isTrue(child))
			}
		}
		spellBooleans(child)
	}
}

func (t *tree) hasExpressions(n *yaml.Node) bool {
	return t.value(n.Value) != n.Value || slices.ContainsFunc(n.Content, t.hasExpressions)
}

// dropNotes removes what both dialects allow in Kong's files and decK refuses.
func (c *conversion) dropNotes(n *yaml.Node, name string) {
	for _, key := range []string{"_comment", "_ignore"} {
		if remove(n, key) != nil {
			c.note("decK has no %s: it is left out", key)
		}
	}
	for collection, child := range kinds[name].children {
		for _, item := range items(get(n, collection)) {
			c.dropNotes(item, child)
		}
	}
}
