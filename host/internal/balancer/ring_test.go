package balancer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/resolve"
)

// The ring is the same on every node and in every version of the gateway: while a cluster changes from one to the next, and behind it, a client goes on to
// its target. Who changes what is pinned here sends all clients elsewhere once.
func TestRingIsPinned(t *testing.T) {
	dns := &names{answers: map[string][]resolve.Record{}}
	dns.set("a.test", "10.0.1.1", "2001:db8::7")
	u := upstream("consistent-hashing", "10.0.0.1:8080", 100, "10.0.0.2:8080", 300, "[2001:db8::1]:9000", 100, "a.test:80", 50, "10.0.0.9:1", 0)
	u.Slots = 10000
	b := start(t, u, Options{Resolver: dns})
	choose(t, b, choice())
	r := b.view.Load().ring
	sum := sha256.New()
	count := map[string]int{}
	for _, p := range r.points {
		fmt.Fprintln(sum, p.at, p.place.Address())
		count[p.place.Address()]++
	}
	const want = "802b3319f4de51c754989cb14f211c89c7f2551aa9c30b1eeebfbca2fc6d692e"
	if got := hex.EncodeToString(sum.Sum(nil)); got != want || r.size != 10000 {
		t.Errorf("the ring of %d positions has the sum %s, want %s", r.size, got, want)
	}
	for address, want := range map[string]int{"10.0.0.1:8080": 133, "10.0.0.2:8080": 400, "[2001:db8::1]:9000": 133, "10.0.1.1:80": 66, "[2001:db8::7]:80": 66} {
		if count[address] != want { // 160 for each of five targets, by weight
			t.Errorf("%s has %d points, want %d", address, count[address], want)
		}
	}
	for key, want := range map[string]string{
		"": "10.0.0.2:8080", "ann": "[2001:db8::7]:80", "bob": "10.0.0.2:8080", "203.0.113.7": "10.0.0.2:8080", "/orders/17": "[2001:db8::1]:9000", "6f1f5c2e-2a3f-4c57-9b60-2f2a1f1b7a10": "10.0.0.1:8080",
	} {
		c := choice()
		c.Hash = Hash([]byte(key))
		p := choose(t, b, c)
		if b.Release(p); p.Address() != want {
			t.Errorf("%q goes to %s, want %s", key, p.Address(), want)
		}
	}
}
