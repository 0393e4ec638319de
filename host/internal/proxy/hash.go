package proxy

import (
	"encoding/hex"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/balancer"
	"github.com/outrigger-gateway/outrigger/host/internal/bytesx"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
)

// hash is that of what consistent-hashing looks at (spec/gateway.md 7.2). Requests that have neither the input nor the fallback share one.
func (r *request) hash(u *entity.Upstream) uint32 {
	for _, in := range []entity.HashInput{u.Hash, u.Fallback} {
		r.scratch = r.appendHashInput(r.scratch[:0], in)
		if len(r.scratch) > 0 {
			break
		}
	}
	return balancer.Hash(r.scratch)
}

// appendHashInput appends the part of the request; nothing when it has none.
func (r *request) appendHashInput(dst []byte, in entity.HashInput) []byte {
	switch in.On {
	case "consumer":
		if c := r.ex.Consumer; c != nil {
			dst = append(dst, c.ID...)
		} else if c := r.ex.Facts.Credential; c != nil {
			dst = append(dst, c.ID...)
		}
	case "ip":
		dst = append(dst, r.realIPText()...)
	case "header":
		for i := 0; ; i++ {
			v, ok := headerView{r}.HeaderValue(in.Name, i)
			if !ok {
				break
			}
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(dst, v...)
		}
	case "cookie":
		v, ok := r.cookie(in.Name)
		if !ok { // the client gets one, by which it is known again
			v = newUUID()
			r.dest.cookie = v
		}
		dst = append(dst, v...)
	case "path":
		dst = append(dst, r.path...)
	case "query_arg":
		dst = append(dst, strings.Join(r.argument(in.Name), ",")...)
	case "uri_capture":
		dst = append(dst, r.capture(in.Name)...)
	}
	return dst
}

// cookie is the value of a cookie of the client.
func (r *request) cookie(name string) (string, bool) {
	for i := 0; ; i++ {
		line, ok := headerView{r}.HeaderValue("cookie", i)
		if !ok {
			return "", false
		}
		for pair := range strings.SplitSeq(line, ";") {
			if key, value, found := strings.Cut(strings.TrimSpace(pair), "="); found && key == name {
				return value, true
			}
		}
	}
}

// argument are the values of an argument of the query, in order of their text.
func (r *request) argument(name string) []string {
	query := bytesx.View(r.target.query)
	if r.ex.Dirty&exchange.DirtyQuery != 0 {
		query = r.ex.Facts.Request.RawQuery
	}
	var values []string
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if key = unescaped(key); key == name {
			values = append(values, unescaped(value))
		}
	}
	slices.Sort(values)
	return values
}

// unescaped is text of a query without escapes, or as it is when they are broken.
func unescaped(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// capture is a capture of the route's path, by name or by number from 1.
func (r *request) capture(name string) string {
	c := &r.match.Captures
	for _, named := range c.Named {
		if named.Name == name {
			return named.Value
		}
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 1 && n <= len(c.Unnamed) {
		return c.Unnamed[n-1]
	}
	return ""
}

// newUUID makes a random UUID, version 4. It tells clients apart and is no secret.
func newUUID() string {
	var b [16]byte
	for i, n := range []uint64{rand.Uint64(), rand.Uint64()} {
		for k := range 8 {
			b[8*i+k] = byte(n >> (8 * k))
		}
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
