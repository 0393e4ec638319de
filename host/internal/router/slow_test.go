package router

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// The slow matcher below is written from the rules alone: look at every route, every kind and length of its paths, and keep the best.

// standing is what decides between two ways to match, first difference first.
type standing struct {
	attributes, plainHosts, headers, regex, regexPriority, length int
	created                                                       int64
	id                                                            string
}

func (s standing) beats(o standing) bool {
	for _, d := range []int{
		s.attributes - o.attributes, s.plainHosts - o.plainHosts, s.headers - o.headers, s.regex - o.regex,
		s.regexPriority - o.regexPriority, s.length - o.length, int(o.created - s.created), strings.Compare(o.id, s.id),
	} {
		if d != 0 {
			return d > 0
		}
	}
	return false
}

func slowHost(pattern, host string, hostPort, listenPort int) bool {
	pattern = strings.ToLower(pattern)
	name, port, hasPort := strings.Cut(pattern, ":")
	if hasPort {
		got := hostPort
		if got == 0 {
			got = listenPort
		}
		if fmt.Sprint(got) != port {
			return false
		}
	}
	switch {
	case strings.HasPrefix(name, "*"):
		return strings.HasSuffix(host, name[1:]) && len(host) > len(name)-1
	case strings.HasSuffix(name, "*"):
		return strings.HasPrefix(host, name[:len(name)-1])
	}
	return host == name
}

func slowMatch(routes []*entity.Route, req *Request) (best *entity.Route, matched string, captures []string) {
	var top standing
	for _, r := range routes {
		st := standing{created: r.CreatedAt, id: r.ID, headers: len(r.Headers)}
		ok := true
		if len(r.Methods) > 0 {
			st.attributes++
			ok = ok && slices.Contains(r.Methods, req.Method)
		}
		if len(r.Hosts) > 0 {
			st.attributes++
			st.plainHosts = 1
			one := false
			for _, h := range r.Hosts {
				one = one || slowHost(h, req.Host, req.HostPort, req.ListenPort)
				if strings.Contains(h, "*") {
					st.plainHosts = 0
				}
			}
			ok = ok && one
		}
		if len(r.Headers) > 0 {
			st.attributes++
			for name, wants := range r.Headers {
				one := false
				for _, got := range req.Headers.(headerMap)[strings.ToLower(name)] {
					for _, want := range wants {
						if pattern, isRegex := strings.CutPrefix(want, "~*"); isRegex {
							one = one || regexp.MustCompile("(?i:"+pattern+")").MatchString(got)
						} else {
							one = one || strings.EqualFold(want, got)
						}
					}
				}
				ok = ok && one
			}
		}
		if len(r.SNIs) > 0 {
			st.attributes++
			one := !req.TLS
			for _, s := range r.SNIs {
				one = one || slowHost(s, strings.TrimSuffix(req.SNI, "."), 0, 0)
			}
			ok = ok && one
		}
		if !ok {
			continue
		}
		consider := func(st standing, text string, groups []string) {
			if best == nil || st.beats(top) {
				best, top, matched, captures = r, st, text, groups
			}
		}
		if len(r.Paths) == 0 {
			consider(st, "", nil)
			continue
		}
		st.attributes++
		for _, p := range r.Paths {
			at := st
			if pattern, isRegex := strings.CutPrefix(p, "~"); isRegex {
				if found := regexp.MustCompile(`\A(?:` + pattern + `)`).FindStringSubmatch(req.Path); found != nil {
					at.regex, at.regexPriority = 1, r.RegexPriority
					consider(at, found[0], found[1:])
				}
			} else if strings.HasPrefix(req.Path, p) {
				at.length = len(p)
				consider(at, p, nil)
			}
		}
	}
	return best, matched, captures
}

// Small alphabets, so that routes overlap and requests hit.
var (
	anyMethod  = rapid.SampledFrom([]string{"GET", "POST", "PUT"})
	anyHost    = rapid.SampledFrom([]string{"a.b", "a.b.c", "b.c", "x.a.b", "a.b.c.d", "a", "", ".b", "a.", "b.c."})
	hostRule   = rapid.SampledFrom([]string{"a.b", "A.b.c", "b.c", "*.b", "*.b.c", "*.c", "a.*", "a.b.*", "a.b:80", "*.b:80", "a.*:80", "a.b:81", "a"})
	anyPath    = rapid.SampledFrom([]string{"/", "/a", "/ab", "/a/b", "/abc", "/a/b/c", "/b", "/b/1", "/b/12/c", "/c/x", "/a/1"})
	pathRule   = rapid.SampledFrom([]string{"/", "/a", "/ab", "/abc", "/a/b", "/a/", "/b", "/b/1", "/c", "~/a", "~/a/b$", `~/b/(\d+)`, `~/(?<n>[a-c])/(.)`, "~/a|/b", "~/[bc]", "~/c/?", `~/b/(\d)(\d)?`, "~/a?"})
	headerRule = rapid.SampledFrom([]string{"1", "Two", "~*^t", `~*\d\D`})
	anyValue   = rapid.SampledFrom([]string{"1", "two", "TWO", "three", "1x", ""})
)

func anyRoutes(t *rapid.T) []*entity.Route {
	n := rapid.IntRange(0, 12).Draw(t, "routes")
	routes := make([]*entity.Route, n)
	for i := range routes {
		r := &entity.Route{ID: fmt.Sprintf("r%02d", i), StripPath: true}
		some := func(label string) bool { return rapid.Bool().Draw(t, label) }
		if some("has methods") {
			r.Methods = rapid.SliceOfN(anyMethod, 1, 2).Draw(t, "methods")
		}
		if some("has hosts") {
			r.Hosts = rapid.SliceOfN(hostRule, 1, 3).Draw(t, "hosts")
		}
		if some("has paths") {
			r.Paths = rapid.SliceOfN(pathRule, 1, 4).Draw(t, "paths")
		}
		if rapid.IntRange(0, 3).Draw(t, "has headers") == 0 {
			r.Headers = rapid.MapOfN(rapid.SampledFrom([]string{"X-A", "x-b"}), rapid.SliceOfN(headerRule, 1, 2), 1, 2).Draw(t, "headers")
		}
		if rapid.IntRange(0, 5).Draw(t, "has snis") == 0 {
			r.SNIs = rapid.SliceOfN(rapid.SampledFrom([]string{"a.b", "*.b", "a.*"}), 1, 2).Draw(t, "snis")
		}
		r.RegexPriority = rapid.IntRange(-1, 2).Draw(t, "regex_priority")
		r.CreatedAt = rapid.Int64Range(0, 2).Draw(t, "created_at")
		routes[i] = r
	}
	return routes
}

func anyRequest(t *rapid.T) *Request {
	req := &Request{
		Scheme: "http", Method: anyMethod.Draw(t, "method"), Host: anyHost.Draw(t, "host"), Path: anyPath.Draw(t, "path"),
		HostPort: rapid.SampledFrom([]int{0, 0, 80, 81}).Draw(t, "port"), ListenPort: rapid.SampledFrom([]int{80, 8000}).Draw(t, "listener"),
		TLS: rapid.Bool().Draw(t, "tls"), SNI: rapid.SampledFrom([]string{"", "a.b", "x.b", "a.c."}).Draw(t, "sni"),
	}
	req.Headers = headerMap(rapid.MapOf(rapid.SampledFrom([]string{"x-a", "x-b"}), rapid.SliceOfN(anyValue, 1, 2)).Draw(t, "headers"))
	return req
}

func TestMatchAgreesWithSlowMatcher(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		routes := anyRoutes(t)
		r, err := New(routes, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var m Match
		for range 8 {
			req := anyRequest(t)
			route, matched, captures := slowMatch(routes, req)
			ok := r.Match(req, &m)
			if ok != (route != nil) || m.Route != route {
				t.Fatalf("request %+v: route %+v, the slow matcher says %+v", req, m.Route, route)
			}
			if m.MatchedPath != matched || !slices.Equal(m.Captures.Unnamed, captures) {
				t.Fatalf("request %+v, route %+v: matched %q, captures %q, the slow matcher says %q, %q", req, route, m.MatchedPath, m.Captures.Unnamed, matched, captures)
			}
		}
	})
}
