package proxy

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/accesslog"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// fixedUpstream answers every request on a connection with the same bytes.
func fixedUpstream(tb testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 16<<10)
				for n := 0; ; {
					m, err := c.Read(buf[n:])
					if err != nil {
						return
					}
					if n += m; bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						n = 0
						if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nServer: fixed\r\nDate: Sun, 22 Nov 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello, world"); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// BenchmarkProxy is one request after another over loopback: it counts everything that the process allocates per request, client and
// upstream included, which allocate nothing.
func BenchmarkProxy(b *testing.B) {
	hello := access{func(k *pdk.PDK) error {
		name, _ := k.Request.GetHeader("X-Name")
		if _, ok := k.Request.GetHeader("X-Mood"); ok {
			return nil
		}
		if err := k.ServiceRequest.SetHeader("X-Hello", name); err != nil {
			return err
		}
		return k.Response.SetHeader("X-Hello", name)
	}}
	for _, c := range []struct {
		name, plugins string
		logs          bool
	}{
		{"no plugin", "", false},
		{"access log", "", true},
		{"native plugin", "plugins: [{name: hello}]\n", false},
	} {
		b.Run(c.name, func(b *testing.B) {
			text := strings.ReplaceAll(plain, "UPSTREAM", fixedUpstream(b)) + c.plugins
			g := start(b, echo, text, []pdk.Plugin{plugin("hello", 1, &hello)}, func(o *Options) {
				if c.logs {
					o.AccessLog, _ = logging(b, strings.Split(accesslog.Default, ", ")...)
				}
			})
			conn, err := net.Dial("tcp", g.addr)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			request := []byte("GET /api/orders?id=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nAccept-Language: en\r\nCookie: a=b\r\nX-Name: Ada\r\nX-A: 1\r\nX-B: 2\r\n\r\n")
			buf := make([]byte, 16<<10)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Write(request); err != nil {
					b.Fatal(err)
				}
				for n := 0; ; {
					m, err := conn.Read(buf[n:])
					if err != nil {
						b.Fatal(err)
					}
					if n += m; bytes.HasSuffix(buf[:n], []byte("hello, world")) {
						break
					}
				}
			}
		})
	}
}
