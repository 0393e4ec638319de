package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for something that is to happen.
const patience = 30 * time.Second

// told is a gateway that tells what it is asked to do, and does it when the test says so.
type told struct {
	starts, refreshes, ends chan struct{} // sent when it begins
	up                      chan struct{} // closed when the start was noticed
	start, refresh          chan struct{} // closed or sent when it is to be over
	end                     chan error
	hurried                 chan struct{} // closed when the end is to be at once
}

func newTold() *told {
	return &told{
		up: make(chan struct{}), starts: make(chan struct{}), refreshes: make(chan struct{}), ends: make(chan struct{}),
		start: make(chan struct{}), refresh: make(chan struct{}), end: make(chan error), hurried: make(chan struct{}),
	}
}

func (g *told) Start(ctx context.Context) error {
	g.starts <- struct{}{}
	select {
	case <-g.start:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *told) Refresh(context.Context) error {
	g.refreshes <- struct{}{}
	<-g.refresh
	return nil
}

func (g *told) Shutdown(ctx context.Context) error {
	g.ends <- struct{}{}
	select {
	case err := <-g.end:
		return err
	case <-ctx.Done():
		close(g.hurried)
		return ctx.Err()
	}
}

func (*told) Addresses() []string  { return []string{"127.0.0.1:1"} }
func (g *told) Hints() []string    { close(g.up); return nil }
func (*told) Logger() *slog.Logger { return slog.New(slog.DiscardHandler) }

// receive waits for what is to happen.
func receive[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("%s: nothing in %v", what, patience)
	}
	return v
}

// obeyed runs a gateway with signals of the test, until its exit code is there.
func obeyed(g *told) (refresh, end chan os.Signal, code chan int) {
	p, o, code := newProcess(), newOrders(), make(chan int, 1)
	p.serve(g.Logger())
	go func() { code <- obey(g, p, o, new(bytes.Buffer), new(bytes.Buffer)) }()
	return o.refresh, o.end, code
}

// A SIGHUP while the gateway starts counts: its files may have been read before they changed. One while it reads them makes it read them again.
func TestSignalsThatComeEarly(t *testing.T) {
	g := newTold()
	refresh, end, code := obeyed(g)
	receive(t, "the start", g.starts)
	refresh <- syscall.SIGHUP
	close(g.start)
	receive(t, "the refresh that was asked for during the start", g.refreshes)
	refresh <- syscall.SIGHUP
	g.refresh <- struct{}{}
	receive(t, "the refresh that was asked for during the first", g.refreshes)
	end <- syscall.SIGTERM // a refresh under way does not hold it up
	receive(t, "the end", g.ends)
	close(g.refresh)
	g.end <- nil
	if c := receive(t, "the exit code", code); c != exitOK {
		t.Errorf("found exit code %d", c)
	}
}

// A SIGHUP while requests in flight are waited for is no second SIGTERM.
func TestEndsAreHurriedByTheirSignalsAlone(t *testing.T) {
	g := newTold()
	refresh, end, code := obeyed(g)
	receive(t, "the start", g.starts)
	close(g.start)
	receive(t, "the notice of the start", g.up)
	end <- syscall.SIGTERM
	receive(t, "the end", g.ends)
	refresh <- syscall.SIGHUP
	receive(t, "a refresh", g.refreshes)
	close(g.refresh)
	select {
	case <-g.hurried:
		t.Fatal("the end was hurried by SIGHUP")
	default:
	}
	end <- syscall.SIGINT
	receive(t, "the hurry of a second signal", g.hurried)
	if c := receive(t, "the exit code", code); c != exitOK {
		t.Errorf("found exit code %d", c)
	}
}

func TestExitCodesOfAGateway(t *testing.T) {
	g := newTold()
	_, end, code := obeyed(g)
	receive(t, "the start", g.starts)
	end <- syscall.SIGINT
	if c := receive(t, "the exit code of an interrupted start", code); c != exitOK {
		t.Errorf("found exit code %d for an interrupted start", c)
	}
	g = newTold()
	_, end, code = obeyed(g)
	receive(t, "the start", g.starts)
	close(g.start)
	receive(t, "the notice of the start", g.up)
	end <- syscall.SIGTERM
	receive(t, "the end", g.ends)
	g.end <- errors.New("requests in flight were cut")
	if c := receive(t, "the exit code of a bad end", code); c != exitFailed {
		t.Errorf("found exit code %d for a bad end", c)
	}
}

// refusing is a gateway whose files are wrong.
type refusing struct{ *told }

func (refusing) Refresh(context.Context) error { return errors.New("the file is wrong") }

// Whoever asks systemd how the gateway is hears that the last reload was refused.
func TestSystemdHearsOfARefusedReload(t *testing.T) {
	dir, err := os.MkdirTemp("", "outrigger") // short, for the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	g, p := refusing{newTold()}, newProcess()
	p.serve(g.Logger())
	reload(g, p, "127.0.0.1:1")
	for _, want := range []string{"reading the configuration", "READY=1\nSTATUS=ready on 127.0.0.1:1; the last reload was refused"} {
		text := make([]byte, 1024)
		if err := heard.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, err := heard.Read(text)
		if err != nil || !strings.Contains(string(text[:n]), want) {
			t.Errorf("found %q %v, expected %q", text[:n], err, want)
		}
	}
}
