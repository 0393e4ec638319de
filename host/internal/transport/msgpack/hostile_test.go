package msgpack_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/msgpack"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/transporttest"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// listen runs serve for each connection to a unix socket. Connections are closed, and their goroutines waited for, at the end.
func listen(t testing.TB, serve func(conn net.Conn)) string {
	t.Helper()
	address := filepath.Join(t.TempDir(), "h.sock")
	ln, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			running.Go(func() { serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return address
}

func helloFrame() []byte {
	b := wire.AppendServerHello(wire.BeginFrame(nil), &transporttest.Hello)
	wire.EndFrame(b, 0, 0, wire.TypeHello)
	return b
}

func dial(t testing.TB, address string, o transport.Options) transport.Lane {
	t.Helper()
	o.Token = transporttest.Token
	l, err := msgpack.Dial(context.Background(), "unix", address, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close("done", "") })
	return l
}

// returnsBy runs calls that must all end with kind, soon after their deadline.
func returnsBy(t *testing.T, l transport.Lane, kind transport.ErrorKind, n int, timeout time.Duration, call func() *wire.Call) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			var out wire.Outcome
			start := time.Now()
			err := l.Call(call(), start.Add(timeout), nil, &out)
			if took := time.Since(start); transporttest.KindOf(err) != kind || took > timeout+transporttest.Patience {
				t.Errorf("got %v after %s", err, took)
			}
		})
	}
	wg.Wait()
}

func smallCall() *wire.Call { return transporttest.SampleCall(12) }

func largeCall() *wire.Call {
	c := transporttest.SampleCall(12)
	c.RequestBody, c.HasRequestBody = make([]byte, 4<<20), true
	return c
}

func TestDialFails(t *testing.T) {
	later := wire.AppendServerHello(wire.BeginFrame(nil), &wire.ServerHello{Version: 9})
	wire.EndFrame(later, 0, 0, wire.TypeHello)
	for name, c := range map[string]struct {
		serve func(net.Conn)
		kind  transport.ErrorKind
		want  string
	}{
		"silent":           {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, transport.Timeout, "no hello in time"},
		"half a hello":     {func(c net.Conn) { _, _ = c.Write(helloFrame()[:20]); _, _ = io.Copy(io.Discard, c) }, transport.Timeout, "no hello in time"},
		"closes":           {func(c net.Conn) { _ = c.Close() }, transport.Closed, ""},
		"refuses":          {func(c net.Conn) { _, _, _ = wire.ReadGreeting(c); _, _ = io.CopyN(io.Discard, c, 10); _ = c.Close() }, transport.Closed, ""},
		"goaway":           {func(c net.Conn) { _, _ = c.Write(goaway("not_ready", "later")) }, transport.Closed, "it refused: not_ready: later"},
		"another protocol": {func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, transport.BadFrame, "frame header"},
		"another version":  {func(c net.Conn) { _, _ = c.Write(later) }, transport.BadFrame, "version 9, expected 1"},
		"log first":        {func(c net.Conn) { _, _ = c.Write(wire.AppendFrame(nil, 0, wire.TypeLog, []byte{0x90})) }, transport.BadFrame, "log of 1 bytes came first"},
	} {
		t.Run(name, func(t *testing.T) {
			transporttest.NoLeaks(t)
			address := listen(t, c.serve)
			ctx, cancel := context.WithTimeout(context.Background(), transporttest.DialTime(c.kind))
			defer cancel()
			_, err := msgpack.Dial(ctx, "unix", address, nil, transport.Options{})
			if transporttest.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v (kind %d), want kind %d with %q", err, transporttest.KindOf(err), c.kind, c.want)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		_, err := msgpack.Dial(context.Background(), "unix", filepath.Join(t.TempDir(), "none.sock"), nil, transport.Options{})
		if transporttest.KindOf(err) != transport.Closed || !strings.Contains(err.Error(), "none.sock") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("wrong token", func(t *testing.T) {
		network, address := transporttest.Listen(t, func(*transporttest.Session) {})
		_, err := msgpack.Dial(context.Background(), network, address, nil, transport.Options{Token: []byte("guess")})
		if transporttest.KindOf(err) != transport.Closed || !strings.Contains(err.Error(), "wrong token or version") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cancelled before it connects", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		address := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		_, err := msgpack.Dial(ctx, "unix", address, nil, transport.Options{})
		if transporttest.KindOf(err) != transport.Timeout || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), context.Canceled.Error()) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("context cancelled", func(t *testing.T) {
		transporttest.NoLeaks(t)
		ctx, cancel := context.WithCancel(context.Background())
		address := listen(t, func(c net.Conn) { cancel(); _, _ = io.Copy(io.Discard, c) })
		if _, err := msgpack.Dial(ctx, "unix", address, nil, transport.Options{}); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
			t.Errorf("got %v", err)
		}
	})
}

func goaway(code, msg string) []byte {
	b := wire.AppendGoAway(wire.BeginFrame(nil), &wire.GoAway{Code: code, Message: msg})
	wire.EndFrame(b, 0, 0, wire.TypeGoAway)
	return b
}

// TestPeerThatNeverReads: callers return by their own deadlines, whoever of them is the writer, and so does Close.
func TestPeerThatNeverReads(t *testing.T) {
	transporttest.NoLeaks(t)
	address := listen(t, func(c net.Conn) { _, _ = c.Write(helloFrame()) })
	l := dial(t, address, transport.Options{})
	var wg sync.WaitGroup
	wg.Go(func() { returnsBy(t, l, transport.Timeout, 4, 2*time.Second, largeCall) }) // stuck senders
	transporttest.Eventually(t, "senders are under way", func() bool { return l.InFlight() > 0 })
	returnsBy(t, l, transport.Timeout, 100, 50*time.Millisecond, smallCall)
	returnsBy(t, l, transport.Timeout, 100, 20*time.Millisecond, smallCall)
	wg.Wait()
	if l.Err() != nil || l.InFlight() != 0 {
		t.Errorf("err %v, %d in flight", l.Err(), l.InFlight())
	}
	start := time.Now()
	_ = l.Close("done", "")
	if took := time.Since(start); took > transporttest.Patience {
		t.Errorf("Close took %s", took)
	}
}

// TestPeerThatReadsLater: a lane that was stuck works again, and calls that were given up meanwhile do no harm.
func TestPeerThatReadsLater(t *testing.T) {
	transporttest.NoLeaks(t)
	gate := make(chan struct{})
	address := listen(t, func(c net.Conn) {
		if _, _, err := wire.ReadGreeting(c); err != nil {
			return
		}
		_, _ = c.Write(helloFrame())
		<-gate
		r := wire.NewReader(c)
		for {
			f, _, err := r.Next()
			if err != nil {
				return
			}
			if f.Type == wire.TypeCall {
				_, _ = c.Write(wire.AppendFrame(nil, f.Call, wire.TypeOutcome, wire.AppendOutcome(nil, &wire.Outcome{})))
			}
		}
	})
	l := dial(t, address, transport.Options{})
	returnsBy(t, l, transport.Timeout, 3, 100*time.Millisecond, largeCall)
	returnsBy(t, l, transport.Timeout, 300, 50*time.Millisecond, smallCall)
	close(gate)
	for range 20 {
		var out wire.Outcome
		if err := l.Call(smallCall(), transporttest.Soon(), nil, &out); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPeerThatStopsInAFrame: half of an outcome, then nothing.
func TestPeerThatStopsInAFrame(t *testing.T) {
	transporttest.NoLeaks(t)
	address := listen(t, func(c net.Conn) {
		_, _ = c.Write(helloFrame())
		header := make([]byte, wire.HeaderSize)
		wire.PutFrame(header, wire.Frame{Length: 1000, Call: 1, Type: wire.TypeOutcome})
		_, _ = c.Write(append(header, 0x94))
		_, _ = io.Copy(io.Discard, c)
	})
	l := dial(t, address, transport.Options{})
	returnsBy(t, l, transport.Timeout, 10, 50*time.Millisecond, smallCall)
}

// TestFrameThatDoesNotEnd: a header of a large frame, and then only what goes on as before. The lane looks alive, and must not live.
func TestFrameThatDoesNotEnd(t *testing.T) {
	transporttest.NoLeaks(t)
	stop := make(chan struct{})
	address := listen(t, func(c net.Conn) {
		_, _ = c.Write(helloFrame())
		header := make([]byte, wire.HeaderSize)
		wire.PutFrame(header, wire.Frame{Length: 8 << 20, Type: wire.TypeOutcome})
		_, _ = c.Write(header)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				if _, err := c.Write(goaway("x", "y")); err != nil {
					return
				}
			}
		}
	})
	t.Cleanup(func() { close(stop) })
	l := dial(t, address, transport.Options{FrameTime: 100 * time.Millisecond})
	select {
	case <-l.Done():
		if err := l.Err(); err == nil || !strings.Contains(err.Error(), "did not arrive within 100ms") {
			t.Errorf("the lane ended with %v", err)
		}
	case <-time.After(transporttest.Patience):
		t.Fatal("the lane still lives")
	}
}

// TestFramesInPieces: frames that arrive slowly but surely, one after the other, for longer than one may take.
func TestFramesInPieces(t *testing.T) {
	transporttest.NoLeaks(t)
	const frames, frameTime = 20, 2 * time.Second
	logs := make(chan struct{}, frames)
	address := listen(t, func(c net.Conn) {
		_, _ = c.Write(helloFrame())
		b := wire.AppendLog(wire.BeginFrame(nil), &wire.LogLine{Level: 7, Message: "line"})
		wire.EndFrame(b, 0, 0, wire.TypeLog)
		whole := bytes.Repeat(b, frames)
		for at := 5; len(whole) > 0; at = len(b) { // every write but the last ends within a frame
			n := min(at, len(whole))
			if _, err := c.Write(whole[:n]); err != nil {
				return
			}
			whole = whole[n:]
			time.Sleep(frameTime / frames * 3 / 2)
		}
		_, _ = io.Copy(io.Discard, c)
	})
	l := dial(t, address, transport.Options{FrameTime: frameTime, OnLog: func(transport.LogRecord) { logs <- struct{}{} }})
	for range frames {
		select {
		case <-logs:
		case <-l.Done():
			t.Fatalf("the lane ended: %v", l.Err())
		case <-time.After(transporttest.Patience):
			t.Fatal("a frame is missing")
		}
	}
}

// TestGarbage: whatever a peer says, callers hear of the end of the lane, not of a hang.
func TestGarbage(t *testing.T) {
	frame := func(id uint32, typ wire.Type, body ...byte) []byte { return wire.AppendFrame(nil, id, typ, body) }
	long := frame(1, wire.TypeOutcome, 0x91, 0)
	long[0] = 0x7f
	for name, c := range map[string]struct {
		say    []byte
		kind   transport.ErrorKind // BadFrame: of call 1; the others, and else all, get Closed
		silent bool                // no goaway: the server closes
	}{
		"text":                 {[]byte(strings.Repeat("what? ", 10)), transport.Closed, false},
		"zeros":                {make([]byte, 64), transport.Closed, false},
		"too long":             {long, transport.Closed, false},
		"outcome of nonsense":  {frame(1, wire.TypeOutcome, 0xc1, 0xc1), transport.BadFrame, false},
		"outcome, no body":     {frame(1, wire.TypeOutcome), transport.BadFrame, false},
		"ask of nonsense":      {frame(1, wire.TypeAsk, 0xc1), transport.BadFrame, false},
		"log of nonsense":      {frame(1, wire.TypeLog, 0xff), transport.Closed, false},
		"goaway of nonsense":   {frame(0, wire.TypeGoAway, 0x01), transport.Closed, false},
		"second hello":         {helloFrame(), transport.Closed, false},
		"a call":               {frame(1, wire.TypeCall, 0x90), transport.Closed, false},
		"a cancel":             {frame(1, wire.TypeCancel), transport.Closed, false},
		"outcome for call 0":   {frame(0, wire.TypeOutcome, 0x91, 0), transport.Closed, false},
		"outcome from nowhere": {frame(77, wire.TypeOutcome, 0x91, 0), transport.Closed, false},
		"chunk from nowhere":   {frame(77, wire.TypeChunk, 1), transport.Closed, false},
		"log from nowhere":     {frame(77, wire.TypeLog, 0x92, 1, 0xa0), transport.Closed, false},
		"half a frame, end":    {frame(1, wire.TypeOutcome, 0x91, 0)[:17], transport.Closed, true},
		"end":                  {nil, transport.Closed, true},
	} {
		t.Run(name, func(t *testing.T) {
			transporttest.NoLeaks(t)
			told := make(chan string, 1)
			address := listen(t, func(conn net.Conn) {
				defer conn.Close()
				if _, _, err := wire.ReadGreeting(conn); err != nil {
					return
				}
				_, _ = conn.Write(helloFrame())
				r := wire.NewReader(conn)
				for calls := 0; calls < 3; {
					f, _, err := r.Next()
					if err != nil {
						return
					}
					if f.Type == wire.TypeCall {
						calls++
					}
				}
				_, _ = conn.Write(c.say)
				if c.silent {
					return
				}
				for {
					f, body, err := r.Next()
					if err != nil {
						told <- "nothing"
						return
					}
					if f.Type == wire.TypeGoAway {
						g, _ := wire.DecodeGoAway(append([]byte{}, body...))
						told <- g.Code
						return
					}
				}
			})
			l := dial(t, address, transport.Options{})
			var wg sync.WaitGroup
			kinds := make(chan transport.ErrorKind, 3)
			for range 3 {
				wg.Go(func() {
					var out wire.Outcome
					kinds <- transporttest.KindOf(l.Call(smallCall(), transporttest.Soon(), nil, &out))
				})
			}
			wg.Wait()
			count := map[transport.ErrorKind]int{}
			for range 3 {
				count[<-kinds]++
			}
			want := map[transport.ErrorKind]int{transport.Closed: 3}
			if c.kind == transport.BadFrame {
				want = map[transport.ErrorKind]int{transport.Closed: 2, transport.BadFrame: 1}
			}
			if !maps.Equal(count, want) {
				t.Errorf("kinds of errors: got %v, want %v", count, want)
			}
			if !c.silent {
				if code := <-told; code != wire.CodeBadFrame {
					t.Errorf("the server was told %q", code)
				}
			}
		})
	}
}

// dribble reads and writes a few bytes at a time.
type dribble struct {
	net.Conn
	most int
}

func (d *dribble) Read(b []byte) (int, error) {
	return d.Conn.Read(b[:min(len(b), 1+rand.IntN(d.most))])
}

func (d *dribble) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = d.Conn.Write(b[n:min(len(b), n+1+rand.IntN(d.most))])
		n += m
	}
	return n, err
}

type dribbling struct {
	net.Listener
	most int
}

func (l *dribbling) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &dribble{c, l.most}, nil
}

func TestPeerThatDribbles(t *testing.T) {
	for name, most := range map[string]int{"byte by byte": 1, "a few bytes": 7, "kilobytes": 4000} {
		t.Run(name, func(t *testing.T) {
			transporttest.NoLeaks(t)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			transporttest.Serve(t, &dribbling{ln, most}, func(s *transporttest.Session) {
				a := s.Ask(wire.AskClientLoadConsumer, s.Call.Request.Target)
				s.Log(1, "line")
				s.Reply(&wire.Outcome{Body: a.Value, HasBody: true})
			})
			l, err := msgpack.Dial(context.Background(), "tcp", ln.Addr().String(), nil, transport.Options{Token: transporttest.Token})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close("done", "")
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 10 {
						var out wire.Outcome
						if err := l.Call(transporttest.SampleCall(1), transporttest.Soon(), echoArg{}, &out); err != nil || string(out.Body) != "\xa9/shop?x=1" {
							t.Errorf("got %v, %q", err, out.Body)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

type echoArg struct{}

func (echoArg) Answer(a *wire.Ask) wire.Answer { return wire.Answer{Value: a.Args[0]} }

// TestSuiteTLS runs the suite over TCP with mutual TLS, where a goroutine writes everything.
func TestSuiteTLS(t *testing.T) {
	server, client := transporttest.TLS(t)
	transporttest.Run(t, func(t testing.TB, h transporttest.Handler, o transport.Options) transport.Lane {
		ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
		if err != nil {
			t.Fatal(err)
		}
		transporttest.Serve(t, ln, h)
		l, err := msgpack.Dial(context.Background(), "tcp", ln.Addr().String(), client, o)
		if err != nil {
			t.Fatal(err)
		}
		return l
	})
}

func TestTLSIsChecked(t *testing.T) {
	transporttest.NoLeaks(t)
	server, client := transporttest.TLS(t)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	transporttest.Serve(t, ln, func(*transporttest.Session) {})
	stranger := client.Clone()
	stranger.Certificates = nil
	wrong := client.Clone()
	wrong.ServerName = "elsewhere.test"
	for name, conf := range map[string]*tls.Config{"no client certificate": stranger, "another name": wrong, "no TLS": nil} {
		ctx, cancel := context.WithTimeout(context.Background(), transporttest.Patience)
		_, err := msgpack.Dial(ctx, "tcp", ln.Addr().String(), conf, transport.Options{Token: transporttest.Token})
		cancel()
		if err == nil {
			t.Errorf("%s: a lane", name)
		}
	}
}
