package timedconn

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// recorder is a connection that notes its deadlines.
type recorder struct {
	net.Conn
	read, write []time.Time
}

func (r *recorder) SetReadDeadline(t time.Time) error  { r.read = append(r.read, t); return nil }
func (r *recorder) SetWriteDeadline(t time.Time) error { r.write = append(r.write, t); return nil }
func (r *recorder) Read([]byte) (int, error)           { return 1, nil }
func (r *recorder) Write(p []byte) (int, error)        { return len(p), nil }

// The time that was said counts for one read and one write, and deadlines are renewed when an eighth of them has passed.
func TestAt(t *testing.T) {
	var r recorder
	c := Conn{Conn: &r, ReadTimeout: time.Hour, WriteTimeout: 2 * time.Hour}
	do := func() {
		if _, err := c.Read(nil); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(nil); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-30 * time.Minute)
	c.At(past)
	do()
	if len(r.read) != 1 || !r.read[0].Equal(past.Add(time.Hour)) || len(r.write) != 1 || !r.write[0].Equal(past.Add(2*time.Hour)) {
		t.Fatalf("deadlines %v and %v, said was %v", r.read, r.write, past)
	}
	c.At(past.Add(time.Minute))
	do()
	if len(r.read) != 1 || len(r.write) != 1 {
		t.Fatal("renewed after a minute")
	}
	do() // by the clock
	if len(r.read) != 2 || len(r.write) != 2 {
		t.Fatalf("%d and %d deadlines after half an hour", len(r.read), len(r.write))
	}
	c.At(past)
	c.At(time.Time{})
	c.ReadTimeout, c.readAt = time.Minute, time.Time{}
	do()
	if last := r.read[len(r.read)-1]; last.Before(time.Now()) {
		t.Errorf("deadline %v: what was taken back counts", last)
	}
}

func TestTimeout(t *testing.T) {
	mine, other := net.Pipe()
	defer mine.Close()
	defer other.Close()
	c := Conn{Conn: mine, ReadTimeout: time.Millisecond}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || c.ReadErr == nil {
		t.Errorf("%v, noted %v", err, c.ReadErr)
	}
}

// Interrupt ends the read that waits and those that come, whatever deadline they set.
func TestInterrupt(t *testing.T) {
	mine, other := net.Pipe()
	defer mine.Close()
	defer other.Close()
	c := Conn{Conn: mine, ReadTimeout: time.Hour}
	ended := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		ended <- err
	}()
	c.Interrupt()
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the read that waited: %v", err)
	}
	if err := c.Rearm(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the next read: %v", err)
	}
}
