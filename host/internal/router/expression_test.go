package router

import (
	"os"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// What is wrong with an expression is said with its place.
func TestExpressionErrors(t *testing.T) {
	deep := strings.Repeat("(", 65) + `http.path == "/"` + strings.Repeat(")", 65)
	for _, c := range []struct{ text, want string }{
		{"", `1:1: found an empty expression, expected a comparison such as http.path ^= "/orders"`},
		{" \n", `1:1: found an empty expression, expected a comparison such as http.path ^= "/orders"`},
		{"http.path", "1:10: found the end of the expression, expected an operator: ==, !=, ~, ^=, =^, contains, >, >=, <, <=, in, not in"},
		{`http.path = "/"`, `1:11: found "=", expected an operator: ==, !=, ~, ^=, =^, contains, >, >=, <, <=, in, not in`},
		{"http.path ==", "1:13: found the end of the expression, expected a value: a text"},
		{"http.path == /a", `1:14: found "/a", expected a text in quotes (fix: write "/a")`},
		{`http.path == "/a`, `1:14: found a text without end, expected " at its end`},
		{`http.path == r#"/a"`, `1:14: found a raw text without end, expected "# at its end`},
		{`http.path == "\d"`, `1:15: found "\\d", expected one of \" \\ \n \r \t (fix: write r#"…"#, where \ stands for itself)`},
		{`http.path == "/a" &&`, "1:21: found the end of the expression, expected a field such as http.path, or ("},
		{`http.path == "/a" & http.path == "/b"`, `1:19: found "&", expected &&, || or the end`},
		{`http.path == "/a" http.path == "/b"`, `1:19: found "http.path", expected &&, || or the end`},
		{`(http.path == "/a"`, "1:19: found the end of the expression, expected &&, || or )"},
		{`http.path == "/a")`, `1:18: found ")", expected &&, || or the end`},
		{`!http.path == "/a"`, `1:2: found "http.path", expected ( after ! (fix: write !(…))`},
		{"http.method == \"A\" ||\nhttp.method == \"B\" &&\nhttp.method == \"C\"", "2:20: found && and || side by side, expected one of the two, or parentheses (fix: put parentheses around the terms that belong together)"},
		{deep, "1:65: found parentheses nested deeper, expected at most 64"},
		{`http.path == "` + strings.Repeat("x", 17000) + `"`, "1:1: found 17015 bytes, expected at most 16384"},
		{`"ä" == http.path`, "1:1: found \"\\\"\", expected a field such as http.path, or ("},
		{`http.path == "ä" && x == "1"`, `1:21: found the field "x", expected one of http.headers.<name>, http.path.segments.<n>, http.queries.<name>, http.host, http.method, http.path, http.path.segments.len, net.dst.ip, net.dst.port, net.protocol, net.src.ip, net.src.port, tls.sni`},
		{`http.headers. == "1"`, `1:1: found the field "http.headers.", expected one of http.headers.<name>, http.path.segments.<n>, http.queries.<name>, http.host, http.method, http.path, http.path.segments.len, net.dst.ip, net.dst.port, net.protocol, net.src.ip, net.src.port, tls.sni`},
		{`http.headers.x-a == "1"`, `1:1: found a dash in the name of a header, expected _ in its place (fix: write http.headers.x_…)`},
		{`http.path.segments.x == "1"`, `1:1: found http.path.segments.x, expected http.path.segments.<n> or <n>_<m>, counted from 0, n below m, or len`},
		{`http.path.segments.2_1 == "1"`, `1:1: found http.path.segments.2_1, expected http.path.segments.<n> or <n>_<m>, counted from 0, n below m, or len`},
		{`upper(http.path) == "A"`, `1:1: found the function "upper", expected lower or any`},
		{`lower(any(lower(any(http.path)))) == "a"`, `1:17: found functions nested deeper, expected lower and any once each`},
		{`lower(http.path == "a"`, `1:17: found "=", expected )`},
		{`lower(net.src.port) == 1`, `1:1: found lower of a number, expected lower of a text`},
		{`http.path > "a"`, `1:11: found > with a text, expected ==, !=, ~, ^=, =^ or contains`},
		{`http.path in "a"`, `1:11: found in with a text, expected ==, !=, ~, ^=, =^ or contains`},
		{`net.src.port ~ "1"`, `1:14: found ~ with a number, expected ==, !=, >, >=, < or <=`},
		{`net.src.ip ^= 10.0.0.1`, `1:12: found ^= with an address, expected ==, !=, in or not in`},
		{`net.src.ip not 10.0.0.1`, `1:12: found "not", expected in after not (fix: write not in)`},
		{`net.src.port == "80"`, `1:17: found a text, expected a number without quotes (fix: write 80)`},
		{`net.src.port == 1.5`, `1:17: found "1.5", expected a whole number`},
		{`net.src.port == 1_0`, `1:17: found "1_0", expected a whole number`},
		{`net.src.port == 0b1`, `1:17: found "0b1", expected a whole number`},
		{`net.src.port == 99999999999999999999`, `1:17: found "99999999999999999999", expected a whole number`},
		{`net.src.ip == 10.0.0.0/8`, `1:15: found "10.0.0.0/8", expected an address such as 10.0.0.1 or ::1 (fix: use in or not in with a network)`},
		{`net.src.ip in 10.0.0.1`, `1:15: found "10.0.0.1", expected a network such as 10.0.0.0/8 or fd00::/8 (fix: use == or != with an address)`},
		{`net.src.ip in 10.0.0.1/8`, `1:15: found "10.0.0.1/8", expected a network without bits behind its mask (fix: write 10.0.0.0/8)`},
		{`net.src.ip in ::ffff:10.0.0.0/104`, `1:15: found "::ffff:10.0.0.0/104", expected a network of IPv4 as such, as in 10.0.0.0/8`},
		{`http.path ~ "("`, "1:13: found the pattern \"(\" (missing closing ): `(`), expected a regular expression in RE2 syntax"},
		{`http.path ~ "(?=x)"`, "1:13: found the pattern \"(?=x)\" (invalid or unsupported Perl syntax: `(?=`), expected a regular expression in RE2 syntax"},
	} {
		err := CheckExpression(c.text)
		if want := "expression at " + c.want; err == nil || err.Error() != want {
			t.Errorf("%.80s:\ngot  %v\nwant %s", c.text, err, want)
		}
	}
}

// What a flavour does not have is refused, with the place of the route.
func TestFlavorsRefuse(t *testing.T) {
	at := entity.Pos{File: "gateway.yaml", Line: 3, Col: 5}
	for _, c := range []struct {
		route   entity.Route
		options Options
		want    string
	}{
		{entity.Route{ID: "1", Expression: `http.path == "/"`, Pos: at}, Options{}, "gateway.yaml:3:5: route 1: it has an expression, which needs the setting router_flavor: expressions, and the setting is traditional_compatible"},
		{entity.Route{ID: "1", Expression: `http.path == "/"`}, Options{Flavor: Traditional}, "route 1: it has an expression, which needs the setting router_flavor: expressions, and the setting is traditional"},
		{entity.Route{ID: "1", Expression: `http.path == 1`}, Options{Flavor: Expressions}, `route 1: expression at 1:14: found "1", expected a text in quotes (fix: write "1")`},
		{entity.Route{ID: "1", SNIs: []string{"*.a"}}, Options{Flavor: Traditional}, `route 1: sni "*.a": the setting router_flavor is traditional, which has no wildcards in snis: list the names, or use traditional_compatible`},
		{entity.Route{ID: "1"}, Options{Flavor: "other"}, `router flavour "other": expected traditional_compatible, traditional or expressions`},
		{entity.Route{ID: "1"}, Options{TieBreak: "other"}, `rule for ties "other": expected created_at or kong`},
	} {
		if _, err := New([]*entity.Route{&c.route}, c.options); err == nil || err.Error() != c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
}

// Explain names the rules of the flavours, and the part on which it rests that an expression is false.
func TestExplainFlavors(t *testing.T) {
	req := &Request{Method: "GET", Scheme: "http", Host: "a.b", ListenPort: 8000, Path: "/v1/orders"}
	is := func(text string, priority int) *entity.Route {
		return &entity.Route{ID: "x", Expression: text, Priority: priority}
	}
	for _, c := range []struct {
		name          string
		options       Options
		loser, winner *entity.Route
		rule          Rule
		ours, winners string
		missed        string
	}{
		{name: "expression", options: Options{Flavor: Expressions}, loser: &entity.Route{ID: "y", Paths: []string{"/v1/orders"}}, winner: is(`http.path ^= "/"`, 0), rule: RuleExpression, ours: "no", winners: "yes"},
		{name: "priority", options: Options{Flavor: Expressions}, loser: is(`http.path ^= "/v1"`, 3), winner: is(`http.path ^= "/"`, 4), rule: RulePriority, ours: "3", winners: "4"},
		{name: "false", options: Options{Flavor: Expressions}, loser: is(`http.path ^= "/" && (http.method == "PUT" || http.host == "x")`, 0), missed: `expression: http.method == "PUT" || http.host == "x" is false`},
		{name: "weight", options: Options{Flavor: Traditional}, loser: &entity.Route{Paths: []string{"/v1/orders"}}, winner: &entity.Route{Hosts: []string{"*.b"}}, rule: RuleWeight, ours: "16", winners: "64"},
		{name: "kind", options: Options{Flavor: Traditional}, loser: &entity.Route{Hosts: []string{"a.b"}}, winner: &entity.Route{Hosts: []string{"*.b:8000"}}, rule: RuleKind, ours: "2", winners: "4"},
		{name: "length", options: Options{Flavor: Traditional}, loser: &entity.Route{Paths: []string{"/", "/v1"}}, winner: &entity.Route{Paths: []string{"/v1/"}}, rule: RulePathLength, ours: "3", winners: "4"},
		{name: "regex_priority", options: Options{Flavor: Traditional}, loser: &entity.Route{Paths: []string{"~/v1"}}, winner: &entity.Route{Paths: []string{"~/"}, RegexPriority: 2}, rule: RuleRegexPriority, ours: "0", winners: "2"},
		{name: "uuid", options: Options{TieBreak: TieKong}, loser: &entity.Route{ID: "1", Paths: []string{"/v1"}}, winner: &entity.Route{ID: "2", Paths: []string{"/v1"}}, rule: RuleUUID, ours: "1", winners: "2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			routes := []*entity.Route{c.loser}
			if c.winner != nil {
				routes = append(routes, c.winner)
			}
			r, err := New(routes, c.options)
			if err != nil {
				t.Fatal(err)
			}
			x := r.Explain(req)
			if x.Match.Route != c.winner || len(x.Losers) != 1 {
				t.Fatalf("found %+v", x)
			}
			l, missed := x.Losers[0], ""
			if len(l.Missed) > 0 {
				missed = l.Missed[0].Attribute + ": " + l.Missed[0].Found
			}
			if l.Rule != c.rule || l.Ours != c.ours || l.Winners != c.winners || missed != c.missed {
				t.Errorf("found %q, %q against %q, missed %q; expected %q, %q, %q, %q", l.Rule, l.Ours, l.Winners, missed, c.rule, c.ours, c.winners, c.missed)
			}
		})
	}
}

// The expressions of the guide are valid.
func TestExpressionsOfTheGuide(t *testing.T) {
	guide, err := os.ReadFile("../../../docs/guides/routing.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(guide)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "expression: "); ok {
			n++
			if err := CheckExpression(text); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
	if n == 0 {
		t.Error("no expression in the guide")
	}
}

// FuzzExpression reads any text: it is refused with a place inside it, or it can be evaluated.
func FuzzExpression(f *testing.F) {
	for _, text := range []string{
		`http.path ^= "/a" && !(http.method == "GET" || any(lower(http.headers.x_a)) ~ r#"^(a)|(?<b>b)"#)`, `net.src.ip not in fd00::/8`, `net.dst.port >= 0x50`,
		`http.queries.q contains "\"\\"`, `http.path.segments.0_1 =^ "b"`, `http.path == "\`, "(((", `r#"`, `http.path ~ "^/a" || http.path == ""`,
	} {
		f.Add(text)
	}
	req := &Request{Method: "GET", Scheme: "http", Host: "a.b", ListenPort: 80, Path: "/a/b", Query: "q=%22%5c", Headers: headerMap{"x-a": {"A", "b"}}, Addresses: ends{"10.0.0.1:1", "::1"}}
	f.Fuzz(func(t *testing.T, text string) {
		err := CheckExpression(text)
		if err != nil {
			e := err.(*ExpressionError)
			if lines := strings.Split(text, "\n"); e.Line < 1 || e.Line > len(lines) || e.Col < 1 || e.Col > 1+len(lines[e.Line-1]) || e.Found == "" || e.Expected == "" {
				t.Errorf("%q: %+v", text, e)
			}
			return
		}
		r, err := New([]*entity.Route{{ID: "1", Expression: text}}, Options{Flavor: Expressions})
		if err != nil {
			t.Fatalf("%q is fine, but %v", text, err)
		}
		x, err := compileExpression(text)
		if err != nil {
			t.Fatal(err)
		}
		var m Match
		if r.Match(req, &m) != x.root.holds(req) {
			t.Errorf("%q: the index says %t, the expression itself %t", text, m.Route != nil, x.root.holds(req))
		}
		r.Explain(req)
	})
}
