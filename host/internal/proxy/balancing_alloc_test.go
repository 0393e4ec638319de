//go:build !race

package proxy

import (
	"net"
	"strings"
	"testing"
)

// The upstream takes nothing more from memory than a service without one.
func TestBalancingTakesNoMemory(t *testing.T) {
	address := fixedUpstream(t)
	cost := func(text string) float64 {
		g := start(t, echo, text, nil)
		conn, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		request := []byte("GET / HTTP/1.1\r\nHost: shop.example\r\nX-Key: k\r\n\r\n")
		buf := make([]byte, 16<<10)
		return testing.AllocsPerRun(200, func() {
			if _, err := conn.Write(request); err != nil {
				t.Fatal(err)
			}
			for n := 0; !strings.HasSuffix(string(buf[:n]), "hello, world"); {
				m, err := conn.Read(buf[n:])
				if err != nil {
					t.Fatal(err)
				}
				n += m
			}
		})
	}
	direct := cost(strings.Replace(pooled("slots: 10", address), "host: pool", "url: http://"+address, 1))
	for _, fields := range []string{"algorithm: round-robin", "algorithm: latency", "hash_on: header, hash_on_header: X-Key", "healthchecks: {passive: {unhealthy: {tcp_failures: 3}}}", "retry_on: [502, 503, 504]"} {
		if balanced := cost(pooled(fields, address)); balanced > direct {
			t.Errorf("%s: %v allocations per request, %v without an upstream", fields, balanced, direct)
		}
	}
}
