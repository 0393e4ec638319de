package conformance

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
)

// relay stands between a lane and a plugin server and decides how the bytes are cut.
type relay struct {
	listener net.Listener
	path     string
	forward  func(to net.Conn, from net.Conn)
	writes   atomic.Int64 // pieces that were passed on
	wait     sync.WaitGroup
}

func newRelay(t *testing.T, forward func(r *relay) func(to, from net.Conn)) *relay {
	t.Helper()
	dir, err := os.MkdirTemp("", "rl")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{path: filepath.Join(dir, "relay")}
	r.forward = forward(r)
	if r.listener, err = net.Listen("unix", r.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.listener.Close()
		r.wait.Wait()
		_ = os.RemoveAll(dir)
	})
	return r
}

// route leads a lane through the relay.
func (r *relay) route(network, address string) (string, string) {
	r.wait.Go(func() {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial(network, address)
		if err != nil {
			_ = near.Close()
			return
		}
		for _, ends := range [][2]net.Conn{{near, far}, {far, near}} {
			r.wait.Go(func() {
				r.forward(ends[0], ends[1])
				_ = ends[0].Close()
				_ = ends[1].Close()
			})
		}
	})
	return "unix", r.path
}

// drip passes every byte on in a write of its own.
func drip(r *relay) func(to, from net.Conn) {
	return func(to, from net.Conn) {
		buf := make([]byte, 4096)
		for {
			n, err := from.Read(buf)
			for i := range n {
				if _, err := to.Write(buf[i : i+1]); err != nil {
					return
				}
				r.writes.Add(1)
			}
			if err != nil {
				return
			}
		}
	}
}

// gather passes on in one write all that comes until the sender is quiet, so that frames stick together.
func gather(r *relay) func(to, from net.Conn) {
	return func(to, from net.Conn) {
		var gathered []byte
		buf := make([]byte, 64<<10)
		for {
			quiet := time.Time{}
			if len(gathered) > 0 {
				quiet = time.Now().Add(5 * time.Millisecond)
			}
			_ = from.SetReadDeadline(quiet)
			n, err := from.Read(buf)
			gathered = append(gathered, buf[:n]...)
			if err == nil && len(gathered) < 1<<20 {
				continue
			}
			if _, err := to.Write(gathered); err != nil {
				return
			}
			r.writes.Add(1)
			gathered = gathered[:0]
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
		}
	}
}

// The plugin servers of every language and the host understand each other however the bytes between them are cut: in reads of one byte, and
// with many frames in one read.
func TestLesson12FramesHoweverTheBytesAreCut(t *testing.T) {
	for _, impl := range suite.implementations {
		r, ok := impl.(*remote)
		if !ok || r.carrier != pluginserver.CarrierMsgpack { // HTTP/2 frames what travels over grpc
			continue
		}
		t.Run(strings.TrimSuffix(r.name(), "/msgpack"), func(t *testing.T) {
			t.Run("one by one", func(t *testing.T) { r.through(t, newRelay(t, drip), 4) })
			t.Run("all at once", func(t *testing.T) { r.through(t, newRelay(t, gather), 64) })
		})
	}
}

// through runs the vectors that need no hello of their own over a lane through a relay, some at the same time.
func (r *remote) through(t *testing.T, via *relay, atOnce int) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	lane := &side{lines: map[uint64][]vectors.Line{}, heard: make(chan struct{}, 1)}
	usual := (&vectors.Node{}).Hello()
	var err error
	lane.Lane, err = r.server.OpenLane(ctx, pluginserver.SideLane{Carrier: r.carrier, Hello: usual, OnLog: lane.log, Route: via.route})
	if err != nil {
		t.Fatal(err)
	}
	defer lane.Close("closed", "the test is over")
	jobs := make(chan *vectors.Vector)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for v := range jobs {
				run, diffs := r.runOn(ctx, lane, v, v.Asker())
				if run != nil {
					own := *v
					run.Logs, own.Logs = nil, nil // they may be under way
					diffs = append(diffs, own.Check(run)...)
				}
				for _, diff := range diffs {
					t.Errorf("%s: %v", v.ID(), diff)
				}
			}
		})
	}
	ran := 0
	for _, v := range suite.Vectors {
		if v.Untyped || !sameNode(v) || atOnce < 10 && ran == 100 {
			continue
		}
		ran++
		jobs <- v
	}
	close(jobs)
	wg.Wait()
	if ran < 100 || via.writes.Load() == 0 {
		t.Errorf("%d vectors in %d pieces", ran, via.writes.Load())
	}
	t.Logf("%d vectors in %d pieces", ran, via.writes.Load())
}

// sameNode says whether a vector needs no hello of its own.
func sameNode(v *vectors.Vector) bool {
	n := v.Node
	return len(n.TrustedCIDRs) == 0 && n.LogLevel == 0 && n.MaxBody == nil && n.MaxShared == nil && n.ClusterID == nil && n.TelemetryLogs == nil && n.GatewayVersion == ""
}
