package proxy

import (
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/wirecorpus/responses"
)

const hostileConfig = `_format_version: "3.0"
services:
- {name: s, host: HOST, port: PORT, retries: 2, routes: [{name: r, paths: [/case, /probe], strip_path: false}]}
- {name: quick, host: HOST, port: PORT, retries: 2, read_timeout: 200, routes: [{name: q, paths: [/quick], strip_path: false}]}
`

// What upstreams may send: nothing of it reaches a client but as a response that can be read in one way, and none of it the client of another request.
func TestHostileResponses(t *testing.T) {
	cases, err := responses.Cases()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 60 {
		t.Errorf("%d cases, expected at least 60", len(cases))
	}
	up, err := responses.NewUpstream(cases)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.Close)
	host, port, err := net.SplitHostPort(up.Addr)
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, echo, strings.NewReplacer("HOST", host, "PORT", port).Replace(hostileConfig), nil)
	for _, c := range cases {
		t.Run(c.ID(), func(t *testing.T) {
			s, err := up.Play(g.addr, c, patience)
			if err != nil {
				t.Fatal(err)
			}
			checkSeen(t, c, &s)
		})
	}
}

func checkSeen(t *testing.T, c *responses.Case, s *responses.Seen) {
	t.Helper()
	if s.Crossed != "" {
		t.Errorf("the next request got %s", s.Crossed)
	}
	if s.Result != c.Want {
		t.Fatalf("the client got %s %q, expected %s", s.Result, s.Body, c.Want)
	}
	if status, _ := strconv.Atoi(c.Want); status > 0 && status < 500 && s.Body != c.Body {
		t.Errorf("the client got %q, expected %q", s.Body, c.Body)
	}
	if c.Want != "504" && s.Hits != c.Tries {
		t.Errorf("the upstream got the request %d times, expected %d", s.Hits, c.Tries)
	}
	if c.Kept != nil && s.Kept != *c.Kept {
		t.Errorf("the connection was used again: %t, expected %t", s.Kept, *c.Kept)
	}
	if s.Response == nil {
		return
	}
	if name, value, found := strings.Cut(c.With, ": "); found && s.Response.Header.Get(name) != value {
		t.Errorf("%s is %q, expected %q", name, s.Response.Header.Get(name), value)
	}
	for _, name := range c.Without {
		if v, found := s.Response.Header[name]; found || s.Response.Trailer.Get(name) != "" {
			t.Errorf("the client got %s: %q", name, v)
		}
	}
	if got := headerLines(s.Response.Trailer); got != c.Trailer {
		t.Errorf("trailers %q, expected %q", got, c.Trailer)
	}
	if s.Response.Proto != "HTTP/1.1" {
		t.Errorf("the response is one of %s", s.Response.Proto)
	}
}

// headerLines are headers, one after the other.
func headerLines(h http.Header) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			all = append(all, name+": "+v)
		}
	}
	return strings.Join(all, ", ")
}
