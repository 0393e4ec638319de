package local

import (
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// RequestGetScheme implements pdk.Backend.
func (h *handle) RequestGetScheme() string {
	s := h.read(pdk.FnRequestGetScheme)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	return s.facts.Request.Scheme
}

// RequestGetHost implements pdk.Backend.
func (h *handle) RequestGetHost() string {
	s := h.read(pdk.FnRequestGetHost)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	return s.facts.Request.Host
}

// RequestGetPort implements pdk.Backend.
func (h *handle) RequestGetPort() int {
	s := h.read(pdk.FnRequestGetPort)
	if s == nil {
		return 0
	}
	defer s.mu.Unlock()
	return s.facts.Request.Port
}

// RequestGetForwardedScheme implements pdk.Backend.
func (h *handle) RequestGetForwardedScheme() string {
	s := h.read(pdk.FnRequestGetForwardedScheme)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	if f := &s.facts.Forwarded; f.Set {
		return f.Scheme
	}
	return s.facts.Request.Scheme
}

// RequestGetForwardedHost implements pdk.Backend.
func (h *handle) RequestGetForwardedHost() string {
	s := h.read(pdk.FnRequestGetForwardedHost)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	if f := &s.facts.Forwarded; f.Set {
		return f.Host
	}
	return s.facts.Request.Host
}

// RequestGetForwardedPort implements pdk.Backend.
func (h *handle) RequestGetForwardedPort() int {
	s := h.read(pdk.FnRequestGetForwardedPort)
	if s == nil {
		return 0
	}
	defer s.mu.Unlock()
	if f := &s.facts.Forwarded; f.Set {
		return f.Port
	}
	return s.facts.Request.Port
}

// RequestGetForwardedPath implements pdk.Backend.
func (h *handle) RequestGetForwardedPath() string {
	s := h.read(pdk.FnRequestGetForwardedPath)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	if f := &s.facts.Forwarded; f.Set {
		return f.Path
	}
	return s.facts.Request.Path
}

// RequestGetForwardedPrefix implements pdk.Backend.
func (h *handle) RequestGetForwardedPrefix() (string, bool) {
	s := h.read(pdk.FnRequestGetForwardedPrefix)
	if s == nil {
		return "", false
	}
	defer s.mu.Unlock()
	if f := &s.facts.Forwarded; f.Set && f.HasPrefix {
		return f.Prefix, true
	}
	return "", false
}

// RequestGetHTTPVersion implements pdk.Backend.
func (h *handle) RequestGetHTTPVersion() float64 {
	s := h.read(pdk.FnRequestGetHTTPVersion)
	if s == nil {
		return 0
	}
	defer s.mu.Unlock()
	return float64(s.facts.Request.HTTPVersion) / 10
}

// RequestGetMethod implements pdk.Backend.
func (h *handle) RequestGetMethod() string {
	s := h.read(pdk.FnRequestGetMethod)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	return s.view.method
}

// RequestGetPath implements pdk.Backend.
func (h *handle) RequestGetPath() string {
	s := h.read(pdk.FnRequestGetPath)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	return s.facts.Request.Path
}

// RequestGetRawPath implements pdk.Backend.
func (h *handle) RequestGetRawPath() string {
	s := h.read(pdk.FnRequestGetRawPath)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	path, _, _ := strings.Cut(s.facts.Request.Target, "?")
	return path
}

// RequestGetPathWithQuery implements pdk.Backend.
func (h *handle) RequestGetPathWithQuery() string {
	s := h.read(pdk.FnRequestGetPathWithQuery)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	return s.facts.Request.Target
}

// RequestGetRawQuery implements pdk.Backend.
func (h *handle) RequestGetRawQuery() string {
	s := h.read(pdk.FnRequestGetRawQuery)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	return s.view.rawQuery
}

// RequestGetQueryArg implements pdk.Backend.
func (h *handle) RequestGetQueryArg(name string) (pdk.QueryValue, bool) {
	s := h.read(pdk.FnRequestGetQueryArg)
	if s == nil {
		return pdk.QueryValue{}, false
	}
	defer s.mu.Unlock()
	return queryArg(s.view.rawQuery, name)
}

// RequestGetQuery implements pdk.Backend.
func (h *handle) RequestGetQuery(maxArgs int) (pdk.Query, error) {
	s, err := h.begin(pdk.FnRequestGetQuery)
	if err != nil {
		return pdk.Query{}, err
	}
	defer s.mu.Unlock()
	limit, err := checkMax("max_args", maxArgs)
	if err != nil {
		return pdk.Query{}, argError(pdk.FnRequestGetQuery, err)
	}
	query := s.view.rawQuery
	var args []pdk.QueryArg
	for {
		name, value, bare, rest, ok := nextArg(query)
		if !ok {
			return pdk.NewQuery(args, false), nil
		}
		if len(args) == limit {
			return pdk.NewQuery(args, true), nil
		}
		args = append(args, pdk.QueryArg{Name: DecodeQuery(name), Value: pdk.QueryValue{Text: DecodeQuery(value), Bare: bare}})
		query = rest
	}
}

// RequestGetHeader implements pdk.Backend.
func (h *handle) RequestGetHeader(name string) (string, bool) {
	s := h.read(pdk.FnRequestGetHeader)
	if s == nil {
		return "", false
	}
	defer s.mu.Unlock()
	return findHeader(s.view.request.lines, name)
}

// RequestGetHeaders implements pdk.Backend.
func (h *handle) RequestGetHeaders(maxHeaders int) (pdk.MultiMap, error) {
	s, err := h.begin(pdk.FnRequestGetHeaders)
	if err != nil {
		return pdk.MultiMap{}, err
	}
	defer s.mu.Unlock()
	return headers(pdk.FnRequestGetHeaders, s.view.request.lines, maxHeaders)
}

// headers copies header lines into a MultiMap.
func headers(fn int, lines []wire.Header, maxHeaders int) (pdk.MultiMap, error) {
	limit, err := checkMax("max_headers", maxHeaders)
	if err != nil {
		return pdk.MultiMap{}, argError(fn, err)
	}
	truncated := len(lines) > limit
	if truncated {
		lines = lines[:limit]
	}
	return pdk.NewMultiMap(foldedPairs(lines), truncated), nil
}

// foldedPairs copies header lines. The names share one text, so that names in capitals do not cost an allocation each.
func foldedPairs(lines []wire.Header) []pdk.Pair {
	size := 0
	for i := range lines {
		size += len(lines[i].Name)
	}
	var b strings.Builder
	b.Grow(size)
	for i := range lines {
		for _, c := range []byte(lines[i].Name) {
			b.WriteByte(fold[c])
		}
	}
	names := b.String()
	pairs := make([]pdk.Pair, len(lines))
	for i := range lines {
		n := len(lines[i].Name)
		pairs[i] = pdk.Pair{Name: names[:n], Value: lines[i].Value}
		names = names[n:]
	}
	return pairs
}

// RequestGetRawBody implements pdk.Backend.
func (h *handle) RequestGetRawBody() ([]byte, error) {
	s, err := h.begin(pdk.FnRequestGetRawBody)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	body, err := h.body(s, pdk.FnRequestGetRawBody, pdk.AskRequestGetRawBody, &s.view.clientBody)
	return copied(body, err)
}

// RequestGetStartTime implements pdk.Backend.
func (h *handle) RequestGetStartTime() int {
	s := h.read(pdk.FnRequestGetStartTime)
	if s == nil {
		return 0
	}
	defer s.mu.Unlock()
	return int(s.facts.StartTime)
}

// RequestGetURICaptures implements pdk.Backend.
func (h *handle) RequestGetURICaptures() pdk.Captures {
	s := h.read(pdk.FnRequestGetURICaptures)
	if s == nil {
		return pdk.Captures{}
	}
	defer s.mu.Unlock()
	from := &s.facts.Captures
	c := pdk.Captures{Unnamed: append([]string{}, from.Unnamed...), Named: make(map[string]string, len(from.Named))}
	for _, n := range from.Named {
		c.Named[n.Name] = n.Value
	}
	return c
}
