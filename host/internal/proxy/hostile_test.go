package proxy

import (
	"slices"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/guard"
	"github.com/outrigger-gateway/outrigger/host/internal/wirecorpus"
)

// corpusServer is how the corpus wants a server to be bounded.
var corpusServer = ServerOptions{
	Limits:        guard.Limits{Head: 16 << 10, URI: 8 << 10, Line: 8 << 10, Fields: 100, Trailer: 8 << 10},
	HeaderTimeout: patience, BodyTimeout: patience, IdleTimeout: patience, WriteTimeout: patience,
}

// Every case of the corpus gets the answers that it should, and the service hears what it should, in whatever pieces the bytes come.
func TestHostileRequests(t *testing.T) {
	cases, err := wirecorpus.Requests()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 150 {
		t.Errorf("%d cases, expected at least 150", len(cases))
	}
	service, err := wirecorpus.NewService()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Close)
	g := start(t, echo, corpusConfig(service.Addr), nil)
	addr := serveAlso(t, g, corpusServer)
	for i := range cases {
		c := &cases[i]
		t.Run(c.ID(), func(t *testing.T) {
			began := time.Now()
			got, err := wirecorpus.Probe(addr, c, patience)
			if err != nil {
				t.Fatal(err)
			}
			want := c.Want
			if last := want[len(want)-1]; last >= 400 && last != 404 { // a refusal ends the connection
				want = append(slices.Clone(want), 0)
			}
			if got.Silent || !slices.Equal(got.Statuses, want) {
				t.Errorf("answers %v, silent %t, expected %v; sent was %q", got.Statuses, got.Silent, want, shortened(c.Bytes))
			}
			var served []string
			for _, s := range c.Served {
				b, err := wirecorpus.Unescape(s)
				if err != nil {
					t.Fatal(err)
				}
				served = append(served, string(b))
			}
			if heard := service.Take(); !slices.Equal(heard, served) {
				t.Errorf("the service got %.200q, expected %.200q", heard, served)
			}
			if took := time.Since(began); took > patience/2 {
				t.Errorf("it took %v: something was waited for", took)
			}
		})
	}
}

func shortened(b []byte) []byte { return b[:min(len(b), 300)] }
