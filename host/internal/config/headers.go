package config

import (
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

// headerToken is a word of the setting headers, and the fields that it switches on.
type headerToken struct {
	word   string
	fields func(*HeaderTokens) []*bool
}

// headerTokens are the words of the setting headers: Kong's groups first.
var headerTokens = []headerToken{
	{"server_tokens", func(t *HeaderTokens) []*bool { return []*bool{&t.Via, &t.Server} }},
	{"latency_tokens", func(t *HeaderTokens) []*bool {
		return []*bool{&t.ProxyLatency, &t.UpstreamLatency, &t.ResponseLatency, &t.AdminLatency}
	}},
	{"X-Kong-Request-Id", func(t *HeaderTokens) []*bool { return []*bool{&t.RequestID} }},
	{"X-Kong-Upstream-Status", func(t *HeaderTokens) []*bool { return []*bool{&t.UpstreamStatus} }},
	{"Via", func(t *HeaderTokens) []*bool { return []*bool{&t.Via} }},
	{"Server", func(t *HeaderTokens) []*bool { return []*bool{&t.Server} }},
	{"X-Kong-Proxy-Latency", func(t *HeaderTokens) []*bool { return []*bool{&t.ProxyLatency} }},
	{"X-Kong-Upstream-Latency", func(t *HeaderTokens) []*bool { return []*bool{&t.UpstreamLatency} }},
	{"X-Kong-Response-Latency", func(t *HeaderTokens) []*bool { return []*bool{&t.ResponseLatency} }},
	{"X-Kong-Admin-Latency", func(t *HeaderTokens) []*bool { return []*bool{&t.AdminLatency} }},
}

// readHeaders reads the headers that responses get, whatever the case of the words.
func readHeaders(r *settingReader, _ *node, items []*node, at *path) {
	tokens := HeaderTokens{}
	for i, item := range items {
		if strings.EqualFold(item.text, "off") {
			if len(items) > 1 {
				r.problem(itemAt(at, i), item, &problem{expected: "off alone, or other words", code: CodeConflict})
			}
			continue
		}
		found := slices.IndexFunc(headerTokens, func(t headerToken) bool { return strings.EqualFold(t.word, item.text) })
		if found < 0 {
			words := []string{"off"}
			for _, t := range headerTokens {
				words = append(words, t.word)
			}
			r.problem(itemAt(at, i), item, &problem{expected: "one of " + strings.Join(words, ", "), nearest: nearest.Name(item.text, words)})
			continue
		}
		for _, field := range headerTokens[found].fields(&tokens) {
			*field = true
		}
	}
	r.s.Headers = tokens
}

// words are the words of the setting headers, groups where they fit.
func (h HeaderTokens) words() []string {
	var words []string
	for _, t := range headerTokens {
		fields := t.fields(&h)
		if !slices.ContainsFunc(fields, func(on *bool) bool { return !*on }) {
			words = append(words, t.word)
			for _, on := range fields {
				*on = false // said
			}
		}
	}
	return words
}
