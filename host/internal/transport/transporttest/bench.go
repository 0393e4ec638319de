package transporttest

import (
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// ListenEcho runs a msgpack server that answers each call with four header operations, on the goroutine that reads: what a plugin
// server costs at least. Frames that one read brought are answered with one write.
func ListenEcho(t testing.TB) (network, address string) {
	t.Helper()
	address = filepath.Join(t.TempDir(), "e.sock")
	ln, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { ServeEcho(ln) })
	t.Cleanup(func() {
		_ = ln.Close()
		running.Wait()
	})
	return "unix", address
}

// ServeEcho is the server of ListenEcho. It returns when the listener and all lanes are closed.
func ServeEcho(ln net.Listener) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		running.Go(func() {
			defer conn.Close()
			echoConn(conn)
		})
	}
}

func echoConn(conn net.Conn) {
	if _, _, err := wire.ReadGreeting(conn); err != nil {
		return
	}
	out := wire.AppendServerHello(wire.BeginFrame(nil), &Hello)
	wire.EndFrame(out, 0, 0, wire.TypeHello)
	outcome := SampleOutcome()
	var (
		r     = wire.NewReader(conn)
		slots wire.SlotTable
		call  wire.Call
		keep  wire.Body
	)
	for {
		if !r.Buffered() {
			if _, err := conn.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
		f, body, err := r.Next()
		if err != nil {
			return
		}
		switch f.Type {
		case wire.TypeCall:
			if err := wire.DecodeCall(body, nil, &slots, &call); err != nil {
				return
			}
			start := len(out)
			out = wire.AppendOutcome(wire.BeginFrame(out), outcome)
			wire.EndFrame(out, start, f.Call, wire.TypeOutcome)
		case wire.TypeEntity:
			slot, e, err := wire.DecodeEntity(keep.Keep(body))
			if err != nil || slots.Set(slot, e) != nil {
				return
			}
		}
	}
}

// SampleOutcome is four header operations, about 140 bytes.
func SampleOutcome() *wire.Outcome {
	return &wire.Outcome{Ops: []wire.Op{
		{Code: wire.OpServiceRequestSetHeader, Name: "X-Hello-Go", Values: []string{"hello, world"}},
		{Code: wire.OpServiceRequestClearHeader, Name: "Authorization"},
		{Code: wire.OpResponseSetHeader, Name: "X-Hello-Go", Values: []string{"hello, world"}},
		{Code: wire.OpResponseAddHeader, Name: "X-Request-Start", Values: []string{"1767225600123"}},
	}}
}

// Benchmark measures calls with 12 headers over a lane, by 1 and by 64 callers.
func Benchmark(b *testing.B, l transport.Lane) {
	defer l.Close("done", "")
	route, service, consumer := Entity("r"), Entity("s"), Entity("c")
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			b.ReportAllocs()
			before := cpuTime()
			var wg sync.WaitGroup
			for w := range callers {
				wg.Go(func() {
					c := SampleCall(12)
					c.Route, c.Service, c.Consumer = route, service, consumer
					var out wire.Outcome
					for i := w; i < b.N; i += callers {
						c.TimeoutMS = 1000
						if err := l.Call(c, time.Now().Add(time.Second), nil, &out); err != nil || len(out.Ops) != 4 {
							b.Errorf("got %v, %+v", err, out)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpuTime is what this process has used, in user and system mode: it says more than the clock on a busy machine.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
