package schema

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// format is what a text must be. The pattern goes into the JSON Schema, where every validator understands it; what a pattern cannot say, valid checks
// when the configuration is decoded.
type format struct {
	expected string // with an article, for messages
	name     string // format of JSON Schema; "": there is none
	re       *regexp.Regexp
	valid    func(string) bool // nil: the pattern says all
}

func (f *format) matches(text string) bool {
	return (f.re == nil || f.re.MatchString(text)) && (f.valid == nil || f.valid(text))
}

// describe adds the keywords of a format; taken says that the field has a pattern of its own.
func (f *format) describe(taken bool, add func(string, any)) {
	if f.name != "" {
		add("format", f.name)
	}
	switch {
	case f.re == nil:
	case taken:
		add("allOf", []object{{{"pattern", f.re.String()}}})
	default:
		add("pattern", f.re.String())
	}
}

// formats of texts by the names that tags give them. The format port is for integers.
var formats = map[string]*format{
	"uuid": {expected: "a UUID", name: "uuid", re: regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)},
	"url":  {expected: "a URL that begins with http:// or https://", name: "uri", re: regexp.MustCompile(`^https?://[^\s/?#@]+([/?#]\S*)?$`)},
	"host": {
		expected: "a host name or an IP address", re: regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$`),
		valid: func(text string) bool { return !strings.Contains(text, ":") || isAddress(text) },
	},
	"ip":   {expected: "an IP address", re: regexp.MustCompile(`^[0-9A-Fa-f:.]+$`), valid: isAddress},
	"cidr": {expected: "a network such as 10.0.0.0/8", re: regexp.MustCompile(`^[0-9A-Fa-f:.]+/[0-9]{1,3}$`), valid: isNetwork},
	"header": {
		expected: "the name of an HTTP header", re: regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"),
	},
	"method": {expected: "an HTTP method in upper case", re: regexp.MustCompile(`^[A-Z]+$`)},
	"path":   {expected: "a path that begins with /", re: regexp.MustCompile(`^/[^\s?#]*$`)},
	"regex":  {expected: "a regular expression", name: "regex", valid: isExpression},
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

func isNetwork(text string) bool {
	_, err := netip.ParsePrefix(text)
	return err == nil
}

func isExpression(text string) bool {
	_, err := regexp.Compile(text)
	return err == nil
}

// setFormat gives a node a format.
func (n *node) setFormat(name string) error {
	if name == "port" {
		if n.kind != "integer" {
			return fmt.Errorf("is for integers, the field is %s", n.typeName())
		}
		n.bound(0, 65535)
		return nil
	}
	f := formats[name]
	switch {
	case f == nil:
		return fmt.Errorf("unknown format; known are port, %s", strings.Join(slices.Sorted(maps.Keys(formats)), ", "))
	case n.kind != "string" || n.base64:
		return fmt.Errorf("is for text, the field is %s", n.typeName())
	}
	n.format = f
	return nil
}
