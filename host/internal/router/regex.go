package router

import (
	"fmt"
	"regexp"
)

// regexPath is one compiled regex path.
type regexPath struct {
	re     *regexp.Regexp // anchored at the start
	prefix string         // literal text that every match starts with
	names  []string       // of the groups from the first; "" for an unnamed one
}

// newRegexPath compiles a regex path without its ~.
func newRegexPath(pattern string) (*regexPath, error) {
	free, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", "~"+pattern, err)
	}
	re, err := regexp.Compile("^(?:" + pattern + ")")
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", "~"+pattern, err)
	}
	prefix, _ := free.LiteralPrefix()
	return &regexPath{re: re, prefix: prefix, names: re.SubexpNames()[1:]}, nil
}

// match matches at the start of path and puts the matched text and the captures into m. Without groups it does not allocate.
func (p *regexPath) match(path string, m *Match) bool {
	if len(p.names) == 0 {
		text := p.re.FindString(path) // FindStringIndex would allocate
		if text == "" && !p.re.MatchString(path) {
			return false
		}
		m.Captures.reset()
		m.MatchedPath = text
		return true
	}
	at := p.re.FindStringSubmatchIndex(path)
	if at == nil {
		return false
	}
	m.Captures.reset()
	m.MatchedPath = path[:at[1]]
	m.Captures.take(path, at, p.names)
	return true
}

// take appends what the groups matched; at is from FindStringSubmatchIndex, names are those of the groups.
func (c *Captures) take(path string, at []int, names []string) {
	for i, name := range names {
		from, to := at[2*i+2], at[2*i+3]
		if from < 0 {
			c.Unnamed = append(c.Unnamed, "")
			continue
		}
		c.Unnamed = append(c.Unnamed, path[from:to])
		if name != "" {
			c.Named = append(c.Named, NamedCapture{Name: name, Value: path[from:to]})
		}
	}
}
