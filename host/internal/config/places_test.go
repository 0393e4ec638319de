package config

import (
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

func TestPlaces(t *testing.T) {
	set, places, err := ParsePlaces("gateway.yaml", []byte(`
_format_version: "3.0"
services:
- name: s
  url: http://h.test
  routes:
  - name: r
    paths:
    - /a
    - /b
consumers: [{username: ann}]
upstreams: [{name: u}]
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		e      any
		inside []string
		path   string
		line   int
		col    int
	}{
		{set.Services[0], nil, "services[0]", 4, 3},
		{set.Services[0], []string{"host"}, "services[0].host", 4, 3},
		{set.Routes[0], nil, "services[0].routes[0]", 7, 5},
		{set.Routes[0], []string{"paths", "1"}, "services[0].routes[0].paths[1]", 10, 7},
		{set.Consumers[0], []string{"username"}, "consumers[0].username", 11, 24},
		{set.Upstreams[0], nil, "upstreams[0]", 12, 13},
	} {
		path, pos, ok := places.Find(c.e, c.inside...)
		if want := (entity.Pos{File: "gateway.yaml", Line: c.line, Col: c.col}); !ok || path != c.path || pos != want {
			t.Errorf("found %s at %s (%t), want %s at %s", path, pos, ok, c.path, want)
		}
	}
	if _, _, ok := places.Find(&entity.Route{}); ok {
		t.Error("found a route of another document")
	}
	if _, _, ok := (*Places)(nil).Find(set.Routes[0]); ok {
		t.Error("found a route without places")
	}
	if got := JoinPath(JoinPath("a", "x.y"), "0"); got != `a."x.y"[0]` {
		t.Errorf("path %s", got)
	}
}
