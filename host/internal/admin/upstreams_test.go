package admin

import (
	"fmt"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/balancer"
)

func (g *fakeGateway) Upstreams() []balancer.Status {
	return []balancer.Status{{Name: "pool", Health: "HEALTHY", Targets: []balancer.TargetStatus{
		{Target: "a.test:80", Addresses: []balancer.PlaceStatus{{Address: "10.0.0.1:80"}, {Address: "10.0.0.2:80"}}},
		{Target: "b.test:80", Addresses: []balancer.PlaceStatus{{Address: "10.0.0.3:80"}}},
	}}}
}

func (g *fakeGateway) SetHealth(upstream, target string, _ bool) bool {
	return upstream == "pool" && target == "10.0.0.1:80"
}

func TestUpstreamHealth(t *testing.T) {
	client := served(t, &fakeGateway{}, "127.0.0.1:0")
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/upstreams/pool/health", 200, "health:HEALTHY"},
		{"GET", "/upstreams/other/health", 404, "there is no upstream other"},
		{"PUT", "/upstreams/pool/targets/10.0.0.1:80/unhealthy", 200, "name:pool"},
		{"PUT", "/upstreams/pool/targets/10.0.0.1:80/healthy", 200, "name:pool"},
		{"PUT", "/upstreams/pool/targets/10.0.0.2:80/healthy", 404, "10.0.0.2:80; expected host:port"},
		{"PUT", "/upstreams/other/targets/10.0.0.1:80/healthy", 404, "other"},
		{"POST", "/upstreams/pool/targets/10.0.0.1:80/healthy", 200, "name:pool"},
		{"PUT", "/upstreams/pool/targets/a.test:80/10.0.0.1:80/healthy", 200, "name:pool"},
		{"POST", "/upstreams/pool/targets/a.test:80/10.0.0.1:80/unhealthy", 200, "name:pool"},
		{"PUT", "/upstreams/pool/targets/b.test:80/10.0.0.1:80/healthy", 404, "that has the address 10.0.0.1:80"},
		{"PUT", "/upstreams/other/targets/a.test:80/10.0.0.1:80/healthy", 404, "other"},
		{"DELETE", "/upstreams/pool/targets/10.0.0.1:80/healthy", 405, "expected PUT or POST"},
	} {
		if status, body := ask(t, client, c.method, c.path); status != c.status || !strings.Contains(fmt.Sprint(body), c.body) {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, body)
		}
	}
}
