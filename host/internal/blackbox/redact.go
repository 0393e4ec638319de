package blackbox

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// shortest is the length from which a secret is looked for in other texts. Shorter ones would be found by chance.
const shortest = 6

// mark stands for a secret: it keeps the length, which often says what is wrong.
func mark(size int) string { return fmt.Sprintf("<redacted %d bytes>", size) }

// redactor takes the secrets out of one recording: the values of secret names, and their texts wherever else they stand.
type redactor struct {
	names
	found []string // secrets, the longest first
}

// newRedactor gathers the secrets of a call.
func newRedactor(n names, c *wire.Call, configured []string) *redactor {
	r := &redactor{names: n}
	r.find(configured...)
	for _, list := range [][]wire.Header{c.Request.Headers, c.Response.Headers, c.ServiceResponse.Headers} {
		r.findHeaders(list)
	}
	for _, query := range []string{c.Request.RawQuery, wire.QueryOfTarget(c.Request.Target)} {
		r.findQuery(query)
	}
	for _, list := range [][]wire.SharedValue{c.Shared, c.Plugin} {
		for i := range list {
			r.findValue(valueOf(list[i].Value).V, r.secret(list[i].Key))
		}
	}
	if c.Credential != nil {
		r.findCredential(valueOf(c.Credential.Doc).V)
	}
	slices.SortFunc(r.found, func(a, b string) int { return len(b) - len(a) })
	r.found = slices.Compact(r.found)
	return r
}

func (r *redactor) find(secrets ...string) {
	for _, s := range secrets {
		if len(s) >= shortest && !slices.Contains(r.found, s) {
			r.found = append(r.found, strings.Clone(s))
		}
	}
}

func (r *redactor) findHeaders(list []wire.Header) {
	for _, h := range list {
		if !r.secret(h.Name) {
			continue
		}
		r.find(h.Value)
		scheme, rest, _ := strings.Cut(h.Value, " ")
		r.find(rest)
		if strings.EqualFold(scheme, "basic") {
			pair, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
			_, password, _ := strings.Cut(string(pair), ":")
			r.find(string(pair), password)
		}
		if strings.Contains(strings.ToLower(h.Name), "cookie") {
			for crumb := range strings.SplitSeq(h.Value, ";") {
				name, value, _ := strings.Cut(strings.TrimSpace(crumb), "=")
				if !slices.Contains(cookieAttributes, strings.ToLower(name)) {
					r.find(value)
				}
			}
		}
	}
}

// cookieAttributes are no cookies: their values are no secrets.
var cookieAttributes = []string{"path", "domain", "expires", "max-age", "samesite"}

func (r *redactor) findQuery(query string) {
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		if !r.secret(unescaped(name)) {
			continue
		}
		r.find(value, unescaped(value))
	}
}

func unescaped(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// findValue gathers the texts below secret keys; all of them when secret.
func (r *redactor) findValue(v any, secret bool) {
	switch v := v.(type) {
	case string:
		if secret {
			r.find(v)
		}
	case []byte:
		if secret {
			r.find(string(v))
		}
	case []any:
		for _, item := range v {
			r.findValue(item, secret)
		}
	case map[string]any:
		for k, item := range v {
			r.findValue(item, secret || r.secret(k))
		}
	}
}

func (r *redactor) findCredential(v any) {
	fields, _ := v.(map[string]any)
	for k, item := range fields {
		if !slices.Contains(openCredential, k) {
			r.findValue(item, true)
		}
	}
}

// openCredential are the fields of a credential that name it and its owner.
var openCredential = []string{"id", "consumer", "created_at", "tags", "ttl", "username", "group"}

// passwordInURL is the part of a URL that signs in.
var passwordInURL = regexp.MustCompile(`://[^/@\s?#]+@`)

// parameter is a parameter in the query of a URL, wherever it stands.
var parameter = regexp.MustCompile(`([?&])([^=&?#\s"]+)=([^&#\s"]*)`)

// text is a text without the secrets that stand in it.
func (r *redactor) text(s string) string {
	if r.none {
		return strings.Clone(s)
	}
	for _, secret := range r.found {
		if strings.Contains(s, secret) {
			s = strings.ReplaceAll(s, secret, mark(len(secret)))
		}
	}
	if strings.Contains(s, "://") {
		s = passwordInURL.ReplaceAllStringFunc(s, func(m string) string { return "://" + mark(len(m)-4) + "@" })
	}
	if strings.Contains(s, "=") && strings.Contains(s, "?") {
		s = parameter.ReplaceAllStringFunc(s, func(m string) string {
			name, value, _ := strings.Cut(m[1:], "=")
			return m[:1] + r.parameter(name, value)
		})
	}
	return s
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
