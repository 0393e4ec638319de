package blackbox

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// mark stands for a secret: it keeps the length, which often says what is wrong.
func mark(size int) string { return fmt.Sprintf("<redacted %d bytes>", size) }

// redactor takes the secrets out of one recording: the values of secret names, and their texts wherever else they stand.
type redactor struct {
	names
	found map[string]bool   // secrets
	marks *strings.Replacer // makes marks of them, the longest first
	known map[string]bool   // what secret said of names in texts
}

// openCredential are the fields of a credential that name it and its owner.
var openCredential = []string{"id", "consumer", "created_at", "tags", "ttl", "username", "group"}

// passwordInURL is the part of a URL that signs in.
var passwordInURL = regexp.MustCompile(`://[^/@\s?#]+@`)

// parameter is a parameter in the query of a URL, wherever it stands.
var parameter = regexp.MustCompile(`([?&])([^=&?#\s"]+)=([^&#\s"]*)`)

// What is a secret by its looks.
var (
	privateKey   = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z)`)
	jsonWebToken = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`)
)

// text is a text without the secrets that stand in it.
func (r *redactor) text(s string) string {
	if r.none {
		return strings.Clone(s)
	}
	s = r.marks.Replace(s)
	if strings.Contains(s, "://") {
		s = passwordInURL.ReplaceAllStringFunc(s, func(m string) string { return "://" + mark(len(m)-4) + "@" })
	}
	if strings.Contains(s, "=") && strings.Contains(s, "?") {
		s = parameter.ReplaceAllStringFunc(s, func(m string) string {
			name, value, _ := strings.Cut(m[1:], "=")
			return m[:1] + r.parameter(name, value)
		})
	}
	if strings.Contains(s, "PRIVATE KEY-----") {
		s = privateKey.ReplaceAllStringFunc(s, func(m string) string { return mark(len(m)) })
	}
	if strings.Contains(s, "eyJ") {
		s = jsonWebToken.ReplaceAllStringFunc(s, func(m string) string { return mark(len(m)) })
	}
	return r.pairs(s)
}

func (r *redactor) Text(s string) Text { return Text(r.text(s)) }

// parameter is one of a query, as a query has it.
func (r *redactor) parameter(name, value string) string {
	if value == "" || !r.secret(unescaped(name)) || strings.HasPrefix(value, "<redacted") {
		return name + "=" + value
	}
	return name + "=" + strings.ReplaceAll(mark(len(value)), " ", "+")
}

func (r *redactor) query(query string) Text {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		if name, value, ok := strings.Cut(part, "="); ok {
			parts[i] = r.parameter(name, value)
		}
	}
	return closed(r.text(strings.Join(parts, "&")))
}

// closed makes the marks of a target ones without spaces.
func closed(target string) Text { return Text(anyMark.ReplaceAllString(target, "<redacted+$1+bytes>")) }

var anyMark = regexp.MustCompile(`<redacted[ +](\d+)[ +]bytes>`)

func (r *redactor) target(target string) Text {
	before, query, has := strings.Cut(target, "?")
	if !has {
		return closed(r.text(before))
	}
	return closed(r.text(before)) + "?" + r.query(query)
}

func (r *redactor) headers(list []wire.Header) []Line {
	lines := make([]Line, len(list))
	for i, h := range list {
		lines[i] = Line{Text(strings.ToLower(h.Name)), r.header(h.Name, h.Value)}
	}
	return lines
}

func (r *redactor) header(name, value string) Text {
	if !r.secret(name) || value == "" {
		return r.Text(value)
	}
	// The scheme of Authorization stays: handlers look at it first.
	if scheme, rest, ok := strings.Cut(value, " "); ok && strings.HasSuffix(strings.ToLower(name), "authorization") {
		return Text(scheme + " " + mark(len(rest)))
	}
	return Text(mark(len(value)))
}

// value is a free value without secrets; all of its texts and numbers are some when secret.
func (r *redactor) value(v any, secret bool) any {
	switch v := v.(type) {
	case string:
		if secret && v != "" {
			return mark(len(v))
		}
		return r.text(v)
	case []byte:
		if secret && len(v) > 0 {
			return []byte(mark(len(v)))
		}
		return []byte(r.text(string(v)))
	case int64, uint64, float64:
		if secret {
			return "<redacted number>"
		}
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = r.value(v[i], secret)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for k := range v {
			m[r.text(k)] = r.value(v[k], secret || r.secret(k))
		}
		return m
	}
	return v
}

func (r *redactor) raw(raw []byte, secret bool) Value { return Value{r.value(valueOf(raw).V, secret)} }

// credential keeps what names a credential, and redacts everything else.
func (r *redactor) credential(raw []byte) *Value {
	v := valueOf(raw).V
	fields, ok := v.(map[string]any)
	if !ok {
		return &Value{r.value(v, !r.none)}
	}
	m := make(map[string]any, len(fields))
	for k := range fields {
		m[k] = r.value(fields[k], !r.none && !slices.Contains(openCredential, k))
	}
	return &Value{m}
}
