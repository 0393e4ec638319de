package router

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// The slow router below is written from the rules alone: look at every route and every way in which it matches, and keep the best. It shares no code
// with the compiled one.

// slowRouter is the slow router of one flavour.
type slowRouter struct {
	Options
	routes      []*entity.Route
	expressions map[*entity.Route]slowExpression // of the routes that have one
}

// way is one way in which a route matches, with what decides between two of them, first difference first: larger numbers, then larger texts.
type way struct {
	route    *entity.Route
	numbers  []int
	texts    []string
	matched  string
	captures []string
}

func (w *way) beats(o *way) bool {
	for i := range w.numbers {
		if w.numbers[i] != o.numbers[i] {
			return w.numbers[i] > o.numbers[i]
		}
	}
	for i := range w.texts {
		if w.texts[i] != o.texts[i] {
			return w.texts[i] > o.texts[i]
		}
	}
	return false
}

// match finds the best way of all routes; nil when none matches.
func (s *slowRouter) match(req *Request) *way {
	var best *way
	for _, r := range s.routes {
		if !s.serves(r, req) {
			continue
		}
		for _, w := range s.ways(r, req) {
			if best == nil || w.beats(best) {
				best = w
			}
		}
	}
	return best
}

// serves reports whether the protocols of a route let a request through.
func (s *slowRouter) serves(r *entity.Route, req *Request) bool {
	if !s.StrictProtocols || len(r.Protocols) == 0 {
		return true
	}
	if req.Scheme == "https" {
		return slices.Contains(r.Protocols, "https") || slices.Contains(r.Protocols, "grpcs")
	}
	return slices.Contains(r.Protocols, "http") || slices.Contains(r.Protocols, "grpc")
}

// ways lists how a route matches a request: once for each of its paths that does.
func (s *slowRouter) ways(r *entity.Route, req *Request) (all []*way) {
	if x, ok := s.expressions[r]; ok {
		if !x.holds(req) {
			return nil
		}
		w := &way{route: r, numbers: []int{1, r.Priority}} // before all others
		if x.note != nil {
			x.note(req, w)
		}
		s.breakTies(w, r.ID)
		return []*way{w}
	}
	if !slowFields(r, req, s.Flavor == Traditional) {
		return nil
	}
	if len(r.Paths) == 0 {
		w := &way{route: r}
		s.rank(w, "", false)
		s.breakTies(w, r.ID)
		return []*way{w}
	}
	for _, p := range r.Paths {
		w := &way{route: r}
		pattern, isRegex := strings.CutPrefix(p, "~")
		if isRegex {
			found := slowPattern(`\A(?:` + pattern + `)`).FindStringSubmatch(req.Path)
			if found == nil {
				continue
			}
			w.matched, w.captures = found[0], found[1:]
		} else {
			if !slowLiteral(p, r.PathMatch, req.Path) {
				continue
			}
			w.matched = p
		}
		s.rank(w, p, isRegex)
		s.breakTies(w, slowPart(r, p))
		all = append(all, w)
	}
	return all
}

// rank fills the numbers of a way over a path, "" for none.
func (s *slowRouter) rank(w *way, path string, isRegex bool) {
	r := w.route
	attributes, weight, plain, wildPort := 0, 0, 1, 0
	for _, a := range []struct{ values, weight int }{{len(r.Hosts), 64}, {len(r.Headers), 32}, {len(r.Paths), 16}, {len(r.Methods), 8}, {len(r.SNIs), 4}} {
		if a.values > 0 {
			attributes++
			weight += a.weight
		}
	}
	if len(r.Hosts) == 0 {
		plain = 0
	}
	for _, h := range r.Hosts {
		if strings.Contains(h, "*") {
			plain = 0
			if strings.Contains(h, ":") {
				wildPort = 1
			}
		}
	}
	regex, regexPriority, length := 0, 0, len(path)
	strictness := map[string]int{"segment": 1, "exact": 2}[r.PathMatch]
	if isRegex || path == "" {
		strictness = 0
	}
	if isRegex {
		regex, regexPriority, length = 1, r.RegexPriority, 0
	}
	if s.Flavor == Traditional {
		w.numbers = []int{r.Priority, attributes, weight, 4*wildPort + 2*plain + regex, len(r.Headers), regexPriority, length, strictness}
		return
	}
	const noExpression = 0
	w.numbers = []int{noExpression, r.Priority, attributes, plain, len(r.Headers), regex, regexPriority, length, strictness}
}

// slowLiteral compares a literal path with that of a request.
func slowLiteral(literal, how, path string) bool {
	switch how {
	case "segment":
		return path == literal || strings.HasPrefix(path, strings.TrimSuffix(literal, "/")+"/")
	case "exact":
		return path == literal
	}
	return strings.HasPrefix(path, literal)
}

// breakTies fills what decides when the numbers are equal: the name of the part in Kong, or age and id.
func (s *slowRouter) breakTies(w *way, part string) {
	if s.TieBreak == TieKong && s.Flavor != Traditional {
		w.texts = []string{part}
		return
	}
	w.numbers = append(w.numbers, -int(w.route.CreatedAt))
	w.texts = []string{flipped(w.route.ID)}
}

// flipped turns the order of texts of one length around.
func flipped(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = 255 - b[i]
	}
	return string(b)
}

// slowPart is the UUID in Kong of the part of a route that a path belongs to.
func slowPart(r *entity.Route, path string) string {
	kind := func(p string) string {
		if strings.HasPrefix(p, "~") {
			return "regex"
		}
		return fmt.Sprint(len(p))
	}
	var kinds []string
	for _, p := range r.Paths {
		if !slices.Contains(kinds, kind(p)) {
			kinds = append(kinds, kind(p))
		}
	}
	if len(kinds) == 1 {
		return r.ID
	}
	namespace, _ := hex.DecodeString("7f145bf90dce4f9198ebdebbce4b9f6b")
	sum := sha1.Sum(fmt.Appendf(namespace, "%s#%d", r.ID, 1+slices.Index(kinds, kind(path))))
	id := sum[:16]
	id[6], id[8] = id[6]&0x0f|0x50, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
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

// slowPatterns keeps compiled patterns: compiling them is what takes most of the time.
var slowPatterns sync.Map

func slowPattern(text string) *regexp.Regexp {
	if re, ok := slowPatterns.Load(text); ok {
		return re.(*regexp.Regexp)
	}
	re := regexp.MustCompile(text)
	slowPatterns.Store(text, re)
	return re
}

// slowFields matches everything but the path.
func slowFields(r *entity.Route, req *Request, traditional bool) bool {
	ok := len(r.Methods) == 0 || slices.Contains(r.Methods, req.Method)
	if len(r.Hosts) > 0 {
		ok = ok && slices.ContainsFunc(r.Hosts, func(h string) bool { return slowHost(h, req.Host, req.HostPort, req.ListenPort) })
	}
	for name, wants := range r.Headers {
		one := false
		for _, got := range req.Headers.(headerMap)[strings.ToLower(name)] {
			for _, want := range wants {
				if pattern, isRegex := strings.CutPrefix(want, "~*"); isRegex && (!traditional || len(wants) == 1) {
					one = one || slowPattern("(?i:"+pattern+")").MatchString(got)
				} else {
					one = one || strings.EqualFold(want, got)
				}
			}
		}
		ok = ok && one
	}
	if len(r.SNIs) > 0 && req.TLS {
		ok = ok && slices.ContainsFunc(r.SNIs, func(s string) bool { return slowHost(s, strings.TrimSuffix(req.SNI, "."), 0, 0) })
	}
	return ok
}

// slowUpstream is the path that goes upstream, by the words of the rules.
func slowUpstream(service string, w *way, path string, glued bool) string {
	base := service
	if base == "" {
		base = "/"
	}
	rest := path
	if w.route.StripPath {
		rest = strings.TrimPrefix(path, "/") // without a matched path
		if w.matched != "" {
			rest = path[len(w.matched):]
			for _, dots := range []string{"..", "."} { // a dot segment that is left goes
				if rest == dots || strings.HasPrefix(rest, dots+"/") {
					rest = strings.TrimPrefix(strings.TrimPrefix(rest, dots), "/")
					break
				}
			}
		}
	} else if glued {
		rest = path[1:]
	}
	switch {
	case glued && strings.HasSuffix(base, "/") && strings.HasPrefix(rest, "/"):
		return base + strings.TrimPrefix(rest, "/")
	case glued:
		return base + rest
	case !w.route.StripPath && path == "/" || base == "/" && rest == "":
		return base
	case rest != "":
		return strings.TrimSuffix(base, "/") + "/" + strings.TrimPrefix(rest, "/")
	case strings.HasSuffix(path, "/") && (path != "/" || strings.HasSuffix(base, "/")):
		return strings.TrimSuffix(base, "/") + "/"
	}
	return strings.TrimSuffix(base, "/")
}

// Small alphabets, so that routes overlap and requests hit.
var (
	anyMethod  = rapid.SampledFrom([]string{"GET", "POST", "PUT"})
	anyHost    = rapid.SampledFrom([]string{"a.b", "a.b.c", "b.c", "x.a.b", "a.b.c.d", "a", "", ".b", "a.", "b.c."})
	hostRule   = rapid.SampledFrom([]string{"a.b", "A.b.c", "b.c", "*.b", "*.b.c", "*.c", "a.*", "a.b.*", "a.b:80", "*.b:80", "a.*:80", "a.b:81", "a"})
	anyPath    = rapid.SampledFrom([]string{"/", "/a", "/ab", "/a/b", "/abc", "/a/b/c", "/b", "/b/1", "/b/12/c", "/c/x", "/a/1", "/A/b", "/a/b/c/d/", "/a..", "/a../b", "/b./", "/a/"})
	pathRule   = rapid.SampledFrom([]string{"/", "/a", "/ab", "/abc", "/a/b", "/a/", "/b", "/b/1", "/c", "~/a", "~/a/b$", `~/b/(\d+)`, `~/(?<n>[a-c])/(.)`, "~/a|/b", "~/[bc]", "~/c/?", `~/b/(\d)(\d)?`, "~/a?"})
	headerRule = rapid.SampledFrom([]string{"1", "Two", "~*^t", `~*\d\D`})
	anyValue   = rapid.SampledFrom([]string{"1", "two", "TWO", "three", "1x", ""})
)

// anySlowRouter makes routes for a flavour.
func anySlowRouter(t *rapid.T, o Options) *slowRouter {
	s := &slowRouter{Options: o, expressions: map[*entity.Route]slowExpression{}}
	n := rapid.IntRange(0, 12).Draw(t, "routes")
	for i := range n {
		r := &entity.Route{ID: fmt.Sprintf("%08x-0000-4000-8000-%012d", rapid.Uint32().Draw(t, "id"), i)}
		r.StripPath = rapid.Bool().Draw(t, "strip_path")
		r.PathHandling = rapid.SampledFrom([]string{"v0", "v1"}).Draw(t, "path_handling")
		r.CreatedAt = rapid.Int64Range(0, 2).Draw(t, "created_at")
		r.Protocols = rapid.SampledFrom([][]string{nil, {"http", "https"}, {"http"}, {"https"}, {"grpcs"}}).Draw(t, "protocols")
		s.routes = append(s.routes, r)
		if o.Flavor == Expressions && rapid.Bool().Draw(t, "is an expression") {
			x := anyExpression(3).Draw(t, "expression")
			r.Expression, s.expressions[r] = x.text, x
			r.Priority = rapid.IntRange(0, 2).Draw(t, "priority")
			continue
		}
		anyFields(t, r, o.Flavor == Traditional)
		r.Priority = rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "priority")
		r.PathMatch = rapid.SampledFrom([]string{"", "", "", "segment", "exact"}).Draw(t, "path_match")
	}
	return s
}

// anyFields fills the fields to match of a route.
func anyFields(t *rapid.T, r *entity.Route, plainSNIs bool) {
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
		names := []string{"a.b", "*.b", "a.*"}
		if plainSNIs {
			names = []string{"a.b", "x.b"}
		}
		r.SNIs = rapid.SliceOfN(rapid.SampledFrom(names), 1, 2).Draw(t, "snis")
	}
	r.RegexPriority = rapid.IntRange(0, 2).Draw(t, "regex_priority")
}

func anyRequest(t *rapid.T) *Request {
	req := &Request{
		Scheme: rapid.SampledFrom([]string{"http", "https"}).Draw(t, "scheme"), Method: anyMethod.Draw(t, "method"), Host: anyHost.Draw(t, "host"), Path: anyPath.Draw(t, "path"),
		HostPort: rapid.SampledFrom([]int{0, 0, 80, 81}).Draw(t, "port"), ListenPort: rapid.SampledFrom([]int{80, 8000}).Draw(t, "listener"),
		TLS: rapid.Bool().Draw(t, "tls"), SNI: rapid.SampledFrom([]string{"", "a.b", "x.b", "a.c."}).Draw(t, "sni"),
		Query:     rapid.SampledFrom([]string{"", "q=1", "q=1&q=Two", "q", "x=1&q=a%20b", "q=a+b&q=a+b", "%71=1", "q=%31&&r=2"}).Draw(t, "query"),
		Addresses: ends{rapid.SampledFrom([]string{"", "10.0.0.1:80", "10.1.0.1:81", "[fd00::1]:80", "10.0.0.1"}).Draw(t, "source"), rapid.SampledFrom([]string{"", "10.0.0.1", "::1"}).Draw(t, "destination")},
	}
	req.Headers = headerMap(rapid.MapOf(rapid.SampledFrom([]string{"x-a", "x-b"}), rapid.SliceOfN(anyValue, 1, 2)).Draw(t, "headers"))
	return req
}

// agrees compares the compiled router with the slow one over random routes and requests of one flavour.
func agrees(o Options) func(*rapid.T) {
	return func(t *rapid.T) {
		o.StrictProtocols = rapid.Bool().Draw(t, "strict_protocols")
		o.TieBreak = rapid.SampledFrom([]TieBreak{TieCreated, TieKong}).Draw(t, "router_tie_break")
		slow := anySlowRouter(t, o)
		r, err := New(slow.routes, o)
		if err != nil {
			t.Fatal(err)
		}
		var m Match
		for range 24 {
			req := anyRequest(t)
			want := slow.match(req)
			if want == nil {
				want = &way{}
			}
			if ok := r.Match(req, &m); ok != (want.route != nil) || m.Route != want.route {
				t.Fatalf("request %+v: route %+v, the slow router says %+v", req, m.Route, want.route)
			}
			if m.MatchedPath != want.matched || !slices.Equal(m.Captures.Unnamed, want.captures) {
				t.Fatalf("request %+v, route %+v: matched %q, captures %q, the slow router says %q, %q",
					req, want.route, m.MatchedPath, m.Captures.Unnamed, want.matched, want.captures)
			}
			if want.route == nil {
				continue
			}
			service := rapid.SampledFrom([]string{"", "/", "/s", "/s/", "/s/t"}).Draw(t, "service path")
			glued := o.Flavor == Traditional && want.route.PathHandling == "v1"
			if got, want := UpstreamPath(service, &m, req.Path, m.Route.StripPath), slowUpstream(service, want, req.Path, glued); got != want {
				t.Fatalf("request %+v, route %+v, service path %q: upstream path %q, the slow router says %q", req, m.Route, service, got, want)
			}
			prefix := ""
			if want.route.StripPath && want.matched != "/" {
				prefix = want.matched
			}
			if m.Prefix != prefix {
				t.Fatalf("request %+v, route %+v: prefix %q, the slow router says %q", req, m.Route, m.Prefix, prefix)
			}
		}
	}
}

func TestCompatibleAgreesWithSlowRouter(t *testing.T) { rapid.Check(t, agrees(Options{})) }
func TestTraditionalAgreesWithSlowRouter(t *testing.T) {
	rapid.Check(t, agrees(Options{Flavor: Traditional}))
}
func TestExpressionsAgreeWithSlowRouter(t *testing.T) {
	rapid.Check(t, agrees(Options{Flavor: Expressions}))
}

func FuzzCompatible(f *testing.F)  { f.Fuzz(rapid.MakeFuzz(agrees(Options{}))) }
func FuzzTraditional(f *testing.F) { f.Fuzz(rapid.MakeFuzz(agrees(Options{Flavor: Traditional}))) }
func FuzzExpressions(f *testing.F) { f.Fuzz(rapid.MakeFuzz(agrees(Options{Flavor: Expressions}))) }
