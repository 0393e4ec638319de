package server

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ticker is a clock of the kernel's that ticks by itself. A timer of Go's would be set anew in the kernel whenever the process waits for its sockets, which
// costs a lone call more than its handler does.
type ticker struct {
	clock  *os.File // nil: there was none to have
	period time.Duration
}

func newTicker(period time.Duration) *ticker {
	t := &ticker{period: period}
	if fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err == nil {
		t.clock = os.NewFile(uintptr(fd), "timerfd")
		t.resume()
	}
	return t
}

// wait waits for the next tick.
func (t *ticker) wait() {
	var ticks [8]byte
	if t.clock != nil {
		if _, err := t.clock.Read(ticks[:]); err == nil {
			return
		}
	}
	time.Sleep(t.period)
}

func (t *ticker) pause()  { t.set(0) }
func (t *ticker) resume() { t.set(t.period) }

// set starts the clock, or stops it with 0.
func (t *ticker) set(period time.Duration) {
	if t.clock == nil {
		return
	}
	conn, err := t.clock.SyscallConn()
	if err == nil {
		spec := unix.ItimerSpec{Interval: unix.NsecToTimespec(int64(period)), Value: unix.NsecToTimespec(int64(period))}
		err = conn.Control(func(fd uintptr) { _ = unix.TimerfdSettime(int(fd), 0, &spec, nil) }) // it takes any period
	}
	if err != nil {
		t.close()
		t.clock = nil
	}
}

func (t *ticker) close() {
	if t.clock != nil {
		_ = t.clock.Close()
	}
}
