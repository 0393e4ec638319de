package msgpack_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/msgpack"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/transporttest"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// overBoth runs a test over a unix socket and over TLS, where the lane reads in another way.
func overBoth(t *testing.T, serve func(t *testing.T, conn net.Conn), test func(t *testing.T, dial func(o transport.Options) transport.Lane)) {
	t.Run("unix", func(t *testing.T) {
		transporttest.NoLeaks(t)
		address := listen(t, func(c net.Conn) { serve(t, c) })
		test(t, func(o transport.Options) transport.Lane { return dial(t, address, o) })
	})
	t.Run("TLS", func(t *testing.T) {
		transporttest.NoLeaks(t)
		server, client := transporttest.TLS(t)
		address := listen(t, func(c net.Conn) {
			secured := tls.Server(c, server)
			defer secured.Close()
			serve(t, secured)
		})
		test(t, func(o transport.Options) transport.Lane {
			// The tests' listener is a unix socket; TLS does not mind.
			l, err := msgpack.Dial(context.Background(), "unix", address, client, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close("done", "") })
			return l
		})
	})
}

// calls gives the ids of the calls that a connection brings.
func calls(conn net.Conn, take func(id uint32)) {
	frames(conn, func(f wire.Frame) {
		if f.Type == wire.TypeCall {
			take(f.Call)
		}
	})
}

// frames gives the frames that a connection brings, after greeting and hello. It ends with the connection.
func frames(conn net.Conn, take func(f wire.Frame)) {
	if _, _, err := wire.ReadGreeting(conn); err != nil {
		return
	}
	if _, err := conn.Write(helloFrame()); err != nil {
		return
	}
	for r := wire.NewReader(conn); ; {
		f, _, err := r.Next()
		if err != nil {
			return
		}
		take(f)
	}
}

// outcomeFrame is an outcome that names its call, with some bytes more.
func outcomeFrame(id uint32, more int) []byte {
	o := &wire.Outcome{Ops: []wire.Op{{Code: wire.OpServiceRequestSetPath, Name: fmt.Sprint("/", id, strings.Repeat("x", more))}}}
	return wire.AppendFrame(nil, id, wire.TypeOutcome, wire.AppendOutcome(nil, o))
}

// TestLeaderLeavesHalfAFrame: who reads has half of his outcome when his deadline passes. The next one goes on where he stopped.
func TestLeaderLeavesHalfAFrame(t *testing.T) {
	overBoth(t, func(t *testing.T, conn net.Conn) {
		var first []byte
		calls(conn, func(id uint32) {
			if first == nil {
				first = outcomeFrame(id, 2000)
				_, _ = conn.Write(first[:1000])
				return
			}
			_, _ = conn.Write(first[1000:])
			_, _ = conn.Write(outcomeFrame(id, 0))
			first = nil
		})
	}, func(t *testing.T, dial func(o transport.Options) transport.Lane) {
		l := dial(transport.Options{})
		for range 3 {
			returnsBy(t, l, transport.Timeout, 1, 200*time.Millisecond, smallCall)
			var out wire.Outcome
			if err := l.Call(smallCall(), transporttest.Soon(), nil, &out); err != nil || len(out.Ops) != 1 {
				t.Fatalf("got %v, %+v", err, out)
			}
		}
	})
}

// TestFollowersOutliveTheLeader: the caller that reads gives up, and the others still get their outcomes, which the server sends when it hears of it.
func TestFollowersOutliveTheLeader(t *testing.T) {
	for _, followers := range []int{1, 3, 30} {
		t.Run(fmt.Sprint(followers), func(t *testing.T) {
			arrived := make(chan struct{}, followers+1)
			overBoth(t, func(t *testing.T, conn net.Conn) {
				var late []uint32
				first, gone := uint32(0), false
				frames(conn, func(f wire.Frame) {
					switch {
					case f.Type == wire.TypeCall && first == 0:
						first = f.Call
						arrived <- struct{}{}
					case f.Type == wire.TypeCall:
						late = append(late, f.Call)
					case f.Type == wire.TypeCancel:
						gone = true
					}
					for gone && len(late) > 0 {
						_, _ = conn.Write(outcomeFrame(late[0], 0))
						late = late[1:]
					}
				})
			}, func(t *testing.T, dial func(o transport.Options) transport.Lane) {
				l := dial(transport.Options{})
				var wg sync.WaitGroup
				wg.Go(func() { returnsBy(t, l, transport.Timeout, 1, 500*time.Millisecond, smallCall) })
				<-arrived
				for range followers {
					wg.Go(func() {
						var out wire.Outcome
						if err := l.Call(smallCall(), transporttest.Soon(), nil, &out); err != nil || len(out.Ops) != 1 {
							t.Errorf("got %v, %+v", err, out)
						}
					})
				}
				wg.Wait()
			})
		})
	}
}

// TestSlowFrameWhileACallWaits: the time of a frame counts also while the one who reads has all the time in the world.
func TestSlowFrameWhileACallWaits(t *testing.T) {
	overBoth(t, func(t *testing.T, conn net.Conn) {
		calls(conn, func(id uint32) { _, _ = conn.Write(outcomeFrame(id, 100)[:50]) })
	}, func(t *testing.T, dial func(o transport.Options) transport.Lane) {
		l := dial(transport.Options{FrameTime: 80 * time.Millisecond})
		var wg sync.WaitGroup
		wg.Go(func() { returnsBy(t, l, transport.Timeout, 1, 20*time.Millisecond, smallCall) }) // gives up earlier
		wg.Go(func() { returnsBy(t, l, transport.Closed, 1, transporttest.Patience, smallCall) })
		wg.Wait()
		if err := l.Err(); err == nil || !strings.Contains(err.Error(), "did not arrive within 80ms") {
			t.Errorf("the lane ended with %v", err)
		}
	})
}

// TestGoodbyeToAnIdleLane: a goaway, a line and the end of the connection are noticed while nobody waits, before a call and after one.
func TestGoodbyeToAnIdleLane(t *testing.T) {
	for name, c := range map[string]struct {
		say  []byte
		want string
	}{
		"goaway": {goaway("draining", "bye"), "draining: bye"}, "end": {nil, "closed the connection"}, "nonsense": {make([]byte, 64), "frame header"},
	} {
		for _, before := range []int{0, 1, 20} {
			t.Run(fmt.Sprint(name, ", calls before ", before), func(t *testing.T) {
				leave := make(chan struct{})
				overBoth(t, func(t *testing.T, conn net.Conn) {
					go func() {
						<-leave
						_, _ = conn.Write(c.say)
						_ = conn.Close()
					}()
					calls(conn, func(id uint32) { _, _ = conn.Write(outcomeFrame(id, 0)) })
				}, func(t *testing.T, dial func(o transport.Options) transport.Lane) {
					l := dial(transport.Options{})
					for range before {
						var out wire.Outcome
						if err := l.Call(smallCall(), transporttest.Soon(), nil, &out); err != nil {
							t.Fatal(err)
						}
					}
					leave <- struct{}{}
					select {
					case <-l.Done():
						if err := l.Err(); !strings.Contains(err.Error(), c.want) {
							t.Errorf("the lane ended with %v, want %q", err, c.want)
						}
					case <-time.After(transporttest.Patience):
						t.Fatal("nobody noticed")
					}
				})
			})
		}
	}
}

// TestReaderStorm: callers with deadlines of all lengths, and a server that is late, forgets, asks, and cuts what it says into pieces anywhere. Whoever gets an
// outcome gets his own, and the others their time-out.
func TestReaderStorm(t *testing.T) {
	overBoth(t, func(t *testing.T, conn net.Conn) {
		var mu sync.Mutex
		say := func(b []byte) {
			mu.Lock()
			defer mu.Unlock()
			for len(b) > 0 {
				n := len(b)
				if rand.IntN(3) == 0 {
					n = 1 + rand.IntN(n)
				}
				if _, err := conn.Write(b[:n]); err != nil {
					return
				}
				b = b[n:]
			}
		}
		calls(conn, func(id uint32) {
			reply := outcomeFrame(id, rand.IntN(3000))
			switch rand.IntN(8) {
			case 0:
			case 1:
				time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, func() { say(reply) })
			case 2:
				ask := wire.Ask{Fn: wire.AskClientLoadConsumer, Args: [][]byte{{0xc0}}}
				say(append(wire.AppendFrame(nil, id, wire.TypeAsk, wire.AppendAsk(nil, &ask)), reply...))
			default:
				say(reply)
			}
		})
	}, func(t *testing.T, dial func(o transport.Options) transport.Lane) {
		l := dial(transport.Options{})
		var wg sync.WaitGroup
		var good sync.Map
		for caller := range 30 {
			wg.Go(func() {
				var out wire.Outcome
				for range 60 {
					wait := time.Duration(1+rand.IntN(8000)) * time.Microsecond
					if caller%3 == 0 {
						wait = 200 * time.Millisecond
					}
					start := time.Now()
					err := l.Call(smallCall(), start.Add(wait), echoArg{}, &out)
					if took := time.Since(start); took > wait+transporttest.Patience {
						t.Errorf("it took %s", took)
					}
					switch {
					case err == nil:
						if _, twice := good.LoadOrStore(strings.TrimRight(out.Ops[0].Name, "x"), true); twice {
							t.Errorf("two got the outcome of %.20s", out.Ops[0].Name)
						}
					case transporttest.KindOf(err) != transport.Timeout:
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		some := false
		good.Range(func(any, any) bool { some = true; return false })
		if l.Err() != nil || l.InFlight() != 0 || !some {
			t.Errorf("err %v, %d in flight, some outcomes: %v", l.Err(), l.InFlight(), some)
		}
	})
}
