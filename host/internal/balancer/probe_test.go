package balancer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// checked is an upstream of one server, with active checks that take a millisecond's turn.
func checked(address, kind string) *entity.Upstream {
	u := upstream("", address, 100)
	u.Health.Active = entity.ActiveChecks{
		Type: kind, Timeout: 5 * time.Second, Concurrency: 2, Path: "/health?deep=1", Verify: true,
		Headers:   []entity.HeaderValues{{Name: "X-Probe", Values: []string{"a", "b"}}},
		Healthy:   entity.Successes{Interval: 10 * time.Millisecond, Statuses: []int{200}, Successes: 2},
		Unhealthy: entity.Failures{Interval: 10 * time.Millisecond, Statuses: []int{500, 504}, TCP: 2, Timeouts: 2, HTTP: 2},
	}
	return u
}

func reported(b *Balancer) string { return b.Status().Health }

// Active checks take a target away when it answers badly, and bring it back. They ask as the configuration says.
func TestActiveChecks(t *testing.T) {
	var status atomic.Int32
	status.Store(200)
	var asked atomic.Pointer[http.Request]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r)
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(server.Close)
	u := checked(server.Listener.Addr().String(), "http")
	u.HostHeader = "pool.example"
	b := start(t, u, Options{Probe: true})
	for range 2 {
		for _, bad := range []int32{500, 504} {
			status.Store(bad)
			eventually(t, "it is unhealthy", func() bool { return reported(b) == reportUnhealthy })
			status.Store(200)
			eventually(t, "it is healthy", func() bool { return reported(b) == reportHealthy })
		}
	}
	r := asked.Load()
	if r.Method != "GET" || r.RequestURI != "/health?deep=1" || r.Host != "pool.example" || strings.Join(r.Header["X-Probe"], ",") != "a,b" || r.ProtoMinor != 1 {
		t.Errorf("asked %s %s of %s with %v", r.Method, r.RequestURI, r.Host, r.Header)
	}
}

// Without active checks of healthy targets, only those that passive checks took away are asked.
func TestChecksOfUnhealthyTargets(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(server.Close)
	u := checked(server.Listener.Addr().String(), "http")
	u.Health.Active.Healthy.Interval = 0
	u.Health.Passive.Unhealthy.TCP = 1
	b := start(t, u, Options{Probe: true})
	b.Report(place(t, b, server.Listener.Addr().String()), Outcome{Failed: true})
	eventually(t, "it is healthy again", func() bool { return reported(b) == reportHealthy })
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times, want 2: what is healthy is not asked", n)
	}
}

// A target that refuses, and one that never answers.
func TestActiveChecksOfConnections(t *testing.T) {
	for _, kind := range []string{"tcp", "http", "https", "grpc", "grpcs"} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := ln.Addr().String()
		ln.Close()
		b := start(t, checked(address, kind), Options{Probe: true})
		eventually(t, kind+": a target that refuses is unhealthy", func() bool { return reported(b) == reportUnhealthy })
		if kind != "tcp" && kind != "grpc" {
			continue
		}
		if ln, err = net.Listen("tcp", address); err != nil {
			t.Skipf("the port is taken: %v", err)
		}
		eventually(t, kind+": a target that accepts is healthy", func() bool { return reported(b) == reportHealthy })
		ln.Close()
	}
}

func TestActiveChecksTimeOut(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		ln.Close()
		open.Wait()
	})
	open.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			open.Go(func() { // never answers
				<-ctx.Done()
				c.Close()
			})
		}
	})
	u := checked(ln.Addr().String(), "http")
	u.Health.Active.Timeout = 20 * time.Millisecond
	u.Health.Active.Unhealthy.TCP, u.Health.Active.Unhealthy.HTTP = 0, 0 // only timeouts count
	b := start(t, u, Options{Probe: true})
	eventually(t, "it is unhealthy", func() bool { return reported(b) == reportUnhealthy })
}

// A target that talks nonsense is as bad as one that refuses.
func TestActiveChecksOfNonsense(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "220 mail.example ESMTP\r\n")
			c.Close()
		}
	}()
	b := start(t, checked(ln.Addr().String(), "http"), Options{Probe: true})
	eventually(t, "it is unhealthy", func() bool { return reported(b) == reportUnhealthy })
}

func TestActiveChecksOverTLS(t *testing.T) {
	var name atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name.Store(h.ServerName)
		return nil, nil
	}}
	server.StartTLS()
	t.Cleanup(server.Close)
	for _, kind := range []string{"https", "grpcs"} {
		u := checked(server.Listener.Addr().String(), kind)
		u.Health.Active.SNI = "checks.example"
		b := start(t, u, Options{Probe: true})
		eventually(t, kind+": a certificate that nobody trusts", func() bool { return reported(b) == reportUnhealthy })
		if name.Load() != "checks.example" {
			t.Errorf("%s: asked for the certificate of %v", kind, name.Load())
		}
		open := *u
		open.ID, open.Health.Active.Verify = "open", false
		b = start(t, &open, Options{Probe: true})
		if kind == "grpcs" { // this server has no HTTP/2
			eventually(t, kind+": a server without HTTP/2", func() bool { return reported(b) == reportUnhealthy })
			continue
		}
		b.SetHealth(server.Listener.Addr().String(), false)
		eventually(t, kind+": not verified", func() bool { return reported(b) == reportHealthy })
	}
}

// Every type finds that a target is well, and that it is not any more.
func TestActiveChecksOfEveryType(t *testing.T) {
	for _, kind := range []string{"tcp", "http", "https", "grpc", "grpcs"} {
		secured := kind == "https" || kind == "grpcs"
		var sick atomic.Bool
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/health" || sick.Load() {
				w.WriteHeader(500)
			}
		}))
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		if server.EnableHTTP2 = kind == "grpcs"; secured {
			server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				if sick.Load() {
					return nil, errors.New("it is sick")
				}
				return nil, nil
			}}
			server.StartTLS()
		} else {
			server.Start()
		}
		u := checked(server.Listener.Addr().String(), kind)
		u.Health.Active.Verify = false
		b := start(t, u, Options{Probe: true})
		b.SetHealth(server.Listener.Addr().String(), false)
		eventually(t, kind+": it is healthy", func() bool { return reported(b) == reportHealthy })
		if sick.Store(true); kind == "tcp" || kind == "grpc" { // a connection is all that they want
			server.Close()
		}
		eventually(t, kind+": it is unhealthy", func() bool { return reported(b) == reportUnhealthy })
		server.Close()
	}
}

// What the checks of the newest generation find counts for the requests that older ones still have: they share what is known of a target, whatever else of
// the upstream has changed.
func TestChecksCountForOlderGenerations(t *testing.T) {
	var status atomic.Int32
	status.Store(200)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	t.Cleanup(server.Close)
	old, r := registered(t, checked(server.Listener.Addr().String(), "http"), Options{Probe: true})
	changed := checked(server.Listener.Addr().String(), "http")
	changed.Targets[0].Weight = 50
	next, err := r.Take(changed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Return(next) })
	status.Store(500)
	eventually(t, "nobody chooses it", func() bool {
		_, one := old.Choose(choice())
		_, two := next.Choose(choice())
		return one == ErrNoPeer && two == ErrNoPeer
	})
	status.Store(200)
	eventually(t, "both choose it again", func() bool {
		_, one := old.Choose(choice())
		_, two := next.Choose(choice())
		return one == nil && two == nil
	})
}

// Who only looks at a configuration asks nobody, and checks end with the last generation that has the upstream.
func TestChecksEnd(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(server.Close)
	u := checked(server.Listener.Addr().String(), "http")
	start(t, u, Options{})
	b, r := registered(t, u, Options{Probe: true})
	changed := *u
	changed.Health.Threshold = 1
	next, err := r.Take(&changed)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is asked", func() bool { return asked.Load() > 2 })
	if probed := func(s *shared) bool { return s.prober != nil }; probed(r.byID["id"][0]) || !probed(r.byID["id"][1]) {
		t.Error("not the newest one alone is checked")
	}
	r.Return(next)
	if r.byID["id"][0].prober == nil {
		t.Error("the configuration that is live again is not checked")
	}
	r.Close()
	n := asked.Load()
	b.Status()
	if r.byID["id"][0].prober != nil || asked.Load() != n {
		t.Error("checks go on after the end")
	}
}
