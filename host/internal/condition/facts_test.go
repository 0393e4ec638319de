package condition

import (
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// fakeFacts is an exchange that counts what is asked of it.
type fakeFacts struct {
	live     wire.Facts
	route    *entity.Route
	service  *entity.Service
	consumer *entity.Consumer
	groups   []wire.Group
	plugins  map[string]PluginState
	asked    map[string]int // nil: do not count
}

func (f *fakeFacts) ask(what string) {
	if f.asked != nil {
		f.asked[what]++
	}
}

func (f *fakeFacts) NeedRequest()           { f.ask("request") }
func (f *fakeFacts) LiveFacts() *wire.Facts { f.ask("facts"); return &f.live }
func (f *fakeFacts) MatchedRoute() *entity.Route {
	f.ask("route")
	return f.route
}

func (f *fakeFacts) MatchedService() *entity.Service {
	f.ask("service")
	return f.service
}

func (f *fakeFacts) AuthenticatedConsumer() *entity.Consumer {
	f.ask("consumer")
	return f.consumer
}

func (f *fakeFacts) AuthenticatedGroups() []wire.Group {
	f.ask("groups")
	return f.groups
}

func (f *fakeFacts) PluginState(name string) (PluginState, bool) {
	f.ask("plugins")
	s, ok := f.plugins[name]
	return s, ok
}

// full is the request of docs/guides/conditions.md.
func full(t testing.TB) *fakeFacts {
	f := &fakeFacts{
		route:    &entity.Route{ID: "3fd1eea1-885a-4011-b986-289943ff8177", Name: "orders", Tags: []string{"internal"}},
		service:  &entity.Service{ID: "2b8f6b0a-6d7e-4bb0-8b0f-1a1a4c9c7a11", Name: "shop"},
		consumer: &entity.Consumer{ID: "6d1f7e9a-2c55-4c1e-9df0-0a3e3a1b2c3d", Username: "ann", Tags: []string{"vip", "eu"}},
		groups:   []wire.Group{{ID: "8a1e", Name: "gold"}, {ID: "9b2f", Name: "staff"}},
		plugins: map[string]PluginState{
			"key_auth":      {Matched: true, Priority: 1250, AccessRan: true},
			"rate_limiting": {Matched: true, Priority: 910},
			"cors":          {},
		},
	}
	f.live.Request = wire.Request{
		Method: "POST", Scheme: "https", Host: "api.example.com", Port: 8443, HTTPVersion: 11,
		Target: "/api/v2//orders?tag=new&tag=paid&q=a+b%21&bare", Path: "/api/v2/orders", RawQuery: "tag=new&tag=paid&q=a+b%21&bare",
		Headers: []wire.Header{{Name: "Host", Value: "api.example.com"}, {Name: "X-Version", Value: "2"}, {Name: "X-Roles", Value: "editor"}, {Name: "x-roles", Value: "admin"}},
	}
	f.live.Client = wire.Client{IP: "10.0.0.7", Port: 40123, ForwardedIP: "203.0.113.9", ForwardedPort: 52000, Trusted: true}
	for key, value := range map[string]any{
		"flag": "enabled", "ready": true, "count": int64(3), "ratio": 0.5, "user": map[string]any{"roles": []any{"a", "b"}, "level": int64(7)},
	} {
		share(t, f, key, value)
	}
	return f
}

func share(t testing.TB, f *fakeFacts, key string, value any) {
	t.Helper()
	raw, err := wire.AppendValue(nil, value)
	if err != nil {
		t.Fatal(err)
	}
	f.live.Shared = append(f.live.Shared, wire.SharedValue{Key: key, Value: raw})
}

// bare is a request of nobody, without route and headers.
func bare() *fakeFacts {
	f := &fakeFacts{}
	f.live.Request = wire.Request{Method: "GET", Scheme: "http", Host: "localhost", Port: 8000, HTTPVersion: 20, Target: "/", Path: "/"}
	f.live.Client = wire.Client{IP: "::1", Port: 1}
	return f
}
