package examples

import "testing"

// TestLintShipped expects nothing to be found in the entities that are shipped.
func TestLintShipped(t *testing.T) {
	t.Parallel()
	l := launch{settings: settings{"plugin_servers": exampleServers("msgpack")}, entities: readShipped(t, "gateway.yaml")}
	g, args := l.files(t)
	if r := command(t, g.dir, l.env, append([]string{"lint", "--strict"}, args...)...); r.code != 0 || r.out != "no findings\n" {
		t.Errorf("found code %d, standard output %q, standard error:\n%s", r.code, r.out, r.err)
	}
}
