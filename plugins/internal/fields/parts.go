package fields

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
)

// parts is a multipart/form-data body (RFC 7578). Parts that are not edited keep their bytes.
type parts struct {
	boundary string
	preamble []byte // before the first delimiter, with its line break
	list     []part
	epilogue []byte // after the closing delimiter
	changed  bool
}

// part is one part between two delimiters: header lines, each with its line break, and content.
type part struct {
	name    string
	header  []byte // without the empty line
	content []byte
}

var lineBreak = []byte("\r\n")

// parseParts splits a body at its delimiters, RFC 2046 section 5.1.1.
func parseParts(contentType string, body []byte) (*parts, error) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, fmt.Errorf("parsing Content-Type %q: %w", contentType, err)
	}
	p := &parts{boundary: params["boundary"]}
	if p.boundary == "" {
		return nil, fmt.Errorf("Content-Type %q has no boundary", contentType)
	}
	if len(body) == 0 {
		return p, nil
	}
	delimiter := []byte("--" + p.boundary)
	rest := body
	if !bytes.HasPrefix(rest, delimiter) {
		i := bytes.Index(rest, append(slices.Clone(lineBreak), delimiter...))
		if i < 0 {
			return nil, errors.New("parsing multipart body: no delimiter found")
		}
		p.preamble, rest = rest[:i+2], rest[i+2:]
	}
	separator := append(slices.Clone(lineBreak), delimiter...)
	for {
		rest = rest[len(delimiter):]
		if bytes.HasPrefix(rest, []byte("--")) {
			p.epilogue = rest[2:]
			return p, nil
		}
		rest = bytes.TrimLeft(rest, " \t")
		if !bytes.HasPrefix(rest, lineBreak) {
			return nil, errors.New("parsing multipart body: no line break after a delimiter")
		}
		rest = rest[2:]
		end := bytes.Index(rest, separator)
		if end < 0 {
			return nil, errors.New("parsing multipart body: the last part is not closed")
		}
		x, err := parsePart(rest[:end])
		if err != nil {
			return nil, fmt.Errorf("parsing multipart body: part %d: %w", len(p.list)+1, err)
		}
		p.list = append(p.list, x)
		rest = rest[end+2:]
	}
}

func parsePart(text []byte) (part, error) {
	var x part
	if bytes.HasPrefix(text, lineBreak) {
		x.content = text[2:]
		return x, nil
	}
	end := bytes.Index(text, []byte("\r\n\r\n"))
	if end < 0 {
		return x, errors.New("no empty line after the header")
	}
	x.header, x.content = text[:end+2], text[end+4:]
	for line := range bytes.SplitSeq(x.header, lineBreak) {
		name, value, ok := strings.Cut(string(line), ":")
		if ok && strings.EqualFold(textproto.TrimString(name), "Content-Disposition") {
			_, params, err := mime.ParseMediaType(value)
			if err != nil {
				return x, fmt.Errorf("parsing Content-Disposition: %w", err)
			}
			x.name = params["name"]
		}
	}
	return x, nil
}

func newPart(name, value string) part {
	return part{
		name:    name,
		header:  []byte("Content-Disposition: form-data; name=" + quoted(name) + "\r\n"),
		content: []byte(value),
	}
}

// quoted writes a name as browsers do (RFC 7578 section 5.1 and the HTML standard).
func quoted(name string) string {
	return `"` + strings.NewReplacer(`"`, "%22", "\r", "%0D", "\n", "%0A").Replace(name) + `"`
}

// Bytes implements Body.
func (p *parts) Bytes() []byte {
	var b bytes.Buffer
	b.Write(p.preamble)
	for _, x := range p.list {
		b.WriteString("--" + p.boundary + "\r\n")
		b.Write(x.header)
		b.WriteString("\r\n")
		b.Write(x.content)
		b.WriteString("\r\n")
	}
	b.WriteString("--" + p.boundary + "--")
	if p.epilogue == nil {
		b.WriteString("\r\n")
	}
	b.Write(p.epilogue)
	return b.Bytes()
}

// Changed implements Body.
func (p *parts) Changed() bool { return p.changed }

// Values implements Body.
func (p *parts) Values(name string) []string {
	var values []string
	for _, x := range p.list {
		if x.name == name {
			values = append(values, string(x.content))
		}
	}
	return values
}

// Has implements Set.
func (p *parts) Has(name string) bool {
	return slices.ContainsFunc(p.list, func(x part) bool { return x.name == name })
}

// Remove implements Set.
func (p *parts) Remove(name string) {
	n := len(p.list)
	p.list = slices.DeleteFunc(p.list, func(x part) bool { return x.name == name })
	p.changed = p.changed || len(p.list) != n
}

// nameParameter finds the parameter name in a Content-Disposition line, not filename.
var nameParameter = regexp.MustCompile(`(?i)(^content-disposition:[^\r\n]*?;[ \t]*name=)("(?:[^"\\\r\n]|\\.)*"|[^;\r\n]*)`)

// Rename implements Set. File names and types of the parts stay.
func (p *parts) Rename(from, to string) {
	if from == to || !p.Has(from) {
		return
	}
	p.Remove(to)
	for i, x := range p.list {
		if x.name != from {
			continue
		}
		lines := bytes.SplitAfter(x.header, lineBreak)
		for j, line := range lines {
			if at := nameParameter.FindSubmatchIndex(line); at != nil {
				lines[j] = slices.Concat(line[:at[4]], []byte(quoted(to)), line[at[5]:])
			}
		}
		p.list[i].name, p.list[i].header = to, bytes.Join(lines, nil)
	}
	p.changed = true
}

// Put implements Set.
func (p *parts) Put(name, value string) {
	i := slices.IndexFunc(p.list, func(x part) bool { return x.name == name })
	if i < 0 {
		p.Append(name, value)
		return
	}
	rest := slices.DeleteFunc(slices.Clone(p.list[i+1:]), func(x part) bool { return x.name == name })
	p.list = append(append(p.list[:i:i], newPart(name, value)), rest...)
	p.changed = true
}

// Append implements Set.
func (p *parts) Append(name, value string) {
	p.list = append(p.list, newPart(name, value))
	p.changed = true
}
