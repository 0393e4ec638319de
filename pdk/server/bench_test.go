package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// quick is the plugin of the benchmarks: one header read, one set.
type quick struct{}

func (quick) Access(k *pdk.PDK) error {
	v, _ := k.Request.GetHeader("X-Name")
	return k.ServiceRequest.SetHeader("X-Mark", v)
}

var quickPlugin = pdk.Plugin{Name: "probe", Version: "1", New: func() any { return &quick{} }}

// pump keeps calls in flight on one lane and counts outcomes. It allocates nothing itself.
type pump struct {
	conn   net.Conn
	frames *wire.Reader
	frame  []byte // of a call
	buf    []byte
	id     uint32
}

func newPump(b testing.TB, f *fixture) *pump {
	b.Helper()
	d, err := f.client.Describe(context.Background(), &pluginv1.DescribeRequest{})
	if err != nil {
		b.Fatal(err)
	}
	plane := dataPlane(b, d)
	conn, err := net.Dial(plane.Network, plane.Address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	greeting := wire.AppendFrame(wire.AppendGreeting(nil, plane.Token), 0, wire.TypeHello, wire.AppendHostHello(nil, &plainHello))
	if _, err := conn.Write(greeting); err != nil {
		b.Fatal(err)
	}
	p := &pump{conn: conn, frames: wire.NewReader(conn)}
	if _, _, err := p.frames.Next(); err != nil {
		b.Fatal(err)
	}
	c := newCall(1, "host", "gw.test", "user-agent", "bench/1.0 (something of the usual length)", "accept", "*/*", "accept-encoding", "gzip, br",
		"accept-language", "en-GB,en;q=0.9", "cache-control", "no-cache", "cookie", "session=0123456789abcdef0123456789abcdef; theme=dark",
		"referer", "http://gw.test:8000/somewhere/else", "x-request-id", "0123456789abcdef", "x-forwarded-for", "10.0.0.9", "x-name", "Ada")
	p.frame = callFrames(0, c, wire.Slots{})
	return p
}

func (p *pump) send(n int) error {
	p.buf = p.buf[:0]
	for range n {
		p.id++
		start := len(p.buf)
		p.buf = append(p.buf, p.frame...)
		binary.BigEndian.PutUint32(p.buf[start+4:], p.id)
	}
	_, err := p.conn.Write(p.buf)
	return err
}

// run makes n calls, at most width in flight.
func (p *pump) run(n, width int) error {
	sent := min(n, width)
	if err := p.send(sent); err != nil {
		return err
	}
	for got, ready := 0, 0; got < n; {
		f, body, err := p.frames.Next()
		if err != nil {
			return err
		}
		if f.Type != wire.TypeOutcome || body[1] != 0 {
			return fmt.Errorf("found a %s frame %x", f.Type, body)
		}
		got++
		ready++
		if !p.frames.Buffered() || ready == width {
			more := min(ready, n-sent)
			ready = 0
			sent += more
			if more > 0 {
				if err := p.send(more); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func bench(b *testing.B, width int) {
	f := start(b, "msgpack", quickPlugin)
	f.configure(1, `{}`)
	p := newPump(b, f)
	if err := p.run(1000, width); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	if err := p.run(b.N, width); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkOneCaller(b *testing.B)         { bench(b, 1) }
func BenchmarkSixteenCallers(b *testing.B)    { bench(b, 16) }
func BenchmarkSixtyFourCallers(b *testing.B)  { bench(b, 64) }
func BenchmarkManyCallersAtOnce(b *testing.B) { bench(b, 512) }
