package quarantine

import (
	"hash/maphash"
	"strings"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// fingerprint stands for all calls that are the same to a handler. Two halves make it as unlikely as need be that two requests share one, and
// the seeds are the host's secret: nobody can make a request that looks like another's.
type fingerprint struct{ a, b uint64 }

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// printOf reads what the handler is called with. It allocates nothing.
func printOf(c call, sent *wire.Call) fingerprint {
	return fingerprint{half(seeds[0], c, sent), half(seeds[1], c, sent)}
}

func half(seed maphash.Seed, c call, sent *wire.Call) uint64 {
	r := &c.of.Facts.Request
	var h maphash.Hash
	h.SetSeed(seed)
	maphash.WriteComparable(&h, c.in.ID)
	maphash.WriteComparable(&h, c.phase.Code())
	for _, s := range [...]string{r.Method, r.Host, r.Target} {
		maphash.WriteComparable(&h, len(s))
		h.WriteString(s)
	}
	h.Write(sent.RequestBody)
	// The sum does not depend on the order of the headers, which proxies before us may change.
	var headers uint64
	for _, f := range r.Headers {
		if passing(f.Name) {
			continue
		}
		var one maphash.Hash
		one.SetSeed(seed)
		writeLower(&one, f.Name)
		one.WriteByte(':')
		one.WriteString(f.Value)
		headers += one.Sum64()
	}
	maphash.WriteComparable(&h, headers)
	return h.Sum64()
}

func writeLower(h *maphash.Hash, s string) {
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		h.WriteByte(c)
	}
}

// passing says whether a header is about the way or the moment of a request and not about what it asks for: hop by hop, times, numbers of
// requests and traces, and what proxies say about the client.
func passing(name string) bool {
	for _, p := range passingPrefixes {
		if len(name) >= len(p) && strings.EqualFold(name[:len(p)], p) {
			return true
		}
	}
	for _, n := range passingNames {
		if strings.EqualFold(name, n) {
			return true
		}
	}
	return false
}

var (
	passingPrefixes = []string{"x-forwarded-", "x-b3-", "x-datadog-", "x-envoy-", "proxy-", "cf-"}
	passingNames    = []string{
		"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect",
		"date", "age", "via", "forwarded", "x-real-ip", "x-client-ip", "true-client-ip", "cdn-loop",
		"x-request-id", "x-correlation-id", "kong-request-id", "x-kong-request-id", "request-id", "x-request-start",
		"traceparent", "tracestate", "baggage", "b3", "uber-trace-id", "sentry-trace",
		"x-amzn-trace-id", "x-cloud-trace-context", "x-ot-span-context", "newrelic",
	}
)
