package rawio

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pair is a connected pair of sockets.
func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("unix", l.Addr().String()); err == nil {
		b, err = l.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.Close()
		_ = b.Close()
	})
	return a, b
}

func TestBothWays(t *testing.T) {
	a, b := pair(t)
	from, to := New(a), New(b)
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // more than a socket takes at once
	written := make(chan error, 1)
	go func() {
		n, err := from.Write(want)
		if err == nil && n != len(want) {
			err = errors.New("written in part")
		}
		if err == nil {
			_, err = from.Write([]byte("end"))
		}
		written <- errors.Join(err, a.Close())
	}()
	got, err := io.ReadAll(to)
	if err != nil || !bytes.Equal(got, append(want, "end"...)) {
		t.Errorf("found %d bytes, error %v", len(got), err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	a, b := pair(t)
	r := New(a)
	if err := a.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	_ = b.Close()
	var failed net.Error
	if _, err := r.Write([]byte("x")); !errors.As(err, &failed) {
		t.Errorf("the peer has closed: %v", err)
	}
	_ = a.Close()
	if _, err := r.Read(make([]byte, 8)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading what is closed: %v", err)
	}
	if _, err := r.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("writing what is closed: %v", err)
	}
	if p, _ := net.Pipe(); New(p) != nil {
		t.Error("a pipe in memory is no socket")
	}
}
