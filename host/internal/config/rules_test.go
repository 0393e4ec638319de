package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		rule      rule
		good, bad []string
	}{
		"uuid":       {uuidText, []string{"4e8d95d4-40f2-4818-adcb-30e00c349618", "4E8D95D4-40F2-4818-ADCB-30E00C349618"}, []string{"x", "4e8d95d440f24818adcb30e00c349618", "4e8d95d4-40f2-4818-adcb-30e00c34961g", "{e8d95d4-40f2-4818-adcb-30e00c34961}"}},
		"name":       {entityName, []string{"a", "a.b-c_d~e", "café", "1"}, []string{"a b", "a/b", "a:b", "a\x00"}},
		"tag":        {tag, []string{"a", "a b", "é"}, []string{"a,b", "a/b", "a\nb"}},
		"method":     {method, []string{"GET", "PROPFIND"}, []string{"get", "GET1", "M-SEARCH"}},
		"host":       {serviceHost, []string{"a", "a.b.", "a_b.c", "10.0.0.1", "::1", "[::1]"}, []string{"a:80", "http://a", "a/b", "-a", "a..b", "a b", strings.Repeat("a", 64)}},
		"route host": {routeHost, []string{"a", "a:80", "*.a.b", "a.b.*", "*.a:80", "a.*:80", "10.0.0.1:1", "[::1]", "[::1]:80", "::1"}, []string{"*", "a:0", "a:00", "*.", ".*", "a.*.b", "*.*.a", "*.a.*", "a*b", "a:", "a:x", "a:65536", "a:-1", "a/b", "http://a"}},
		"sni":        {sni, []string{"a", "*.a", "a.*"}, []string{"*", "a:443", "*.a.*", "10.0.0.1"}},
		"path":       {servicePath, []string{"/", "/a/b", "/a%20b", "/a;b=c,d"}, []string{"a", "/a//b", "/%", "/%2", "/%zz", "/a b", "/é", "/a?b", "/a#b"}},
		"route path": {routePath, []string{"/", "/a", "/a/", "/a b", "/é", "/a%2Fb", "~/a", `~/a\d+$`, "~/(?<n>x)", "~/(?P<n>x)"}, []string{"a", "~a", "/a//b", "/a/./b", "/a/..", "/%61", "/a%2fb", "/%", "~/(", "~/a(?!b)", "~/a//b", "~"}},
		"header":     {headerPattern, []string{"a", "~*a+", "~x"}, []string{"~*(", "~*a**"}},
		"protocol":   {protocol, []string{"http", "https"}, []string{"grpc", "tcp", "HTTP", "htp"}},
		"listen":     {listenAddress, []string{"127.0.0.1:8000", "[::1]:0", "localhost:80", "0.0.0.0:65535"}, []string{"8000", ":8000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:8000 ssl", "a b:1"}},
		"address":    {serverAddress, []string{"unix:///run/x.sock", "tcp://127.0.0.1:9000", "tcp://[::1]:1"}, []string{"unix://x", "/run/x", "tcp://1.2.3.4", "tcp://:1", "tcp://a:0", "http://a:1", "unix:///" + strings.Repeat("x", 107)}},
	} {
		for _, s := range c.good {
			if p := c.rule(s); p != nil {
				t.Errorf("%s: %q is refused: %+v", name, s, *p)
			}
		}
		for _, s := range c.bad {
			if p := c.rule(s); p == nil || p.expected == "" {
				t.Errorf("%s: %q is accepted", name, s)
			}
		}
	}
}

// TestFixesAreRight applies what an error proposes, and wants it to be accepted.
func TestFixesAreRight(t *testing.T) {
	for s, check := range map[string]rule{
		"orders": routePath, "//a": routePath, "/a/../b": routePath, "a//b": routePath, "/%41": routePath, "~/a//b": routePath,
		"x//y": servicePath, "/a?b=c": servicePath, "get": method, "a b/c": entityName, "/run/x": serverAddress, "127.0.0.1:1": serverAddress,
		"8000": listenAddress, "127.0.0.1:1 backlog=5": listenAddress,
	} {
		p := check(s)
		if p == nil {
			t.Errorf("%q is accepted", s)
			continue
		}
		fixed := strings.Trim(strings.TrimPrefix(p.fix, "write "), `"`)
		if again := check(fixed); p.fix == "" || again != nil {
			t.Errorf("the fix of %q is %q, which is refused too: %+v", s, p.fix, again)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "12": 12, "8k": 8 << 10, "8K": 8 << 10, "8m": 8 << 20, "1g": 1 << 30, "8KiB": 8 << 10, "8 MB": 8 << 20, "5b": 5,
		"": -1, "k": -1, "-1": -1, "1.5m": -1, "8x": -1, "99999999999999999999": -1, "9999999999g": -1, "+5": -1, "1_0": -1, "ib": -1, "8ib": -1,
	} {
		got, ok := parseSize(&node{kind: kindText, text: text})
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"250": 250 * time.Millisecond, "250ms": 250 * time.Millisecond, "1m30s": 90 * time.Second, "0": 0, "1.5s": 1500 * time.Millisecond,
		"": -1, "-1": -1, "-1s": -1, "1x": -1, "99999999999999999999": -1, "9999999999999999": -1, "1_000": -1,
	} {
		got, p := parseDuration(&node{kind: kindText, text: text}, time.Millisecond)
		if p != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
}

func TestSplitCommand(t *testing.T) {
	for text, want := range map[string][]string{
		"a b  c": {"a", "b", "c"}, `a "b c" 'd "e'`: {"a", "b c", `d "e`}, `a\ b ""`: {"a b", ""}, `"a"b`: {"ab"}, "  ": nil, `$HOME *`: {"$HOME", "*"},
		`'a\b'`: {`a\b`},
	} {
		got, ok := splitCommand(text)
		if !ok || !slices.Equal(got, want) {
			t.Errorf("%q is %q, %v, want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{`"a`, `'a`, `a\`} {
		if got, ok := splitCommand(text); ok {
			t.Errorf("%q is %q, want a refusal", text, got)
		}
	}
}

func TestEnvironmentAndFlagErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		env   []string
		flags map[string]string
		want  string
	}{
		{"value", []string{"OUTRIGGER_LOG_LEVEL=loud"}, nil, `config OUTRIGGER_LOG_LEVEL: found "loud", expected one of debug, info`},
		{"list", []string{"OUTRIGGER_PROXY_LISTEN=127.0.0.1:1,8000"}, nil, `config OUTRIGGER_PROXY_LISTEN: found "8000", expected an address such as 127.0.0.1:8000 (fix: write 127.0.0.1:8000)`},
		{"misspelt", []string{"OUTRIGGER_LOG_LEVLE=info"}, nil, `config OUTRIGGER_LOG_LEVLE: found an unknown variable, expected the name of a setting (nearest: OUTRIGGER_LOG_LEVEL)`},
		{"servers", []string{"OUTRIGGER_PLUGIN_SERVERS=[{name: a,\n  comand: x}]"}, nil, `config OUTRIGGER_PLUGIN_SERVERS:2:3: plugin_servers[0].comand: found unknown key "comand", expected a key of a plugin server (nearest: command)`},
		{"servers syntax", []string{"OUTRIGGER_PLUGIN_SERVERS=[{"}, nil, `config OUTRIGGER_PLUGIN_SERVERS:1:3: found a mistake in the JSON or YAML syntax`},
		{"control", []string{"OUTRIGGER_NODE_ID=a\x01"}, nil, `config OUTRIGGER_NODE_ID: found the control character 0x01`},
		{"flag", nil, map[string]string{"listen": "x"}, `config --listen: found "x", expected an address such as 127.0.0.1:8000`},
		{"flag by setting", nil, map[string]string{"log_level": "x"}, `config --log-level: found "x", expected one of debug`},
		{"unknown flag", nil, map[string]string{"listn": "x"}, `config --listn: found an unknown flag, expected the name of a setting (nearest: listen)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := LoadSettings("", c.env, c.flags)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	env := []string{"OUTRIGGER_PORT=tcp://10.0.0.1:80", "OUTRIGGER_PORT_8000_TCP=x", "OUTRIGGER_PLUGIN=82f1", "OUTRIGGER_SERVER=go", "OUTRIGGER_LIFELINE_FD=3", "OUTRIGGER_LOG_LEVEL", "=x", ""}
	if _, err := LoadSettings("", env, nil); err != nil {
		t.Errorf("variables that are no settings: %v", err)
	}
}

// TestErrorsAreSorted wants the order of the file, whatever order they were found in.
func TestErrorsAreSorted(t *testing.T) {
	_, err := Parse("g.yaml", []byte("_format_version: '3.0'\nplugins: [{name: a, route: x}]\nroutes: [{paths: [a]}, {paths: [/], service: y}]\nfrobs: 1\n"))
	errs, _ := err.(Errors)
	var lines []int
	for _, e := range errs {
		lines = append(lines, e.Line)
	}
	if !slices.Equal(lines, []int{2, 3, 3, 4}) {
		t.Errorf("lines %v of\n%v", lines, err)
	}
}
