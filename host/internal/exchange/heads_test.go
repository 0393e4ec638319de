package exchange

import (
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func setRequest(name string, values ...string) wire.Op {
	return wire.Op{Code: pdk.OpServiceRequestSetHeader, Name: name, Values: values}
}

// What is refused leaves nothing behind, not even in the counts.
func TestHandlersWriteBoundedHeads(t *testing.T) {
	lines := func(n int) []string { return strings.Split(strings.Repeat("v,", n-1)+"v", ",") }
	for _, c := range []struct {
		name   string
		before []wire.Op // of an earlier handler
		op     wire.Op
		wrong  string
	}{
		{"as many lines as may be", nil, setRequest("A", lines(1000)...), ""},
		{"one line more", nil, setRequest("A", lines(1001)...), "1001 header lines of 2002 bytes"},
		{"one line more than with another handler", []wire.Op{setRequest("A", lines(600)...)}, setRequest("A", lines(401)...), "1001 header lines"},
		{"as many bytes as may be", nil, setRequest("AB", strings.Repeat("x", 256<<10-2)), ""},
		{"one byte more", nil, setRequest("AB", strings.Repeat("x", 256<<10-1)), "of 262145 bytes"},
		{"the response has a count of its own", []wire.Op{setRequest("A", lines(1000)...)},
			wire.Op{Code: pdk.OpResponseAddHeader, Name: "A", Values: lines(1000)}, ""},
		{"too much for the response", []wire.Op{{Code: pdk.OpResponseSetHeader, Name: "A", Values: lines(1000)}},
			wire.Op{Code: pdk.OpResponseExit, Status: 200, Headers: []wire.Header{{Name: "B", Value: "b"}}}, "response.exit: plugins would have written 1001"},
		{"a long path", nil, wire.Op{Code: pdk.OpServiceRequestSetPath, Name: "/" + strings.Repeat("p", 64<<10)}, "set_path: found 65537 bytes"},
		{"a long query", nil, wire.Op{Code: pdk.OpServiceRequestSetRawQuery, Name: strings.Repeat("q", 64<<10+1)}, "set_raw_query: found 65537 bytes"},
	} {
		e, _ := begin()
		if err := e.Apply(access, c.before); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		before := e.wrote
		err := e.Apply(access, []wire.Op{c.op})
		switch {
		case c.wrong == "" && err != nil, c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: %v, want %q", c.name, err, c.wrong)
		case err != nil && e.wrote != before:
			t.Errorf("%s: %v is counted", c.name, e.wrote)
		}
		e.Reset()
		if e.wrote != ([2]written{}) || len(e.set) != 0 {
			t.Errorf("%s: the next exchange begins with %v %q", c.name, e.wrote, e.set)
		}
	}
}

func TestHostOfAHandler(t *testing.T) {
	for host, ok := range map[string]bool{
		"a": true, "Shop.example:8080": true, "[::1]": true, "[::1]:80": true, "a_b": true, "1.2.3.4": true, "a%20b": true, "x:": true,
		"": false, "a b": false, "a/b": false, "a?b": false, "a#b": false, "u@a": false, "a,b": false, ":80": false, "a:b": false, "a:123456": false,
		"::1": false, "[::1": false, "[a b]": false, "[]": false, "ä": false, `a"b`: false, `a\b`: false,
	} {
		for _, name := range []string{"Host", "hOST"} {
			e, _ := begin()
			if err := e.Apply(access, []wire.Op{setRequest(name, host)}); (err == nil) != ok {
				t.Errorf("%s: %q: %v", name, host, err)
			}
		}
	}
}

func TestHasSet(t *testing.T) {
	e, _ := begin()
	if err := e.Apply(access, []wire.Op{setRequest("X_One", "1"), {Code: pdk.OpServiceRequestAddHeader, Name: "X-Two", Values: []string{"2"}},
		{Code: pdk.OpServiceRequestClearHeader, Name: "X-Three"}}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"x-one": true, "X-TWO": true, "X-Three": false, "X-Four": false} {
		if e.HasSet(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
}
