package nearest

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	names := []string{"services", "routes", "consumers", "plugins", "proxy_listen", "ip"}
	for found, want := range map[string]string{
		"service": "services", "ruotes": "routes", "Plugins": "plugins", "proxy_listn": "proxy_listen", "proxylisten_a": "proxy_listen", "pi": "ip",
		"frobnicate": "", "x": "", "": "", strings.Repeat("x", 1000): "",
	} {
		if got := Name(found, names); got != want {
			t.Errorf("nearest to %q is %q, want %q", found, got, want)
		}
	}
	if got := Name("roue", []string{"rouse", "route", "rouge"}); got != "rouse" {
		t.Errorf("of names equally near: %q, want the first", got)
	}
	if got := Name("x", nil); got != "" {
		t.Errorf("of no names: %q", got)
	}
}

func TestChanges(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"abc", "acb", 1}, {"abc", "abd", 1}, {"abc", "abcd", 1}, {"abc", "ac", 1}, {"abcd", "wxyz", 4}, {"ca", "abc", 3},
	} {
		if got := Changes(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
