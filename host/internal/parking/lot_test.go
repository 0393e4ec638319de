//go:build linux

package parking

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 20 * time.Second

// pair is a connection and its peer.
func pair(t *testing.T) (mine, peer *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

func lot(t *testing.T) *Lot {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func park(t *testing.T, l *Lot, c *net.TCPConn, until time.Time) <-chan Reason {
	t.Helper()
	left := make(chan Reason, 2)
	if !l.Park(c, until, func(r Reason) { left <- r }) {
		t.Fatal("not parked")
	}
	return left
}

func expect(t *testing.T, left <-chan Reason, want Reason) {
	t.Helper()
	select {
	case r := <-left:
		if r != want {
			t.Fatalf("left for reason %d, expected %d", r, want)
		}
	case <-time.After(patience):
		t.Fatal("still parked")
	}
}

// A connection leaves when something comes, and can be read then and parked again.
func TestReadable(t *testing.T) {
	l := lot(t)
	mine, peer := pair(t)
	for range 3 {
		left := park(t, l, mine, time.Now().Add(time.Hour))
		if n := l.Len(); n != 1 {
			t.Fatalf("%d parked", n)
		}
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		expect(t, left, Readable)
		var b [8]byte
		if n, err := mine.Read(b[:]); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if n := l.Len(); n != 0 {
		t.Errorf("%d parked", n)
	}
}

// What came before the connection was parked is not missed.
func TestReadableAlready(t *testing.T) {
	l := lot(t)
	mine, peer := pair(t)
	if _, err := peer.Write([]byte("xy")); err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := mine.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	expect(t, park(t, l, mine, time.Now().Add(time.Hour)), Readable)
}

func TestPeerLeaves(t *testing.T) {
	l := lot(t)
	half, peer := pair(t)
	left := park(t, l, half, time.Now().Add(time.Hour))
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	expect(t, left, Readable)
	gone, peer := pair(t)
	left = park(t, l, gone, time.Now().Add(time.Hour))
	if err := peer.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	peer.Close()
	expect(t, left, Broken)
}

func TestExpired(t *testing.T) {
	l := lot(t)
	stays, _ := pair(t)
	staying := park(t, l, stays, time.Now().Add(time.Hour))
	goes, _ := pair(t)
	expect(t, park(t, l, goes, time.Now()), Expired)
	if len(staying) != 0 || l.Len() != 1 {
		t.Errorf("%d left, %d parked", len(staying), l.Len())
	}
}

// Evict lets one go that has waited for long, and is as good as any when there are many.
func TestEvict(t *testing.T) {
	l := lot(t)
	if l.Evict() {
		t.Error("an empty lot has somebody to evict")
	}
	late, _ := pair(t)
	staying := park(t, l, late, time.Now().Add(2*time.Hour))
	early, _ := pair(t)
	going := park(t, l, early, time.Now().Add(time.Hour))
	if !l.Evict() {
		t.Fatal("nobody is evicted")
	}
	expect(t, going, Evicted)
	if len(staying) != 0 || l.Len() != 1 {
		t.Errorf("%d left, %d parked", len(staying), l.Len())
	}
}

// An event of a connection that has left does not concern the one which has its descriptor by now.
func TestEventOfAnEarlierStay(t *testing.T) {
	l := lot(t)
	mine, peer := pair(t)
	first := park(t, l, mine, time.Now().Add(time.Hour))
	l.mu.Lock()
	var late []unix.EpollEvent // what the kernel said just before it left
	for fd, p := range l.conns {
		late = append(late, unix.EpollEvent{Events: unix.EPOLLHUP, Fd: fd, Pad: p.stay})
	}
	l.mu.Unlock()
	l.Evict()
	expect(t, first, Evicted)
	second := park(t, l, mine, time.Now().Add(time.Hour))
	l.happened(late)
	if n := l.Len(); n != 1 || len(late) != 1 {
		t.Fatalf("%d parked after %d late events", n, len(late))
	}
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	expect(t, second, Readable)
}

func TestClose(t *testing.T) {
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	mine, _ := pair(t)
	left := park(t, l, mine, time.Now().Add(time.Hour))
	l.Close()
	expect(t, left, Ended)
	if l.Park(mine, time.Now().Add(time.Hour), func(Reason) {}) {
		t.Error("parked in a closed lot")
	}
}

func TestClosedConnection(t *testing.T) {
	l := lot(t)
	mine, _ := pair(t)
	mine.Close()
	if l.Park(mine, time.Now().Add(time.Hour), func(Reason) {}) {
		t.Error("a closed connection is parked")
	}
}
