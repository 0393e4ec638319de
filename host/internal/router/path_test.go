package router

import (
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"", "/"},
		{"/", "/"},
		{"a", "/a"},
		{"*", "/*"},
		{"/a/b", "/a/b"},
		{"/a/b/", "/a/b/"},
		// Step 1: decode what is not reserved, upper case for what stays.
		{"/%41", "/A"},
		{"/%2F", "/%2F"},
		{"/a%2fb", "/a%2Fb"},
		{"/%21%2a%27%28%29%3b%3a%40%26%3d%2b%24%2c%2f%3f%25%23%5b%5d", "/%21%2A%27%28%29%3B%3A%40%26%3D%2B%24%2C%2F%3F%25%23%5B%5D"},
		{"/%7e%2d%5f%2E", "/~-_."},
		{"/%20%22%3c%ff%00", "/ \"<\xff\x00"},
		{"/%2541", "/%2541"},
		{"/%", "/%"},
		{"/%4", "/%4"},
		{"/%zz%4g", "/%zz%4g"},
		{"/%%2d", "/%-"},
		// A stray % must not become a triplet.
		{"/%%41", "/%%41"},
		{"/%0%30", "/%0%30"},
		{"/%%32%65", "/%%32e"},
		{"/%%61%%62", "/%%61%%62"},
		{"/%%4a", "/%J"},
		// Step 2: dot segments, also those that step 1 made.
		{"/.", "/"},
		{"/..", "/"},
		{"/./", "/"},
		{"/../", "/"},
		{"/a/.", "/a/"},
		{"/a/..", "/"},
		{"/a/./b", "/a/b"},
		{"/a/../b", "/b"},
		{"/a/b/../../../c", "/c"},
		{"/%2e%2e/a", "/a"},
		{"/a/%2E./b", "/b"},
		{"/a/..%2Fb", "/a/..%2Fb"},
		{"/...", "/..."},
		{"/.a/..b/c.", "/.a/..b/c."},
		{"../a", "/a"},
		{"./a", "/a"},
		{".", "/"},
		// Step 3: slashes, after the dot segments: an empty segment is one that .. takes away.
		{"//", "/"},
		{"//a///b//", "/a/b/"},
		{"/a//../b", "/a/b"},
		{"/..//..//a", "/a"},
		{"//../a", "/a"},
		{"/a/.//b", "/a/b"},
	} {
		if got := Normalize(c.path); got != c.want {
			t.Errorf("Normalize(%q) = %q, want %q", c.path, got, c.want)
		}
		if got, want := IsNormal(c.path), c.path == c.want; got != want {
			t.Errorf("IsNormal(%q) = %v, want %v", c.path, got, want)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"", "/", "/a/../b", "//..//", "/%2e%2e/", "/%2E%2e%2f", "/a//../b", "/%25%32%65", "/..;/a", "*", "/%c0%ae", "0%0%300"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := Normalize(path)
		if again := Normalize(got); again != got {
			t.Errorf("Normalize(%q) = %q, and of that %q", path, got, again)
		}
		if IsNormal(path) != (got == path) {
			t.Errorf("IsNormal(%q) = %v, Normalize gives %q", path, IsNormal(path), got)
		}
		if !strings.HasPrefix(got, "/") {
			t.Errorf("Normalize(%q) = %q does not start with /", path, got)
		}
		for _, s := range strings.Split(got[1:], "/") {
			if s == "." || s == ".." {
				t.Errorf("Normalize(%q) = %q has a dot segment", path, got)
			}
		}
		if strings.Contains(got, "//") {
			t.Errorf("Normalize(%q) = %q has two slashes side by side", path, got)
		}
		sent := EscapePath(got)
		if back := Normalize(sent); back != got {
			t.Errorf("Normalize(EscapePath(%q)) = %q", got, back)
		}
		for i := range len(sent) {
			if c := sent[i]; c <= ' ' || c >= 0x7f {
				t.Errorf("EscapePath(%q) = %q has the byte %#x", got, sent, c)
			}
		}
	})
}

func TestEscapePath(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"", ""},
		{"/a/b", "/a/b"},
		{"/a b", "/a%20b"},
		{"/!#$&'()*+,/:;=?@[]-_.~%", "/!#$&'()*+,/:;=?@[]-_.~%"},
		{"/%2F%41", "/%2F%41"},
		{"/\"<>\\^`{|}", "/%22%3C%3E%5C%5E%60%7B%7C%7D"},
		{"/\x00\xff\u00e9", "/%00%FF%C3%A9"},
	} {
		if got := EscapePath(c.path); got != c.want {
			t.Errorf("EscapePath(%q) = %q, want %q", c.path, got, c.want)
		}
	}
}

func TestUpstreamPath(t *testing.T) {
	for _, c := range []struct {
		service, matched string
		strip            bool
		request, want    string
	}{
		// The table of path_handling v0; rows of v1 take the v0 rule in this flavour.
		{"/s", "/fv0", false, "/fv0/req", "/s/fv0/req"},
		{"/s", "/fv0", false, "/fv0", "/s/fv0"},
		{"/s", "/tv0", true, "/tv0/req", "/s/req"},
		{"/s", "/tv0", true, "/tv0", "/s"},
		{"/s", "/fv0/", false, "/fv0/req", "/s/fv0/req"},
		{"/s", "/fv0/", false, "/fv0/", "/s/fv0/"},
		{"/s", "/tv0/", true, "/tv0/req", "/s/req"},
		{"/s", "/tv0/", true, "/tv0/", "/s/"},
		// No segment boundary.
		{"/s", "/tv0", true, "/tv0req", "/s/req"},
		{"/s", "/tv0", true, "/tv0/", "/s/"},
		{"/s/", "/tv0", true, "/tv0", "/s"},
		{"/s/", "/tv0", true, "/tv0/", "/s/"},
		{"/s/", "/tv0/", true, "/tv0/", "/s/"},
		{"/s/", "/tv0", true, "/tv0/req/", "/s/req/"},
		{"/s/", "/fv0", false, "/fv0/req", "/s/fv0/req"},
		{"/s/", "/fv0", false, "/", "/s/"},
		// The root.
		{"", "/a", true, "/a", "/"},
		{"/", "/a", true, "/a/", "/"},
		{"/", "/a", true, "/a/b", "/b"},
		{"/", "/a", true, "/ab", "/b"},
		{"/", "/", true, "/", "/"},
		{"/", "/", false, "/", "/"},
		{"/", "/", true, "/a/b/", "/a/b/"},
		{"/", "/a", false, "/a/b", "/a/b"},
		{"/s", "/", true, "/", "/s"},
		{"/s", "/", false, "/", "/s"},
		{"/s", "/", true, "/a", "/s/a"},
		{"/s/", "/", true, "/", "/s/"},
		// A route without paths.
		{"/s", "", true, "/", "/s"},
		{"/s", "", true, "/a", "/s/a"},
		{"/s", "", false, "/a/", "/s/a/"},
		{"/s/", "", true, "/", "/s/"},
		{"", "", true, "/a", "/a"},
		// Stripping must not lay a dot segment bare.
		{"/s", "/a", true, "/a..", "/s"},
		{"/s", "/a", true, "/a.", "/s"},
		{"/s", "/a", true, "/a../b", "/s/b"},
		{"/s", "/a", true, "/a./b", "/s/b"},
		{"/s", "/a", true, "/a.../b", "/s/.../b"},
		{"/s/", "/a", true, "/a../", "/s/"},
		{"/", "/a", true, "/a..", "/"},
		{"/s", "/a", false, "/a../b", "/s/a../b"},
	} {
		m := Match{MatchedPath: c.matched}
		if got := UpstreamPath(c.service, &m, c.request, c.strip); got != c.want {
			t.Errorf("service path %q, matched %q, strip %v, request %q: upstream path %q, want %q", c.service, c.matched, c.strip, c.request, got, c.want)
		}
	}
}

func TestPathsDoNotAllocate(t *testing.T) {
	m, slash := Match{MatchedPath: "/orders"}, Match{MatchedPath: "/"}
	for name, f := range map[string]func(){
		"Normalize":                      func() { Normalize("/a/b.c/..d/%2F/e") },
		"EscapePath":                     func() { EscapePath("/a/b.c/..d/%2F/e") },
		"UpstreamPath to root":           func() { UpstreamPath("/", &m, "/orders/17", true) },
		"UpstreamPath, / stripped":       func() { UpstreamPath("/", &slash, "/orders/17", true) },
		"UpstreamPath, nothing stripped": func() { UpstreamPath("", &m, "/orders/17", false) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}
