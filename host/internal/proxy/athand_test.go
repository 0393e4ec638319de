package proxy

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// watch is told of the calls of native plugins.
type watch func(c *dispatch.Call)

func (w watch) Before(c *dispatch.Call) error               { w(c); return nil }
func (watch) Asked(*dispatch.Call, *wire.Ask, *wire.Answer) {}
func (watch) After(*dispatch.Call)                          {}

// A body that is said to be at hand can be had without waiting for the client.
func TestRequestBodyAtHand(t *testing.T) {
	body := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name, head, first, rest string
		want                    bool
	}{
		{"none", "GET /api HTTP/1.1\r\nHost: x\r\n", "", "", true},
		{"empty", "POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n", "", "", true},
		{"all of it came with the head", "POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n", "abcde", "", true},
		{"a part of it came", "POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n", "abc", "de", false},
		{"long", "POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n", body(99999), "x", false},
		{"chunked", "POST /api HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n", "3\r\nabc\r\n", "0\r\n\r\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var complete atomic.Bool
			called, found := make(chan struct{}), false
			look := watch(func(call *dispatch.Call) {
				if call.Phase == pdk.PhaseAccess {
					found = call.Exchange.AtHand(pdk.AskRequestGetRawBody)
					if found && !complete.Load() {
						t.Error("it is at hand before it was sent")
					}
					close(called)
				}
			})
			read := &access{func(k *pdk.PDK) error { _, err := k.Request.GetRawBody(); return err }}
			g := start(t, echo, plain+"plugins: [{name: read}]\n", []pdk.Plugin{plugin("read", 1, read)}, func(o *Options) { o.Dispatcher.Watchers = []dispatch.Interceptor{look} })
			conn, err := net.Dial("tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			if c.rest == "" {
				complete.Store(true)
			}
			if _, err := io.WriteString(conn, c.head+"Connection: close\r\n\r\n"+c.first); err != nil {
				t.Fatal(err)
			}
			<-called
			complete.Store(true)
			if _, err := io.WriteString(conn, c.rest); err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(conn)
			if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 200") {
				t.Errorf("%v %.100q", err, text)
			}
			if found != c.want {
				t.Errorf("at hand: %t", found)
			}
		})
	}
}
