package condition

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func compile(t testing.TB, text string) *Program {
	t.Helper()
	p, err := Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestEval evaluates expressions over the full request and over the bare one. "error" stands for an error.
func TestEval(t *testing.T) {
	for _, c := range []struct{ text, full, bare string }{
		{`true`, "true", "true"},
		{`http.method == "POST"`, "true", "false"},
		{`http.method in ["GET", "HEAD"]`, "false", "true"},
		{`http.scheme == "https" && net.protocol == "https"`, "true", "false"},
		{`http.host.endsWith(".example.com")`, "true", "false"},
		{`http.host.ends_with(".example.com") && http.path.starts_with("/api")`, "true", "false"},
		{`http.port == 8443 && net.dst.port == 8443`, "true", "false"},
		{`http.version == "1.1"`, "true", "false"},
		{`http.version == "2"`, "false", "true"},
		{`http.path == "/api/v2/orders"`, "true", "false"},
		{`http.path.matches("^/api/v[0-9]+/")`, "true", "false"},
		{`http.path_segments[1] == "v2"`, "true", "error"},
		{`"orders" in http.path_segments`, "true", "false"},
		{`http.path_segments.size() == 3`, "true", "false"},

		{`http.headers.x_version == "2"`, "true", "false"},
		{`http.headers["X-Version"] == "2"`, "true", "false"},
		{`http.headers.x_roles == "editor"`, "true", "false"},
		{`http.headers.x_version != null`, "true", "false"},
		{`null == http.headers.x_version`, "false", "true"},
		{`has(http.headers.x_version)`, "true", "false"},
		{`"x_version" in http.headers`, "true", "false"},
		{`http.headers.x_version.startsWith("2")`, "true", "error"},
		{`default(http.headers.x_version, "1") == "1"`, "false", "true"},
		{`http.headers.exists(name, name == "x_roles")`, "true", "false"},
		{`http.headers.size() == 3`, "true", "false"},
		{`"admin" in http.headers_list.x_roles`, "true", "error"},
		{`http.headers_list.x_roles != null && "admin" in http.headers_list.x_roles`, "true", "false"},
		{`http.headers_list.x_roles == ["editor", "admin"]`, "true", "false"},

		{`http.queries.tag == "new"`, "true", "false"},
		{`http.queries.q == "a b!"`, "true", "false"},
		{`http.queries.bare == ""`, "true", "false"},
		{`has(http.queries.missing)`, "false", "false"},
		{`"paid" in default(http.queries_list.tag, [])`, "true", "false"},
		{`http.queries_list.tag.size() == 2`, "true", "error"},
		{`http.queries.map(name, name) == ["tag", "q", "bare"]`, "true", "false"},
		{`http.queries == {"tag": "new", "q": "a b!", "bare": ""}`, "true", "false"},

		{`net.src.ip == "10.0.0.7" && net.src.port > 1024`, "true", "false"},
		{`net.forwarded.ip == "203.0.113.9"`, "true", "false"},
		{`net.forwarded.ip == "::1"`, "false", "true"},
		{`net.forwarded.port == null`, "false", "true"},
		{`cidr("10.0.0.0/8").containsIP(net.src.ip)`, "true", "false"},
		{`ip(net.src.ip).isLoopback()`, "false", "true"},

		{`route.name == "orders"`, "true", "false"},
		{`has(route.id)`, "true", "false"},
		{`route.tags != null && "internal" in route.tags`, "true", "false"},
		{`service.name == "shop"`, "true", "false"},
		{`service.id != null`, "true", "false"},
		{`service.tags == null`, "true", "true"},
		{`consumer.username == "ann"`, "true", "false"},
		{`consumer.username in ["ann", "bob"]`, "true", "false"},
		{`consumer.username.startsWith("a")`, "true", "error"},
		{`default(consumer.username, "nobody") == "nobody"`, "false", "true"},
		{`default(consumer.username.startsWith("a"), false)`, "true", "false"},
		{`consumer.custom_id == null`, "true", "true"},
		{`consumer.id == null`, "false", "true"},
		{`"vip" in consumer.tags`, "true", "error"},
		{`default("vip" in consumer.tags, false)`, "true", "false"},
		{`consumer_group.names != null && "gold" in consumer_group.names`, "true", "false"},
		{`default(consumer_group.ids, ["none"]) == ["8a1e", "9b2f"]`, "true", "false"},

		{`kong.ctx.shared.flag == "enabled"`, "true", "error"},
		{`has(kong.ctx.shared.flag) && kong.ctx.shared.flag == "enabled"`, "true", "false"},
		{`default(kong.ctx.shared.flag == "enabled", false)`, "true", "false"},
		{`kong.ctx.shared.ready`, "true", "error"},
		{`default(kong.ctx.shared.ready, false)`, "true", "false"},
		{`kong.ctx.shared.flag`, "error", "error"},
		{`kong.ctx.shared["count"] > 2 && kong.ctx.shared.ratio < 1`, "true", "error"},
		{`"a" in kong.ctx.shared.user.roles`, "true", "error"},
		{`kong.ctx.shared.user.level >= 7.0`, "true", "error"},
		{`kong.ctx.shared.user.nothing == 1`, "error", "error"},
		{`"flag" in kong.ctx.shared`, "true", "false"},
		{`kong.ctx.shared.size() == 0`, "false", "true"},
		{`has(kong.ctx.shared.user.level)`, "true", "error"},

		{`plugins.key_auth.is_matched == true`, "true", "false"},
		{`plugins.key_auth.access_has_executed`, "true", "error"},
		{`plugins["rate-limiting"].access_has_executed == false`, "true", "false"},
		{`plugins.key_auth.priority > 1000`, "true", "error"},
		{`plugins.cors.is_matched == false && plugins.cors.priority == null`, "true", "false"},
		{`plugins.acl.is_matched == null`, "true", "true"},
		{`has(plugins.key_auth)`, "true", "false"},
		{`has(plugins.cors.priority)`, "false", "false"},
		{`"cors" in plugins`, "true", "false"},

		{`http.path.split("/").size() == 4`, "true", "false"},
		{`http.method.lowerAscii() == "get"`, "false", "true"},
		{`[1, 2].exists(http, http == 2)`, "true", "true"},
		{`1 / 0 == 1`, "error", "error"},
		{`true || 1 / 0 == 1`, "true", "true"},
	} {
		p, err := Compile(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		for name, want := range map[string]string{"full": c.full, "bare": c.bare} {
			f := bare()
			if name == "full" {
				f = full(t)
			}
			got := "error"
			if ok, err := p.Eval(f); err == nil {
				got = map[bool]string{true: "true", false: "false"}[ok]
			} else if ok {
				t.Errorf("%s over the %s request: true beside the error %v", c.text, name, err)
			}
			if got != want {
				_, err := p.Eval(f)
				t.Errorf("%s over the %s request: %s, want %s (error: %v)", c.text, name, got, want, err)
			}
		}
	}
}

// TestErrors holds the texts of errors.
func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		``:                                       `condition at 1:1: found an empty text, expected an expression`,
		" \n":                                    `condition at 1:1: found an empty text, expected an expression`,
		strings.Repeat("x", 1025):                `condition at 1:1: found 1025 characters, expected at most 1024`,
		`http.path ==`:                           `condition at 1:13: found the end of the text, expected an expression of CEL`,
		`http.path startsWith "a"`:               `condition at 1:11: found 'startsWith', expected an expression of CEL`,
		`http.path == "a`:                        `condition at 1:14: found token recognition error at: '"a', expected an expression of CEL`,
		"true &&\n http.pat == \"\"":             `condition at 2:2: found unknown variable http.pat, expected one of http.headers, http.headers_list, http.host, http.method, http.path, http.path_segments, http.port, http.queries, http.queries_list, http.scheme, http.version (nearest: http.path)`,
		`net.src_ip == ""`:                       `condition at 1:1: found unknown variable net.src_ip, expected one of net.dst.port, net.forwarded.ip, net.forwarded.port, net.protocol, net.src.ip, net.src.port (nearest: net.src.ip)`,
		`consumer.group == "a"`:                  `condition at 1:1: found unknown variable consumer.group, expected one of consumer.custom_id, consumer.id, consumer.tags, consumer.username`,
		`has(consumer.name)`:                     `condition at 1:5: found unknown variable consumer.name, expected one of consumer.custom_id, consumer.id, consumer.tags, consumer.username (nearest: consumer.tags)`,
		`request.path == ""`:                     `condition at 1:1: found unknown variable request.path, expected a variable of consumer, consumer_group, http, kong, net, plugins, route, service`,
		`principal.id == "x"`:                    `condition at 1:1: found unknown variable principal.id, expected a variable of conditions (fix: there are no principals here; use consumer)`,
		`net.tls.sni == "x"`:                     `condition at 1:1: found unknown variable net.tls.sni, expected a variable of conditions (fix: the server name of TLS is not known to conditions; use http.host)`,
		`plugins.key_auth.prio > 3`:              `condition at 1:17: found field prio, expected one of access_has_executed, is_matched, priority`,
		`http.path.startWith("a")`:               `condition at 1:20: found unknown function startWith, expected a function of CEL, or default (nearest: startsWith)`,
		`http.path == 3`:                         `condition at 1:11: found == with string, int, expected two values of one type`,
		`net.src.port > "1"`:                     `condition at 1:14: found > with int, string, expected types that it takes`,
		`http.path.startsWith(3)`:                `condition at 1:21: found string.startsWith(int), expected string.startsWith(string)`,
		`default(consumer.username, 1) == "x"`:   `condition at 1:8: found default(string, int), expected default(T, T)`,
		`http.path`:                              `condition at 1:1: found an expression whose result is string, expected one whose result is bool`,
		`http.headers.x.y == "1"`:                `condition at 1:15: found type 'string' does not support field selection`,
		`http.path.matches("(")`:                 "condition at 1:19: found a pattern that does not compile: error parsing regexp: missing closing ): `(`, expected a regular expression of RE2",
		`cidr("10.0.0/8").containsIP("1.2.3.4")`: `condition at 1:6: found invalid cidr argument: CIDR "10.0.0/8" parse error during conversion from string: netip.ParsePrefix("10.0.0/8"): ParseAddr("10.0.0"): IPv4 address too short`,
	} {
		_, err := Compile(text)
		if err == nil {
			t.Errorf("%q compiles, want %q", text, want)
		} else if err.Error() != want {
			t.Errorf("%q:\n got %s\nwant %s", text, err, want)
		}
	}
}

// TestEvalErrors holds the texts of errors of single requests.
func TestEvalErrors(t *testing.T) {
	for text, want := range map[string]string{
		`true && kong.ctx.shared.other == "x"`: `evaluating the condition "true && kong.ctx.shared.other == \"x\"" at 1:24: no such key: other`,
		`kong.ctx.shared.flag`:                 `evaluating the condition "kong.ctx.shared.flag": the result is string, expected bool`,
		`consumer.custom_id.size() > 0`:        `evaluating the condition "consumer.custom_id.size() > 0" at 1:24: no such overload: size`,
	} {
		_, err := compile(t, text).Eval(full(t))
		if err == nil {
			t.Errorf("%s: no error, want %q", text, want)
		} else if err.Error() != want {
			t.Errorf("%s:\n got %s\nwant %s", text, err, want)
		}
	}
}

// TestCostBombs: what would take long is refused when it is compiled.
func TestCostBombs(t *testing.T) {
	for _, text := range []string{
		`[1,2,3,4,5,6,7,8].all(a,[1,2,3,4,5,6,7,8].all(b,[1,2,3,4,5,6,7,8].all(c,[1,2,3,4,5,6,7,8].all(d,[1,2,3,4,5,6,7,8].all(e,a+b+c+d+e<100)))))`,
		`("a"` + strings.Repeat(`.replace("a","aaaaaaaaaa")`, 12) + `).size() > 1`,
		`http.path_segments.all(x, http.path_segments.all(y, http.path_segments.all(z, x + y + z != "")))`,
		`http.headers_list.all(n, http.headers_list[n].all(v, v.matches("(a|b)*c{3,50}")))`,
		`http.path.matches(http.headers.pattern)`,
		`kong.ctx.shared.l.all(x, kong.ctx.shared.l.all(y, x != y))`,
	} {
		_, err := Compile(text)
		if err == nil || !strings.Contains(err.Error(), "may cost") {
			t.Errorf("%s: %v, want an error about its cost", text, err)
		}
	}
	for _, text := range []string{
		strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200),
		strings.Repeat("[", 300) + strings.Repeat("]", 300) + " == []",
		`"a".matches("a{1000}{1000}")`,
		`"a".matches("((a{30}){30}){30}")`,
		`"%.1000000f".format([1.0]) == ""`,
	} {
		if _, err := Compile(text); err == nil {
			t.Errorf("%.40q compiles", text)
		}
	}
}

// TestCostOfRequest: a request larger than the estimate allows for is stopped while it is evaluated.
func TestCostOfRequest(t *testing.T) {
	p := compile(t, `http.path_segments.all(s, s.matches("^[a-z]{1,20}$"))`)
	f := bare()
	f.live.Request.Path = strings.Repeat("/abc", 100_000)
	_, err := p.Eval(f)
	if err == nil || !strings.Contains(err.Error(), "cost limit exceeded") {
		t.Errorf("error %v, want one about the cost limit", err)
	}
	if ok, err := p.Eval(full(t)); ok || err != nil {
		t.Errorf("a usual request afterwards: %v, %v", ok, err)
	}
}

// TestManyLookups: an expression that looks up many names gets the same answers as one that looks up one, and the work does not grow
// with the square of the request.
func TestManyLookups(t *testing.T) {
	f := full(t)
	names := []string{`"X-VERSION"`, `"a"`, `"x-roles"`, `"c"`, `"d"`, `"e"`, `"f"`, `"g"`, `"x_version"`, `"X-Roles"`, `"none"`}
	for text, want := range map[string]string{
		`[` + strings.Join(names, ", ") + `].map(n, default(http.headers[n], "-"))`:                            `["2", "-", "editor", "-", "-", "-", "-", "-", "2", "editor", "-"]`,
		`[` + strings.Join(names, ", ") + `].map(n, size(default(http.headers_list[n], [])))`:                  `[1, 0, 2, 0, 0, 0, 0, 0, 1, 2, 0]`,
		`["tag", "b", "c", "d", "e", "f", "g", "h", "tag", "q", "bare"].map(n, default(http.queries[n], "-"))`: `["new", "-", "-", "-", "-", "-", "-", "-", "new", "a b!", ""]`,
		`["a", "b", "c", "d", "e", "f", "g", "h", "tag", "q"].map(n, size(default(http.queries_list[n], [])))`: `[0, 0, 0, 0, 0, 0, 0, 0, 2, 1]`,
		`["a", "b", "c", "d", "e", "f", "g", "h", "flag", "count"].map(n, n in kong.ctx.shared)`:               `[false, false, false, false, false, false, false, false, true, true]`,
	} {
		if ok, err := compile(t, text+" == "+want).Eval(f); !ok || err != nil {
			t.Errorf("%s is not %s: %v", text, want, err)
		}
	}
	p := compile(t, `http.path_segments.all(s, http.headers[s] == null)`)
	f.live.Request.Path = strings.Repeat("/a", 10_000)
	f.live.Request.Headers = nil
	for range 5_000 {
		f.live.Request.Headers = append(f.live.Request.Headers, wire.Header{Name: "b", Value: "c"})
	}
	f.asked = map[string]int{}
	if ok, err := p.Eval(f); !ok || err != nil {
		t.Error(ok, err)
	}
	if n := f.asked["request"]; n > 2*maxLookups {
		t.Errorf("the headers were walked %d times", n)
	}
}

// TestReads: the variables that a condition names are known, and nothing else is asked for.
func TestReads(t *testing.T) {
	for _, c := range []struct {
		text    string
		reads   []string
		mutable bool
		asked   []string
	}{
		{`true`, nil, false, nil},
		{`http.path == "/"`, []string{"http.path"}, false, []string{"facts", "request"}},
		{`route.name == "x" || has(route.tags)`, []string{"route.name", "route.tags"}, false, []string{"route"}},
		{`service.name == "x"`, []string{"service.name"}, false, []string{"service"}},
		{`consumer.id != null`, []string{"consumer.id"}, true, []string{"consumer"}},
		{`consumer_group.names == null`, []string{"consumer_group.names"}, true, []string{"groups"}},
		{`has(kong.ctx.shared.flag)`, []string{"kong.ctx.shared"}, true, []string{"facts"}},
		{`plugins.key_auth.is_matched`, []string{"plugins"}, true, []string{"plugins"}},
		{`http.method == "GET" && http.headers.a == "b"`, []string{"http.headers", "http.method"}, true, []string{"facts", "request"}},
		{`route.name == "orders" || http.path == "/"`, []string{"http.path", "route.name"}, false, []string{"route"}},
		{`[1].exists(x, x == 1)`, nil, false, nil},
	} {
		p := compile(t, c.text)
		if !slices.Equal(p.Reads(), c.reads) || p.Mutable() != c.mutable {
			t.Errorf("%s reads %q, mutable %v; want %q, %v", c.text, p.Reads(), p.Mutable(), c.reads, c.mutable)
		}
		f := full(t)
		f.asked = map[string]int{}
		if _, err := p.Eval(f); err != nil {
			t.Error(err)
		}
		if asked := slices.Sorted(maps.Keys(f.asked)); !slices.Equal(asked, c.asked) {
			t.Errorf("%s asked for %q, want %q", c.text, asked, c.asked)
		}
	}
}

// TestConcurrent evaluates one program for several requests at once.
func TestConcurrent(t *testing.T) {
	p := compile(t, `http.headers.x_version == "2" && default(kong.ctx.shared.flag == "enabled", false) && http.queries_list.tag.exists(t, t == "paid")`)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				f, want := full(t), true
				if i%2 == 1 {
					f, want = bare(), false
				}
				if got, err := p.Eval(f); got != want || err != nil {
					t.Errorf("request %d: %v, %v; want %v", i, got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestAllocations bounds what usual conditions allocate per evaluation.
func TestAllocations(t *testing.T) {
	f := Facts(full(t))
	for text, most := range map[string]float64{
		`http.method == "POST"`:                                8,
		`http.headers.x_version == "2"`:                        8,
		`http.path.startsWith("/api") && route.name != "x"`:    8,
		`has(kong.ctx.shared.flag)`:                            8,
		`consumer.username in ["ann", "bob"]`:                  8,
		`default(http.queries.tag, "") in ["new", "paid"]`:     8,
		`plugins.key_auth.access_has_executed == true`:         8,
		`http.path.matches("^/api/v[0-9]+/") && has(route.id)`: 8,
	} {
		p := compile(t, text)
		got := testing.AllocsPerRun(200, func() {
			if ok, err := p.Eval(f); !ok || err != nil {
				t.Fatal(ok, err)
			}
		})
		t.Logf("%s: %.0f allocations", text, got)
		if got > most {
			t.Errorf("%s: %.0f allocations, want at most %.0f", text, got, most)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	f := Facts(full(b))
	for name, text := range map[string]string{
		"method": `http.method == "POST"`,
		"header": `http.headers.x_version == "2"`,
		"three":  `http.method in ["POST", "PUT"] && http.path.startsWith("/api") && consumer.username == "ann"`,
	} {
		p := compile(b, text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := p.Eval(f); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

func FuzzCondition(f *testing.F) {
	for _, text := range []string{
		`http.method == "POST"`, `has(kong.ctx.shared.x) && default(consumer.tags, [])[0] != null`, `http.headers.all(k, k.size() > 1)`,
		`plugins.key_auth.priority > 1`, `{"a": http.queries}.a.b == null`, `"%s".format([http.path]) == "x"`, `cidr("1.0.0.0/8").containsIP(net.src.ip)`,
		`null == null`, `has(http.path) ? true : false`, `dyn(http) == 1`, `duration("1s") < duration("2s")`, `http == kong.ctx.shared`,
	} {
		f.Add(text)
	}
	facts := full(f)
	share(f, facts, "x", []any{nil, []byte{1}, map[string]any{"a": uint64(1 << 63)}})
	empty := &fakeFacts{live: wire.Facts{}}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Compile(text)
		if err != nil {
			if err.Error() == "" || p != nil {
				t.Fatal(p, err)
			}
			return
		}
		for _, facts := range []Facts{facts, bare(), empty} {
			if ok, err := p.Eval(facts); err != nil && (ok || strings.Contains(err.Error(), "internal error")) {
				t.Fatalf("%q: %v, %v", text, ok, err)
			}
		}
	})
}
