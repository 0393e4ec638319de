//go:build !race

package local

import (
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// TestAllocations holds the hot functions of a warm session at zero.
func TestAllocations(t *testing.T) {
	r := newTester().target("/p?a=1&b=2").headers("x-a", "1", "x-b", "2", "user-agent", "test", "accept", "*/*")
	r.facts.HasResponse, r.facts.HasServiceResponse = true, true
	r.facts.Response = wire.Response{Status: 200, Headers: []wire.Header{{Name: "Vary", Value: "a"}}}
	r.facts.Route = &wire.Entity{ID: "r", Value: &pdk.Route{ID: "r", Protocols: []string{"http", "https"}}}
	r.node.LogLevel = 3
	for name, c := range map[string]struct {
		phase pdk.Phase
		call  func(k *pdk.PDK)
	}{
		"request.get_header":         {pdk.PhaseAccess, func(k *pdk.PDK) { k.Request.GetHeader("Accept") }},
		"request.get_path":           {pdk.PhaseAccess, func(k *pdk.PDK) { k.Request.GetPath() }},
		"request.get_method":         {pdk.PhaseAccess, func(k *pdk.PDK) { k.Request.GetMethod() }},
		"request.get_query_arg":      {pdk.PhaseAccess, func(k *pdk.PDK) { k.Request.GetQueryArg("b") }},
		"request.get_raw_query":      {pdk.PhaseAccess, func(k *pdk.PDK) { k.Request.GetRawQuery() }},
		"client.get_ip":              {pdk.PhaseAccess, func(k *pdk.PDK) { k.Client.GetIP() }},
		"client.get_consumer":        {pdk.PhaseAccess, func(k *pdk.PDK) { k.Client.GetConsumer() }},
		"service.request.set_header": {pdk.PhaseAccess, func(k *pdk.PDK) { _ = k.ServiceRequest.SetHeader("x-a", "2") }},
		"service.request.set_method": {pdk.PhaseAccess, func(k *pdk.PDK) { _ = k.ServiceRequest.SetMethod("PUT") }},
		"response.set_header":        {pdk.PhaseResponse, func(k *pdk.PDK) { _ = k.Response.SetHeader("x-c", "2") }},
		"response.get_header":        {pdk.PhaseResponse, func(k *pdk.PDK) { k.Response.GetHeader("vary") }},
		"response.get_status":        {pdk.PhaseResponse, func(k *pdk.PDK) { k.Response.GetStatus() }},
		"plugin.get_id":              {pdk.PhaseAccess, func(k *pdk.PDK) { k.Plugin.GetID() }},
		"cluster.get_id":             {pdk.PhaseAccess, func(k *pdk.PDK) { k.Cluster.GetID() }},
		"nginx.req_start_time":       {pdk.PhaseAccess, func(k *pdk.PDK) { k.Nginx.ReqStartTime() }},
		"client.get_protocol":        {pdk.PhaseAccess, func(k *pdk.PDK) { _, _ = k.Client.GetProtocol(true) }},
		"ctx.plugin.get of nothing":  {pdk.PhaseAccess, func(k *pdk.PDK) { k.CtxPlugin.Get("x") }},
		"log.inspect below it":       {pdk.PhaseAccess, func(k *pdk.PDK) { k.Log.Inspect("x") }},
		"log below the level":        {pdk.PhaseAccess, func(k *pdk.PDK) { k.Log.Debug("x") }},
	} {
		t.Run(name, func(t *testing.T) {
			r.call.Facts, r.call.Phase = r.facts, c.phase.Code()
			s := Begin(&r.call, &r.node, &r.host)
			defer s.Release()
			k := s.PDK()
			c.call(k)
			if n := testing.AllocsPerRun(50, func() { c.call(k) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
	t.Run("request.get_headers", func(t *testing.T) {
		own := newTester().headers("Host", "a", "User-Agent", "test", "Accept", "*/*", "X-A", "1")
		own.call.Facts, own.call.Phase = own.facts, pdk.PhaseAccess.Code()
		s := Begin(&own.call, &own.node, &own.host)
		defer s.Release()
		k := s.PDK()
		if n := testing.AllocsPerRun(50, func() { _, _ = k.Request.GetHeaders(-1) }); n > 2 {
			t.Errorf("%v allocations, expected one for the names and one for the list", n)
		}
	})
	t.Run("whole call", func(t *testing.T) {
		h := handlers(pdk.PhaseAccess, hot)
		r.call.Facts, r.call.Phase = r.facts, pdk.PhaseAccess.Code()
		if n := testing.AllocsPerRun(200, func() { r.once(h) }); n > 0.5 {
			t.Errorf("%v allocations", n)
		}
	})
}

func hot(k *pdk.PDK) error {
	if v, ok := k.Request.GetHeader("x-a"); ok {
		return k.ServiceRequest.SetHeader("x-c", v)
	}
	return nil
}

func (r *tester) once(h *pdk.Handlers) {
	s := Begin(&r.call, &r.node, &r.host)
	s.Run(h, &r.out)
	s.Release()
}

func BenchmarkSession(b *testing.B) {
	r := newTester().headers("host", "a", "user-agent", "test", "accept", "*/*", "x-b", "2", "x-c", "2", "x-d", "2", "x-a", "1")
	r.call.Facts, r.call.Phase = r.facts, pdk.PhaseAccess.Code()
	h := handlers(pdk.PhaseAccess, hot)
	b.ReportAllocs()
	for b.Loop() {
		r.once(h)
	}
}

func BenchmarkGetHeader(b *testing.B) {
	r := newTester().headers("host", "a", "user-agent", "test", "accept", "*/*", "x-b", "2", "x-c", "2", "x-d", "2", "x-a", "1")
	r.call.Facts, r.call.Phase = r.facts, pdk.PhaseAccess.Code()
	s := Begin(&r.call, &r.node, &r.host)
	defer s.Release()
	k := s.PDK()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := k.Request.GetHeader("X-A"); !ok {
			b.Fatal("not found")
		}
	}
}
