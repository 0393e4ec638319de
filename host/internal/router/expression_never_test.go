package router

import (
	"fmt"
	"testing"
)

func TestNeverTrue(t *testing.T) {
	for _, c := range []struct {
		expression string
		want       string // of each: the comparison, the reason and what to write
	}{
		{`http.host == "Example.com"`, `[{http.host == "Example.com" hosts are compared in lower case write "example.com"}]`},
		{`http.host == "a.test:8000"`, `[{http.host == "a.test:8000" http.host has no port: that is net.dst.port write "a.test"}]`},
		{`http.path == "/a" && !(net.protocol == "tcp")`, `[{net.protocol == "tcp" net.protocol is http or https }]`},
		{`http.method == "get" || http.method == "POST"`, `[{http.method == "get" methods are sent in capital letters write "GET"}]`},
		{`http.path ^= "api" || http.path == "api"`, `[{http.path ^= "api" every path begins with / write "/api"} {http.path == "api" every path begins with / write "/api"}]`},
		{`http.path == "/a?b=c"`, `[{http.path == "/a?b=c" http.path has no query: that is in http.queries.<name> }]`},
		{`http.path ^= "/a//b"`, `[{http.path ^= "/a//b" paths are normalised first: double slashes and dot segments are gone }]`},
		{`http.path == "/%41"`, `[{http.path == "/%41" paths are normalised first write "/A"}]`},
		{`http.path == "/%E9"`, `[{http.path == "/%E9" paths are normalised first }]`},
		{`lower(http.path) contains "Abc"`, `[{lower(http.path) contains "Abc" lower(…) has no capital letters write "abc"}]`},
		{`http.path.segments.0 == "/api"`, `[{http.path.segments.0 == "/api" segments begin behind the slash write "api"}]`},
		{`http.path.segments.1 =^ "a/b"`, `[{http.path.segments.1 =^ "a/b" one segment has no slash }]`},
		{`http.path ^= "/a%2" && http.path =^ "/." && http.path contains "a" && http.path != "x" && http.path ~ "A//b"`, `[]`},
		{`http.path.segments.0_1 == "a/b" && http.host == "[::1]" && http.host =^ ".test" && lower(http.method) == "get"`, `[]`},
		{`http.host != "Example.com" && net.protocol ^= "ht" && http.method == "purge" && http.headers.x == "A//b"`, `[]`},
		{`http.path == `, `[]`},
	} {
		if got := fmt.Sprint(NeverTrue(c.expression)); got != c.want {
			t.Errorf("%s: found %s, expected %s", c.expression, got, c.want)
		}
	}
}
