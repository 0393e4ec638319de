// Package responses has the responses, byte for byte, that show what a gateway makes of upstreams which do not speak HTTP as they should, an upstream that
// answers with them, and a client that says what came of it. The tests of the proxy play all cases; make wire-diff plays them through nginx and HAProxy too.
package responses

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"go.yaml.in/yaml/v4"
)

//go:embed cases/*.yaml
var files embed.FS

// Case is what an upstream answers, and what becomes of it. In the bytes, {15K} and {64K} stand for as many bytes, {1000 lines} for so many header
// lines, {100 interim} and {1000 interim} for so many interim responses.
type Case struct {
	Name    string            `yaml:"name"`
	Method  string            `yaml:"method"`  // of the request; GET
	Request map[string]string `yaml:"request"` // headers of the request
	Bytes   string            `yaml:"bytes"`   // the response
	Chunks  string            `yaml:"chunks"`  // instead of it: the body of a chunked response
	Later   string            `yaml:"later"`   // sent when the client has its response
	Then    string            `yaml:"then"`    // what the upstream does next: close, open (it waits) or reset; close
	Want    string            `yaml:"want"`    // status that the client gets, or cut: a response that is broken off
	Body    string            `yaml:"body"`    // what the client gets
	With    string            `yaml:"with"`    // a header line that it gets
	Without []string          `yaml:"without"` // headers that it does not get
	Trailer string            `yaml:"trailer"` // the trailers that it gets
	Kept    *bool             `yaml:"kept"`    // whether the connection to the upstream is used again
	Tries   int               `yaml:"tries"`   // how often the upstream gets the request when it may be repeated twice; 1

	Class string `yaml:"-"` // the name of its file
	path  string
}

// ID names the case among all.
func (c *Case) ID() string { return c.Class + "/" + c.Name }

// Response is what the upstream sends.
func (c *Case) Response() []byte {
	text := c.Bytes
	if c.Chunks != "" {
		text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + c.Chunks
	}
	return []byte(strings.NewReplacer(
		"{15K}", strings.Repeat("x", 15<<10),
		"{64K}", strings.Repeat("x", 64<<10),
		"{1000 lines}", strings.Repeat("X-1: 1\r\n", 1000),
		"{100 interim}", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100),
		"{1000 interim}", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 1000),
	).Replace(text))
}

// Cases are all, by class.
func Cases() ([]*Case, error) {
	names, err := fs.Glob(files, "cases/*.yaml")
	if err != nil {
		return nil, err
	}
	var all []*Case
	known := map[string]bool{}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var cases []*Case
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		if err := decoder.Decode(&cases); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, c := range cases {
			c.Class = strings.TrimSuffix(strings.TrimPrefix(name, "cases/"), ".yaml")
			if known[c.ID()] {
				return nil, fmt.Errorf("%s: a second case %q", name, c.Name)
			}
			known[c.ID()] = true
			c.path = fmt.Sprintf("/case/%d", len(all))
			if c.Want == "504" {
				c.path = "/quick" + c.path
			}
			if c.Method == "" {
				c.Method = "GET"
			}
			if c.Tries == 0 {
				c.Tries = 1
			}
			all = append(all, c)
		}
	}
	return all, nil
}
