package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Describe answers with the newest version that both speak, and always with the range of the SDK.
func TestVersionIsNegotiated(t *testing.T) {
	f := start(t, "msgpack")
	for _, c := range []struct {
		min, newest uint32
	}{{0, 1}, {1, 1}, {1, 7}, {0, 0}, {2, 3}} {
		d, err := f.client.Describe(t.Context(), &pluginv1.DescribeRequest{MinProtocolVersion: c.min, ProtocolVersion: c.newest})
		if err != nil {
			t.Fatal(err)
		}
		if d.ProtocolVersion != wire.Version || d.MinProtocolVersion != wire.MinVersion || d.MaxProtocolVersion != wire.Version {
			t.Errorf("a host of %d to %d: %d of %d to %d", c.min, c.newest, d.ProtocolVersion, d.MinProtocolVersion, d.MaxProtocolVersion)
		}
	}
}

// A host that watches the health hears of the end, and what it has sent until it heard is still run: the server waits for its lanes.
func TestEndWaitsForHostsThatWatch(t *testing.T) {
	for _, carrier := range []string{"msgpack", "grpc"} {
		t.Run(carrier, func(t *testing.T) {
			f := start(t, carrier)
			f.probe(1, "exit", "m")
			l := f.lane()
			l.call(1, newCall(1))
			if e, _ := outcome(t, l, nil); e.outcome.Err != nil {
				t.Fatal(e.outcome.Err)
			}
			watch, err := healthv1.NewHealthClient(f.conn).Watch(t.Context(), &healthv1.HealthCheckRequest{Service: "plugin"})
			if err != nil {
				t.Fatal(err)
			}
			if r, err := watch.Recv(); err != nil || r.Status != healthv1.HealthCheckResponse_SERVING {
				t.Fatalf("%v, %v", r, err)
			}
			f.stop()
			if r, err := watch.Recv(); err != nil || r.Status != healthv1.HealthCheckResponse_NOT_SERVING {
				t.Fatalf("%v, %v", r, err)
			}
			l.call(2, newCall(1)) // on its way while the host hears of it
			if e, _ := outcome(t, l, nil); e.outcome.Err != nil {
				t.Errorf("a call of a lane that the host has not closed: %v", e.outcome.Err)
			}
			select {
			case err := <-f.served:
				t.Fatalf("the server ends before the host has closed its lane: %v", err)
			default:
			}
			begin := time.Now()
			l.close()
			select {
			case err := <-f.served:
				if f.served <- err; err != nil {
					t.Error(err)
				}
			case <-time.After(patience):
				t.Fatal("the server does not end when the lane is closed")
			}
			t.Logf("it ended after %v", time.Since(begin))
		})
	}
}

// lines is a log that a test reads.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// A renewed certificate and another authority are used from the next handshake on; what cannot be used changes nothing.
func TestCertificatesAreReloaded(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	first := authority(t, dir)
	second := authority(t, other)
	pair := func(dir string) tls.Certificate {
		c, err := tls.LoadX509KeyPair(filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	oldHost := &tls.Config{RootCAs: first, Certificates: []tls.Certificate{pair(dir)}, ServerName: "127.0.0.1"}
	newHost := &tls.Config{RootCAs: second, Certificates: []tls.Certificate{pair(other)}, ServerName: "127.0.0.1"}

	log := &lines{}
	conf, err := mutualTLS(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"), filepath.Join(dir, "ca.pem"), slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := tls.NewListener(raw, conf)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { // one byte says that both sides are content
				defer conn.Close()
				_, _ = conn.Write([]byte("k"))
			}()
		}
	}()
	let := func(c *tls.Config) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, err := (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", raw.Addr().String())
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
		return err
	}
	copyFile := func(name string) {
		b, err := os.ReadFile(filepath.Join(other, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".new"), b, 0o600)
		}
		if err == nil {
			err = os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := let(oldHost); err != nil {
		t.Fatal(err)
	}
	if err := let(newHost); err == nil {
		t.Error("a host of an unknown authority is let in")
	}
	copyFile("server.pem") // half of it: the key is still the old one
	for range 3 {
		if err := let(oldHost); err != nil {
			t.Errorf("half of a renewal: %v", err)
		}
	}
	if n := log.count("cannot be used"); n != 1 {
		t.Errorf("a broken renewal is told %d times, want once", n)
	}
	copyFile("server.key")
	copyFile("ca.pem")
	if err := let(newHost); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
	if err := let(oldHost); err == nil {
		t.Error("a host of the authority that was taken out is let in")
	}
}
