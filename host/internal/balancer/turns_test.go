package balancer

import (
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/resolve"
)

// Turns go on where they were when the name servers say again what they have said before: answers of a short TTL would else undo the shares.
func TestTurnsOutliveAnswers(t *testing.T) {
	for _, algorithm := range []string{"", "least-connections"} {
		dns := &names{answers: map[string][]resolve.Record{}, ttl: time.Hour}
		dns.set("a.test", "10.0.0.1", "10.0.0.2")
		b := start(t, upstream(algorithm, "a.test:80", 100), Options{Resolver: dns})
		before := ""
		for i := range 40 {
			p := choose(t, b, choice())
			b.Release(p)
			if p.Host == before {
				t.Fatalf("%q: choice %d is %s once more", algorithm, i, p.Host)
			}
			before = p.Host
			target := b.targets[0]
			b.learn(target, target.answer, nil)
		}
	}
}
