package balancer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
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

// Vectors of the reference implementation.
func TestXXH32(t *testing.T) {
	for text, want := range map[string]uint32{
		"": 0x02cc5d05, "a": 0x550d7456, "abc": 0x32d153ff, "Nobody inspects the spammish repetition": 0xe2293b2f,
	} {
		if got := xxh32([]byte(text)); got != want {
			t.Errorf("%q: %08x, want %08x", text, got, want)
		}
	}
}

func owners(t *testing.T, b *Balancer, keys int) []string {
	t.Helper()
	list := make([]string, keys)
	for i := range list {
		c := choice()
		c.Hash = Hash(fmt.Append(nil, "key ", i))
		p := choose(t, b, c)
		list[i] = p.Address()
		b.Release(p)
	}
	return list
}

// The ring is the same however the targets are listed; a target that comes or goes moves its share of the keys alone; a target that is down gives
// its keys to others and gets them back.
func TestConsistentHashing(t *testing.T) {
	const keys = 4000
	hashing := func(targets ...any) *Balancer {
		u := upstream("consistent-hashing", targets...)
		u.Slots = 10000
		u.Health.Passive.Unhealthy.TCP = 1
		return start(t, u, Options{})
	}
	b := hashing("10.0.0.1:1", 100, "10.0.0.2:1", 100, "10.0.0.3:1", 100, "10.0.0.4:1", 200)
	before := owners(t, b, keys)
	if got := owners(t, hashing("10.0.0.4:1", 200, "10.0.0.2:1", 100, "10.0.0.1:1", 100, "10.0.0.3:1", 100), keys); !slices.Equal(got, before) {
		t.Error("another order of the targets gives another ring")
	}
	count := map[string]int{}
	for _, o := range before {
		count[o]++
	}
	for address, n := range count {
		share := 0.2
		if address == "10.0.0.4:1" {
			share = 0.4
		}
		if math.Abs(float64(n)/keys-share) > 0.07 {
			t.Errorf("%s has %d of %d keys, want about %v", address, n, keys, share)
		}
	}
	down := place(t, b, "10.0.0.2:1")
	b.Report(down, Outcome{Failed: true})
	moved := owners(t, b, keys)
	for i, o := range moved {
		if o == "10.0.0.2:1" || o != before[i] && before[i] != "10.0.0.2:1" {
			t.Fatalf("key %d went from %s to %s although only 10.0.0.2 is down", i, before[i], o)
		}
	}
	b.SetHealth("10.0.0.2:1", true)
	if !slices.Equal(owners(t, b, keys), before) {
		t.Error("the keys did not come back")
	}
	fewer, changed := owners(t, hashing("10.0.0.1:1", 100, "10.0.0.3:1", 100, "10.0.0.4:1", 200), keys), 0
	for i := range fewer {
		if before[i] != "10.0.0.2:1" && fewer[i] != before[i] {
			changed++
		}
	}
	if changed > keys/10 {
		t.Errorf("%d of %d keys of others moved when a target went", changed, keys)
	}
}

// More points than positions: every place still has some.
func TestCrowdedRing(t *testing.T) {
	u := upstream("consistent-hashing")
	for i := range 40 {
		u.Targets = append(u.Targets, &entity.Target{Target: fmt.Sprintf("10.0.0.%d:1", i), Weight: 1 + 1000*(i%2)})
	}
	u.Slots = 10
	r := start(t, u, Options{}).view.Load().ring
	owners := map[string]bool{}
	for _, p := range r.points {
		owners[p.place.Host] = true
	}
	if r.size != smallestRing || len(r.points) > smallestRing || len(owners) != 40 {
		t.Errorf("ring of %d with %d points of %d places", r.size, len(r.points), len(owners))
	}
}
