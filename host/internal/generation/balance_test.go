package generation

import (
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// A configuration that a plugin refuses changes nothing of the targets of the one that stays: not their health, and not who checks them.
func TestAFailedBuildLeavesTargetsAlone(t *testing.T) {
	s := &fakeServers{manifests: []entity.Manifest{manifest("a", false)}}
	b := newTestBuilder(t, s)
	t.Cleanup(b.Balancers.Close)
	const pool = "upstreams: [{name: pool, targets: [{target: \"10.0.0.1:1\"}]"
	g, err := buildDocument(b, pool+", healthchecks: {passive: {unhealthy: {tcp_failures: 1}}}}]\nplugins: [{name: a}]\n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.drained(g) })
	if !g.SetHealth("pool", "10.0.0.1:1", false) {
		t.Fatal("there is no such target")
	}
	s.refuse = "a"
	if _, err := buildDocument(b, pool+"}]\nplugins: [{name: a, config: {v: 2}}]\n"); err == nil {
		t.Fatal("the configuration is not refused")
	}
	if got := g.Balancing()[0].Health; got != "UNHEALTHY" {
		t.Errorf("the upstream is %s, expected UNHEALTHY as before", got)
	}
}
