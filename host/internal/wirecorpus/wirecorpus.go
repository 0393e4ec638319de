// Package wirecorpus reads the byte-level cases that show what the gateway makes of hostile requests, and sends them to a server.
//
// A case is written so that it can be reviewed: its bytes stand line by line as they go over the wire, with the escapes of Go strings; the ends of the
// lines in the file mean nothing. {a*100} stands for 100 times a. The tests of the proxy send all cases to the gateway; make wire-diff sends them to nginx and
// HAProxy beside it.
package wirecorpus

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

//go:embed requests/*.yaml
var files embed.FS

// Case is what one client sends over one connection.
type Case struct {
	Name string `yaml:"name"`
	Why  string `yaml:"why"`
	Text string `yaml:"send"`
	// Want are the statuses of the answers, in order. A final 0 stands for a connection that is closed without another answer.
	Want []int `yaml:"want"`
	// Served are the requests that the service gets, as method, target and body: "POST /a abc".
	Served []string `yaml:"served"`
	// End: the client finishes sending after its bytes.
	End bool `yaml:"end"`

	Class string `yaml:"-"` // the name of its file
	Bytes []byte `yaml:"-"` // what Text stands for
}

// Requests are the cases of hostile and of odd but good requests, by class.
func Requests() ([]Case, error) { return Load(files, "requests") }

// Load reads the cases of a folder.
func Load(from fs.FS, folder string) ([]Case, error) {
	names, err := fs.Glob(from, folder+"/*.yaml")
	if err != nil {
		return nil, err
	}
	var all []Case
	known := map[string]bool{}
	for _, name := range names {
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, err
		}
		var cases []Case
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		if err := decoder.Decode(&cases); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		class := strings.TrimSuffix(name[len(folder)+1:], ".yaml")
		for _, c := range cases {
			c.Class = class
			if known[c.ID()] {
				return nil, fmt.Errorf("%s: a second case %s", name, c.Name)
			}
			known[c.ID()] = true
			if c.Bytes, err = Unescape(c.Text); err != nil {
				return nil, fmt.Errorf("%s: case %s: %w", name, c.Name, err)
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// ID names the case among all.
func (c *Case) ID() string { return c.Class + "/" + c.Name }

var repeated = regexp.MustCompile(`\{((?:[^{}*\\]|\\x[0-9a-f]{2}|\\[rnt])+)\*([0-9]+)\}`)

// Unescape makes bytes of the text of a case.
func Unescape(text string) ([]byte, error) {
	text = repeated.ReplaceAllStringFunc(text, func(s string) string {
		m := repeated.FindStringSubmatch(s)
		n, _ := strconv.Atoi(m[2]) // digits
		return strings.Repeat(m[1], n)
	})
	var all strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		all.WriteString(line)
	}
	s, err := strconv.Unquote(`"` + strings.ReplaceAll(all.String(), `"`, `\"`) + `"`)
	if err != nil {
		return nil, fmt.Errorf("its bytes are no Go string: %w", err)
	}
	return []byte(s), nil
}
