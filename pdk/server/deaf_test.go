package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// wild fails in every phase in the way its configuration names.
type wild struct {
	Do string `json:"do"`
}

// endless is an error whose text panics with itself, which fmt does not survive, and leaver ends the goroutine of whoever asks it anything.
type (
	endless struct{}
	leaver  struct{}
)

func (e endless) Error() string               { panic(e) }
func (leaver) Error() string                  { runtime.Goexit(); return "" }
func (leaver) String() string                 { runtime.Goexit(); return "" }
func (leaver) MarshalJSON() ([]byte, error)   { runtime.Goexit(); return nil, nil }
func (w *wild) Rewrite(k *pdk.PDK) error      { return w.act(k) }
func (w *wild) Access(k *pdk.PDK) error       { return w.act(k) }
func (w *wild) HeaderFilter(k *pdk.PDK) error { return w.act(k) }
func (w *wild) Log(k *pdk.PDK) error          { return w.act(k) }
func (w *wild) Response(k *pdk.PDK) error     { return w.act(k) }
func (w *wild) Close() error                  { return w.act(nil) }
func (w *wild) BodyFilter(k *pdk.PDK, chunk []byte, last bool) ([]byte, error) {
	return chunk, w.act(k)
}

func (w *wild) act(k *pdk.PDK) error {
	switch w.Do {
	case "":
		return nil
	case "goexit":
		runtime.Goexit()
	case "panic with nil":
		panic(nil)
	case "text that panics for ever":
		return endless{}
	case "panic with such":
		panic(endless{})
	case "text that ends the goroutine":
		return leaver{}
	case "panic with that":
		panic(leaver{})
	case "log of that":
		if k == nil {
			return leaver{}
		}
		k.Log.Err(leaver{})
	case "body of that":
		if k == nil {
			return leaver{}
		}
		_ = k.Response.Exit(200, leaver{}, nil)
	}
	return errors.New("not reached")
}

var wildPlugin = pdk.Plugin{Name: "wild", Version: "1", New: func() any { return &wild{} }}

// Whatever a handler does to its goroutine and whatever its errors do to who reads them: its call fails, in every phase, alone and as a step, and
// the lane is read on.
func TestNoHandlerDeafensALane(t *testing.T) {
	phases := []pdk.Phase{pdk.PhaseRewrite, pdk.PhaseAccess, pdk.PhaseResponse, pdk.PhaseHeaderFilter, pdk.PhaseBodyFilter, pdk.PhaseLog}
	kinds := []string{
		"goexit", "panic with nil", "text that panics for ever", "panic with such", "text that ends the goroutine", "panic with that",
		"log of that", "body of that",
	}
	deafening := func(t *testing.T, f *fixture) {
		l := f.lane()
		f.wild(1, "")
		for i, do := range kinds {
			f.wild(uint64(i)+2, do)
		}
		for i, do := range kinds {
			for _, phase := range phases {
				for id, first := range []uint64{uint64(i) + 2, 1} { // alone, and behind a step that goes well
					c := newCall(first)
					if first == 1 {
						if phase == pdk.PhaseBodyFilter { // it travels alone
							break
						}
						c = fused(1, uint64(i)+2, 1)
					}
					c.Phase = phase.Code()
					l.call(uint32(2*id+1), c)
					after := newCall(1)
					after.Phase = phase.Code()
					l.call(uint32(2*id+2), after)
					for left := 2 + id; left > 0; left-- {
						e, _ := outcome(t, l, nil)
						failing := e.id%2 == 1 && (id == 0 || e.step == 1)
						if failed := e.outcome.Err != nil; failed != failing {
							t.Fatalf("%s, %v: outcome of call %d, step %d: %+v", do, phase, e.id, e.step, e.outcome)
						}
					}
				}
			}
		}
	}
	for _, carrier := range []string{"msgpack", "grpc"} {
		t.Run(carrier, func(t *testing.T) {
			silent := func(s *Server) { s.logger = slog.New(slog.DiscardHandler) }
			deafening(t, startWith(t, carrier, silent, wildPlugin))
		})
	}
}

func (f *fixture) wild(id uint64, do string) {
	f.t.Helper()
	in := &pluginv1.ConfigureRequest{InstanceId: id, Plugin: "wild", Config: fmt.Appendf(nil, `{"do":%q}`, do)}
	if out, err := f.client.Configure(f.t.Context(), in); err != nil || len(out.Errors) > 0 {
		f.t.Fatalf("configuring: %v %v", err, out.GetErrors())
	}
}

// Close has no caller that its errors could harm.
func TestErrorsOfClose(t *testing.T) {
	var told output
	f := startWith(t, "msgpack", func(s *Server) { s.logger = slog.New(slog.NewTextHandler(&told, nil)) }, wildPlugin)
	for i, do := range []string{"goexit", "text that panics for ever", "panic with such", "text that ends the goroutine", "panic with that"} {
		f.wild(uint64(i)+1, do)
		if _, err := f.client.Release(t.Context(), &pluginv1.ReleaseRequest{InstanceIds: []uint64{uint64(i) + 1}}); err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("instance=%d ", i+1)
		eventually(t, "the log names the instance whose Close failed: "+do, patience, func() bool { return strings.Contains(told.String(), line) })
	}
	if !f.server.instances.closing.wait(until(patience)) {
		t.Error("a Close has no end")
	}
}

// flakyListener fails to accept, as often as it is told, before it does.
type flakyListener struct {
	net.Listener
	err   error
	times atomic.Int32
}

func (l *flakyListener) Accept() (net.Conn, error) {
	if l.times.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: l.err}
	}
	return l.Listener.Accept()
}

// What keeps the kernel from giving a connection passes, on both planes.
func TestAcceptIsTriedAgain(t *testing.T) {
	for _, cause := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.ECONNABORTED, syscall.EPERM} {
		t.Run(cause.Error(), func(t *testing.T) {
			control, data := flaky(t, cause, 2), flaky(t, cause, 2)
			var told output
			if err := servedOneLane(t, Listeners{Control: control, Data: data}, &told); err != nil {
				t.Error(err)
			}
			if n := strings.Count(told.String(), "accepting a connection failed"); n != 2 {
				t.Errorf("%d lines of the log, expected one of each plane:\n%s", n, told.String())
			}
		})
	}
}

// A server whose listener is gone ends: it would look healthy, and take no lane.
func TestLostListenerEndsTheServer(t *testing.T) {
	for _, cause := range []error{syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK} {
		t.Run(cause.Error(), func(t *testing.T) {
			var told output
			_, ended := servingAt(t, Listeners{Control: flaky(t, nil, 0), Data: flaky(t, cause, 1)}, &told)
			if err := ended(); !errors.Is(err, cause) || !strings.Contains(err.Error(), "data plane") {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

// oddListener is of another make: its error after Close is its own.
type oddListener struct {
	net.Listener
	closed atomic.Bool
}

func (l *oddListener) Close() error {
	l.closed.Store(true)
	return l.Listener.Close()
}

func (l *oddListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if l.closed.Load() {
		return nil, errors.New("closed")
	}
	return conn, err
}

// A listener may say in its own words that it is closed.
func TestEndWithOddListeners(t *testing.T) {
	control, data := &oddListener{Listener: flaky(t, nil, 0)}, &oddListener{Listener: flaky(t, nil, 0)}
	var told output
	if err := servedOneLane(t, Listeners{Control: control, Data: data}, &told); err != nil || told.String() != "" {
		t.Errorf("Serve: %v, the log says %q", err, told.String())
	}
}

// servedOneLane serves until a lane was opened and closed, and ends in order. It returns what Serve does.
func servedOneLane(t *testing.T, l Listeners, told *output) error {
	t.Helper()
	s, ended := servingAt(t, l, told)
	_, client := dialControl(t, l.Control.Addr().String())
	d, err := client.Describe(t.Context(), &pluginv1.DescribeRequest{ProtocolVersion: wire.Version})
	if err != nil {
		t.Fatal(err)
	}
	lane := openSocket(t, d)
	lane.call(1, newCall(0)) // refused; with that read nothing is left for which the kernel would reset the connection
	if e := lane.next(); e.outcome == nil || e.outcome.Err == nil {
		t.Errorf("found %+v, expected that a call of no instance is refused", e)
	}
	lane.close()
	s.Shutdown()
	return ended()
}

func flaky(t *testing.T, err error, times int32) *flakyListener {
	t.Helper()
	inner, failed := listenUnix(filepath.Join(t.TempDir(), "s"))
	if failed != nil {
		t.Fatal(failed)
	}
	l := &flakyListener{Listener: inner, err: err}
	l.times.Store(times)
	return l
}

// servingAt serves; ended waits for the end and gives what Serve returned.
func servingAt(t *testing.T, l Listeners, log *output) (s *Server, ended func() error) {
	t.Helper()
	s, err := New(probePlugin)
	if err != nil {
		t.Fatal(err)
	}
	s.logger = slog.New(slog.NewTextHandler(log, nil))
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	return s, func() error {
		select {
		case err := <-served:
			return err
		case <-time.After(patience):
			return errors.New("the server does not end")
		}
	}
}
