package blackbox

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// shortest is the length from which a secret is looked for in other texts. Shorter ones would be found by chance.
const shortest = 6

// mostFound bounds the secrets of one call: a body may have any number of them.
const mostFound = 4096

// newRedactor gathers the secrets of a call: what it was sent, what it was answered, and what it answered itself, and what its
// configuration holds.
func newRedactor(n names, c *dispatch.Call) *redactor {
	r := &redactor{names: n, found: map[string]bool{}, known: map[string]bool{}}
	r.find(c.Instance.Record.Secrets...)
	r.findSettings(asAny(c.Instance.Record.Effective()), false)
	r.findCall(c.Request)
	if kept, _ := c.Transcript.(*transcript); kept != nil {
		for i := range kept.asked {
			r.findAsked(kept, &kept.asked[i])
		}
	}
	for i := range c.Outcome.Ops {
		r.findOperation(&c.Outcome.Ops[i])
	}
	all := make([]string, 0, len(r.found))
	for secret := range r.found {
		all = append(all, secret)
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(all))
	for _, secret := range all {
		pairs = append(pairs, secret, mark(len(secret)))
	}
	r.marks = strings.NewReplacer(pairs...)
	return r
}

func (r *redactor) find(secrets ...string) {
	for _, s := range secrets {
		if len(s) >= shortest && len(r.found) < mostFound && !r.found[s] {
			r.found[strings.Clone(s)] = true
		}
	}
}

func (r *redactor) findCall(c *wire.Call) {
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
	for _, body := range [][]byte{c.RequestBody, c.ResponseBody, c.Chunk} {
		r.findBody(body)
	}
}

// findAsked gathers the secrets of a question and of its answer.
func (r *redactor) findAsked(kept *transcript, q *asked) {
	sent, answer, err := kept.read(q)
	if err != nil {
		return
	}
	kind := r.sensitivity(&sent)
	for i, raw := range sent.Args {
		r.findValue(valueOf(raw).V, kind.arg(i))
	}
	switch {
	case q.isBody:
		r.findBody(q.body)
	case q.isBytes && kind.answer:
		r.find(string(answer))
	case q.isBytes, len(answer) == 0:
	case kind.credential:
		r.findCredential(valueOf(answer).V)
	default:
		r.findValue(valueOf(answer).V, kind.answer)
	}
}

func (r *redactor) findOperation(op *wire.Op) {
	if secret, lines := r.operationSecret(op); lines {
		for _, v := range op.Values {
			r.findHeaders([]wire.Header{{Name: op.Name, Value: v}})
		}
	} else if op.Value != nil {
		r.findValue(valueOf(op.Value).V, secret)
	}
	r.findHeaders(op.Headers)
	if op.Code == wire.OpServiceRequestSetRawQuery {
		r.findQuery(op.Name)
	}
	if op.Credential != nil {
		r.findCredential(valueOf(op.Credential).V)
	}
	r.findBody(op.Body)
}

// mostSearched is the largest body that is searched for secrets, for the sake of the request that waits meanwhile. Larger ones, when they are
// recorded, lose what stands behind secret names all the same.
const mostSearched = 64 << 10

// findBody gathers the texts under secret keys of a body that is JSON or a form.
func (r *redactor) findBody(body []byte) {
	if len(body) == 0 || len(body) > mostSearched {
		return
	}
	if start := bytes.TrimLeft(body, " \t\r\n"); len(start) > 0 && (start[0] == '{' || start[0] == '[') {
		var v any
		if json.Unmarshal(body, &v) == nil {
			r.findValue(v, false)
		}
	} else if !bytes.ContainsAny(body, " \r\n") { // a form has none
		r.findQuery(string(body))
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
			r.findValue(item, secret || r.secretInText(k))
		}
	}
}

// findSettings gathers the texts of a configuration under the names of secrets.
func (r *redactor) findSettings(v any, secret bool) {
	switch v := v.(type) {
	case string:
		if secret {
			r.find(v)
		}
	case []any:
		for _, item := range v {
			r.findSettings(item, secret)
		}
	case map[string]any:
		for k, item := range v {
			r.findSettings(item, secret || r.setting(k))
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
