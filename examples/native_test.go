package examples

import (
	"strings"
	"testing"
)

// The same plugin value runs inside the gateway and in a plugin server: the same source, the same configuration, the same answers.
func TestNativeAndExternal(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	entities := routes(up.URL, route("/plain", "{name: hello-go}"), route("/set", "{name: hello-go, config: {greeting: Ahoy, name: crew}}"))
	native := launch{binary: built.native, settings: settings{}, entities: entities}.start(t)
	external := launch{binary: built.plain, settings: settings{"plugin_servers": []server{exampleServer("go", "msgpack")}}, entities: entities}.start(t)
	if n := len(native.serverPIDs(t, "go")); n != 0 {
		t.Fatalf("the native gateway has %d plugin servers", n)
	}
	for _, path := range []string{"/plain", "/set"} {
		for _, headers := range [][]string{
			nil, {"X-Name", "Ada"}, {"X-Name", "Ada", "X-Mood", "glad"}, {"X-Name", ""}, {"X-Name", "Zo\xeb", "X-Name", "second"}, {"x_name", "underscore"},
		} {
			a, b := native.get(t, path, headers...), external.get(t, path, headers...)
			found, expected := answerOf(t, a), answerOf(t, b)
			if found != expected || !strings.Contains(found, "X-Hello-Go") {
				t.Errorf("%s %q: natively\n%s\nexternally\n%s", path, headers, found, expected)
			}
		}
	}
	// Its schema is held against the configuration in both cases, in the same words.
	bad := routes(up.URL, route("/", "{name: hello-go, config: {greeting: ''}}"))
	a, b := native.hup(t, bad), external.hup(t, bad)
	if cutPath(a) != cutPath(b) || a.text("msg") != reloadRefused {
		t.Errorf("natively %v\nexternally %v", a, b)
	}
}

// answerOf is what an answer says, without what differs between any two requests.
func answerOf(t *testing.T, a *answer) string {
	t.Helper()
	a.want(t, 200)
	e := a.echo(t)
	for _, name := range []string{"x-kong-request-id", "x-forwarded-port"} {
		delete(e.Headers, name)
	}
	for _, name := range []string{"Date", "Content-Length"} {
		a.header.Del(name)
	}
	for name := range a.header {
		if strings.HasPrefix(name, "X-Kong-") {
			a.header.Del(name)
		}
	}
	return strings.Join([]string{(&answer{status: a.status, header: a.header}).String(), strings.Join(e.Headers["x-hello-go"], "|"), e.URI, e.Method, strings.Join(e.Headers["x-name"], "|")}, "\n")
}

// cutPath is the error of a log line without the directory of the file.
func cutPath(l line) string {
	_, rest, _ := strings.Cut(l.text("error"), "gateway.yaml:")
	return rest
}
