package examples

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shipped starts the gateway with the configuration of make run. Only ports, the carrier and places are other ones, and the log is in a form
// that the tests can read.
func shipped(t *testing.T, carrier string) *gateway {
	t.Helper()
	here := filepath.Join(built.repo, "examples")
	text := readShipped(t, "outrigger.yaml",
		"127.0.0.1:8000", "127.0.0.1:0", "127.0.0.1:8090", "127.0.0.1:0", "../bin/examples-go", built.goExamples,
		"  - name: ", fmt.Sprintf("  - carrier: %s\n    working_dir: %s\n    name: ", carrier, here))
	entities := readShipped(t, "gateway.yaml")
	g := launch{text: text, entities: entities, args: []string{"--log-level", "info", "--log-format=json"}}.start(t)
	// The port of the echo upstream is known now.
	hint := g.out.wait(t, 0, "the address of the echo upstream", func(l line) bool { return strings.HasPrefix(l.text("text"), "echo upstream on ") })
	address, _, _ := strings.Cut(strings.TrimPrefix(hint.text("text"), "echo upstream on "), ";")
	g.reload(t, strings.ReplaceAll(entities, "127.0.0.1:8090", address))
	return g
}

// readShipped reads a file of this directory with replacements, each of which must be there.
func readShipped(t *testing.T, name string, pairs ...string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%s has no %q to replace", name, pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

func TestShipped(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			g := shipped(t, carrier)
			t.Run("hello", func(t *testing.T) { testHello(t, g) })
			t.Run("gate", func(t *testing.T) { testGate(t, g) })
			t.Run("stamp", func(t *testing.T) { testStamp(t, g) })
			t.Run("digest", func(t *testing.T) { testDigest(t, g) })
			t.Run("key", func(t *testing.T) { testKey(t, g) })
			t.Run("no plugins", func(t *testing.T) { testNoPlugins(t, g) })
		})
	}
}

func testHello(t *testing.T, g *gateway) {
	cases := []struct {
		headers []string
		tail    string
	}{
		{nil, ", world"},
		{[]string{"X-Name", "Ada"}, ", Ada"},
		{[]string{"X-Mood", "glad"}, ", world (glad)"},
		{[]string{"x-name", "Ada", "X-MOOD", "glad"}, ", Ada (glad)"},
		{[]string{"X-Name", ""}, ","}, // white space at the end of a header does not count
		{[]string{"X-Mood", ""}, ", world ()"},
		{[]string{"X-Name", "Zoë 漢字"}, ", Zoë 漢字"},
		{[]string{"X-Name", "first", "X-Name", "second"}, ", first"},
	}
	for _, c := range cases {
		a := g.get(t, "/hello", c.headers...).want(t, 200)
		e := a.echo(t)
		for _, l := range languages {
			text := "hello from " + l.name + c.tail
			a.wantHeader(t, "X-Hello-"+l.suffix, text)
			e.wantUpstream(t, "X-Hello-"+l.suffix, text)
		}
		if e.URI != "/hello" {
			t.Errorf("the upstream was asked for %q, expected /hello", e.URI)
		}
	}
}

func testGate(t *testing.T, g *gateway) {
	for _, l := range languages {
		path := "/gate/" + l.name
		a := g.get(t, path, "X-Deny", "1").want(t, 403)
		var found map[string]string
		if err := json.Unmarshal(a.body, &found); err != nil || found["plugin"] != "gatekeeper-"+l.name || found["message"] != "denied by gatekeeper" || len(found) != 2 {
			t.Errorf("%s: found %v, expected the JSON of the gatekeeper", path, a)
		}
		if !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
			t.Errorf("%s: Content-Type is %q", path, a.header.Get("Content-Type"))
		}
		if e := g.get(t, path).want(t, 200).echo(t); e.URI != "/" {
			t.Errorf("%s: the upstream was asked for %q, expected / because the route strips its path", path, e.URI)
		}
		g.get(t, path, "X-Deny", "2").want(t, 200)
		g.get(t, path, "X-Deny", "").want(t, 200)
	}
}

func testStamp(t *testing.T, g *gateway) {
	mark := g.log.mark()
	a := g.get(t, "/stamp").want(t, 200)
	for _, l := range languages {
		a.wantHeader(t, "X-Stamp-"+l.suffix, l.name)
	}
	if n := a.header.Get("Content-Length"); n != "" && n != fmt.Sprint(len(a.body)) {
		t.Errorf("Content-Length is %s, the body has %d bytes", n, len(a.body))
	}
	// The priority is the same: the last name comes first, and each filter sees what the one before it made.
	body := string(a.body)
	for _, name := range []string{"go", "js", "python"} {
		var ok bool
		if body, ok = strings.CutSuffix(body, "\n-- stamped by "+name+"\n"); !ok {
			t.Fatalf("found the body %q, expected the trailers of python, js and go at its end", a.body)
		}
	}
	if e := (&answer{body: []byte(body)}).echo(t); e.URI != "/" {
		t.Errorf("the upstream was asked for %q", e.URI)
	}
	id := a.header.Get("X-Kong-Request-Id")
	for _, l := range languages {
		found := g.log.waitFields(t, mark, "msg", "stamped GET /stamp 200", "plugin", "stamp-"+l.name)
		if !found.has("server", l.name, "request_id", id, "phase", "log", "level", "info") || found["instance"] == nil || found.text("record") == "" {
			t.Errorf("found the log line %v, expected server, record, instance, phase, and the request id %s", found, id)
		}
	}
}

func testDigest(t *testing.T, g *gateway) {
	a := g.get(t, "/digest/some?x=1").want(t, 200)
	sum := fmt.Sprintf("sha256=%x", sha256.Sum256(a.body))
	for _, l := range languages {
		a.wantHeader(t, "X-Digest-"+l.suffix, sum)
	}
}

func testKey(t *testing.T, g *gateway) {
	for _, headers := range [][]string{nil, {"apikey", "wrong"}, {"apikey", ""}} {
		a := g.get(t, "/key", headers...).want(t, 401)
		if a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("found %v, expected WWW-Authenticate", a)
		}
	}
	a := g.get(t, "/key", "apikey", "example-key", "X-Consumer-Username", "forged").want(t, 200)
	e := a.echo(t)
	e.wantUpstream(t, "X-Consumer-Username", "example")
	e.wantUpstream(t, "X-Added", "by request-transformer")
	a.wantHeader(t, "X-Added", "by response-transformer")
	id := a.header.Get("X-Correlation-Id")
	if id == "" {
		t.Errorf("found %v, expected X-Correlation-Id", a)
	}
	e.wantUpstream(t, "X-Correlation-Id", id)
}

func testNoPlugins(t *testing.T, g *gateway) {
	body := []byte("some body")
	a, err := g.do("POST", "/anything?x=1", body, "X-Deny", "1")
	if err != nil {
		t.Fatal(err)
	}
	e := a.want(t, 200).echo(t)
	if e.Method != "POST" || e.URI != "/anything?x=1" || e.Body != string(body) {
		t.Errorf("the upstream got %+v", e)
	}
	for name := range a.header {
		if strings.HasPrefix(name, "X-Hello") || strings.HasPrefix(name, "X-Stamp") || strings.HasPrefix(name, "X-Digest") {
			t.Errorf("header %s on a route without plugins", name)
		}
	}
	for name := range e.Headers {
		if strings.HasPrefix(name, "x-hello") || strings.HasPrefix(name, "x-rewritten") {
			t.Errorf("upstream header %s on a route without plugins", name)
		}
	}
}
