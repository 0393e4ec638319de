package config

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
)

// ErrorTemplates are the files that make the bodies of the gateway's errors.
type ErrorTemplates struct{ HTML, JSON, Plain, XML ErrorTemplate }

// ErrorTemplate is one of them. The first %s of its text stands for the message, the second for the request id, %% for a percent sign.
type ErrorTemplate struct{ Path, Text string }

// maxTemplate bounds the text of a template, in bytes: it is sent with every error.
const maxTemplate = 64 << 10

// templateSetting is the path of a template for a format: html, json, plain, xml.
func templateSetting(format string, field func(*Settings) *ErrorTemplate) setting {
	doc := "file with the body of the gateway's errors in this format; its first %s stands for the message, the second for the request id, %% for a percent sign; empty: the gateway's own"
	return row("error_template_"+format, "path", "", doc, func(r *settingReader, v *node, at *path) {
		s, ok := r.scalar(v, at, "a path")
		if !ok {
			return
		}
		t := ErrorTemplate{Path: r.path(s)}
		if s != "" {
			text, p := readTemplate(t.Path, format)
			if p != nil {
				r.problem(at, v, p)
				return
			}
			t.Text = text
		}
		*field(r.s) = t
	})
}

// readTemplate reads a template and tries it.
func readTemplate(path, format string) (string, *problem) {
	f, err := os.Open(path)
	if err != nil {
		return "", unreadableTemplate(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
	if err != nil {
		return "", unreadableTemplate(path, err)
	}
	if len(data) == 0 || len(data) > maxTemplate {
		return "", &problem{expected: "a file of 1 to " + strconv.Itoa(maxTemplate) + " bytes"}
	}
	text := string(data)
	return text, checkTemplate(text, format)
}

func unreadableTemplate(path string, err error) *problem {
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return &problem{expected: "a file that can be read; " + path + ": " + err.Error(), code: CodeUnreadable}
}

// checkTemplate is the rule for the text of a template.
func checkTemplate(text, format string) *problem {
	values := 0
	for line, rest := range numbered(text) {
		for i := strings.IndexByte(rest, '%'); i >= 0; i = strings.IndexByte(rest, '%') {
			next := ""
			if i+1 < len(rest) {
				next = rest[i+1 : i+2]
			}
			switch next {
			case "s":
				values++
			case "%":
			default:
				return &problem{expected: "a template whose percent signs are %s or %%; its line " + strconv.Itoa(line) + " has another one", fix: "write %% for a percent sign"}
			}
			rest = rest[i+2:]
		}
	}
	if values > 2 {
		return &problem{expected: "a template with at most two %s, for the message and the request id; it has " + strconv.Itoa(values)}
	}
	filled := strings.ReplaceAll(strings.ReplaceAll(text, "%s", "x"), "%%", "%")
	switch format {
	case "json":
		if !json.Valid([]byte(filled)) {
			return &problem{expected: `a template that is JSON when every %s is text, such as {"message": "%s"}`}
		}
	case "xml":
		if err := wellFormed(filled); err != nil {
			return &problem{expected: "a template that is XML when every %s is text: " + err.Error()}
		}
	}
	return nil
}

// numbered are the lines of a text with their numbers, from 1.
func numbered(text string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range strings.Lines(text) {
			if n++; !yield(n, strings.TrimRight(line, "\r\n")) {
				return
			}
		}
	}
}

// wellFormed reads XML to its end, which must have an element.
func wellFormed(text string) error {
	d := xml.NewDecoder(strings.NewReader(text))
	elements := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			if elements == 0 {
				return errors.New("found no element")
			}
			return nil
		}
		if err != nil {
			return err
		}
		if _, ok := token.(xml.StartElement); ok {
			elements++
		}
	}
}
