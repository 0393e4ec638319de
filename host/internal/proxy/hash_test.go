package proxy

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/balancer"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// Every input of a hash (spec/gateway.md 7.2): equal ones go to the target whose share of the ring it is, others are spread; a request that has none goes by the
// fallback.
func TestHashInputs(t *testing.T) {
	targets := several(t, 5)
	consumer := &access{func(k *pdk.PDK) error {
		if id, ok := k.Request.GetHeader("X-Credential"); ok {
			return k.Client.Authenticate(nil, &pdk.Credential{ID: id})
		}
		name, ok := k.Request.GetHeader("X-User")
		if !ok {
			return nil
		}
		c, err := k.Client.LoadConsumer(name, true)
		if err != nil {
			return err
		}
		return k.Client.Authenticate(c, &pdk.Credential{ID: "its credential"})
	}}
	for name, c := range map[string]struct {
		fields string
		input  string // what is hashed of those below
		// same are requests with the same input, as method-less paths with header pairs; other makes the n-th of many that differ.
		same  [][]string
		other func(n int) []string
	}{
		"header": {
			"hash_on: header, hash_on_header: X-Key",
			"k",
			[][]string{{"/a", "X-Key", "k"}, {"/b?x=1", "x-key", "k"}, {"/c", "X-Key", "k", "X-Other", "1"}},
			func(n int) []string { return []string{"/a", "X-Key", fmt.Sprint(n)} },
		},
		"ip": {
			"hash_on: ip",
			"9.9.9.9",
			[][]string{{"/a", "X-Real-IP", "9.9.9.9"}, {"/b", "X-Real-IP", "9.9.9.9"}},
			func(n int) []string { return []string{"/a", "X-Real-IP", fmt.Sprint("9.9.9.", n)} },
		},
		"path": {
			"hash_on: path",
			"/p/q",
			[][]string{{"/p/q"}, {"/p/./q?z=1"}, {"/p/x/../q"}},
			func(n int) []string { return []string{fmt.Sprint("/p/", n)} },
		},
		"argument": {
			"hash_on: query_arg, hash_on_query_arg: id",
			"1,2",
			[][]string{{"/a?id=2&id=1"}, {"/b?x=y&id=1&id=2"}, {"/b?i%64=%32&id=1"}},
			func(n int) []string { return []string{fmt.Sprint("/a?id=", n)} },
		},
		"named capture": {
			"hash_on: uri_capture, hash_on_uri_capture: user",
			"ann",
			[][]string{{"/users/ann/1"}, {"/users/ann/2"}},
			func(n int) []string { return []string{fmt.Sprintf("/users/%c%c/1", 'a'+n%26, 'a'+n/26)} },
		},
		"numbered capture": {
			`hash_on: uri_capture, hash_on_uri_capture: "2"`,
			"7",
			[][]string{{"/users/ann/7"}, {"/users/bob/7"}},
			func(n int) []string { return []string{fmt.Sprint("/users/ann/", n)} },
		},
		"cookie": {
			"hash_on: cookie, hash_on_cookie: who",
			"me",
			[][]string{{"/a", "Cookie", "who=me"}, {"/b", "Cookie", "x=1; who=me; y=2"}},
			func(n int) []string { return []string{"/a", "Cookie", fmt.Sprint("who=", n)} },
		},
		"fallback": {
			"hash_on: header, hash_on_header: X-Key, hash_fallback: query_arg, hash_fallback_query_arg: id",
			"7",
			[][]string{{"/a?id=7"}, {"/b?id=7"}, {"/b?id=7", "X-Key", ""}},
			func(n int) []string { return []string{fmt.Sprint("/a?id=", n)} },
		},
		"consumer": {
			"hash_on: consumer, hash_fallback: path",
			"6f1f5c2e-2a3f-4c57-9b60-2f2a1f1b7a10",
			[][]string{{"/a", "X-User", "ann"}, {"/b", "X-User", "ann"}, {"/c", "X-User", "ann"}},
			func(n int) []string { return []string{fmt.Sprint("/", n)} },
		},
		"credential": {
			"hash_on: consumer, hash_fallback: path",
			"42",
			[][]string{{"/a", "X-Credential", "42"}, {"/b", "X-Credential", "42"}},
			func(n int) []string { return []string{"/a", "X-Credential", fmt.Sprint(n)} },
		},
		"several headers": {
			"hash_on: header, hash_on_header: X-Key",
			"k, l",
			[][]string{{"/a", "X-Key", "k", "X-Key", "l"}, {"/b", "X-Key", "k, l"}},
			func(n int) []string { return []string{"/a", "X-Key", "k", "X-Key", fmt.Sprint(n)} },
		},
		"ip as the fallback": {
			"hash_on: uri_capture, hash_on_uri_capture: user, hash_fallback: ip",
			"9.9.9.9",
			[][]string{{"/a", "X-Real-IP", "9.9.9.9"}, {"/b", "X-Real-IP", "9.9.9.9"}},
			func(n int) []string { return []string{"/a", "X-Real-IP", fmt.Sprint("9.9.9.", n)} },
		},
		"nothing": {
			"hash_on: header, hash_on_header: X-Key",
			"",
			[][]string{{"/a"}, {"/b"}, {"/c?d=1"}}, // all share a point
			func(n int) []string { return []string{"/a", "X-Key", fmt.Sprint(n)} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, echo, pooled(c.fields, targets...)+"plugins: [{name: who}]\n", []pdk.Plugin{plugin("who", 1, consumer)}, trustLoopback)
			get := func(r []string) string {
				answer := g.get(r[0], r[1:]...)
				answer.want(t, 200, " as ")
				return answer.body
			}
			first := get(c.same[0])
			if want := owner(t, c.input, targets); !strings.HasSuffix(first, " as "+want) {
				t.Errorf("%v went to %q, that of %q is %s", c.same[0], first, c.input, want)
			}
			for range 2 {
				for _, r := range c.same {
					if got := get(r); got != first {
						t.Errorf("%v went to %q, %v to %q", r, got, c.same[0], first)
					}
				}
			}
			seen := map[string]bool{}
			for n := range 40 {
				seen[get(c.other(n))] = true
			}
			if len(seen) < 4 {
				t.Errorf("40 inputs went to %d of 5 targets", len(seen))
			}
		})
	}
}

// owner is the target that an input hashes to.
func owner(t *testing.T, input string, targets []string) string {
	t.Helper()
	u := &entity.Upstream{ID: "id", Name: "pool", Algorithm: "consistent-hashing", Slots: 10000}
	for _, target := range targets {
		u.Targets = append(u.Targets, &entity.Target{Target: target, Weight: 100})
	}
	r := balancer.NewRegistry(balancer.Options{})
	b, err := r.Take(u)
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Choose(&balancer.Choice{Now: time.Now(), Hash: balancer.Hash([]byte(input))})
	if err != nil {
		t.Fatal(err)
	}
	return p.Address()
}

// A client without the cookie gets one, and goes on to the target that it hashed to.
func TestHashCookie(t *testing.T) {
	g := start(t, echo, pooled("hash_on: cookie, hash_on_cookie: who, hash_on_cookie_path: /shop", several(t, 5)...), nil)
	form := regexp.MustCompile(`^who=[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}; Path=/shop; HttpOnly; SameSite=Lax$`)
	values := map[string]bool{}
	for range 10 {
		first := g.get("/")
		set := first.Header.Values("Set-Cookie")
		if len(set) != 1 || !form.MatchString(set[0]) {
			t.Fatalf("cookies %q", set)
		}
		value, _, _ := strings.Cut(set[0], ";")
		values[value] = true
		again := g.get("/", "Cookie", value)
		if again.body != first.body || len(again.Header.Values("Set-Cookie")) != 0 {
			t.Errorf("from %q to %q with %q", first.body, again.body, again.Header.Values("Set-Cookie"))
		}
	}
	if len(values) != 10 {
		t.Errorf("%d cookies for ten clients", len(values))
	}
}

// The cookie may be what a request falls back to.
func TestHashFallbackToCookie(t *testing.T) {
	g := start(t, echo, pooled("hash_on: header, hash_on_header: X-Key, hash_fallback: cookie, hash_on_cookie: who", several(t, 5)...), nil)
	if set := g.get("/", "X-Key", "k").Header.Get("Set-Cookie"); set != "" {
		t.Errorf("a request with the header got %q", set)
	}
	first := g.get("/")
	value, _, _ := strings.Cut(first.Header.Get("Set-Cookie"), ";")
	if again := g.get("/", "Cookie", value); !strings.HasPrefix(value, "who=") || again.body != first.body {
		t.Errorf("from %q to %q with %q", first.body, again.body, value)
	}
}
