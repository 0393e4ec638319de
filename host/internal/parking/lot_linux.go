package parking

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Lot holds parked connections. Several goroutines may use it at once.
type Lot struct {
	epoll   *os.File // of the connections; itself watched by Go's poller, so that waiting costs no thread
	fd      int
	waiting sync.WaitGroup

	mu     sync.Mutex
	conns  map[int32]parked // by descriptor
	stays  int32            // counted; see happened
	closed bool
}

// New makes a lot; Close ends it.
func New() (*Lot, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watching idle connections: epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile asks for it
		return nil, errors.Join(fmt.Errorf("watching idle connections: %w", err), unix.Close(fd))
	}
	l := &Lot{epoll: os.NewFile(uintptr(fd), "idle connections"), fd: fd, conns: map[int32]parked{}}
	raw, err := l.epoll.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watching idle connections: %w", err), l.epoll.Close())
	}
	l.waiting.Go(func() { l.watch(raw) })
	return l, nil
}

// Park keeps a connection until something happens on it, at most until the given time. Then leave is called once, on a goroutine of its own or that of Close; the
// connection is the caller's again from there on. Nobody may use it meanwhile, and it may not be closed. false: it cannot be parked, and stays the caller's.
func (l *Lot) Park(c Conn, until time.Time, leave func(Reason)) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	watched := false
	err = raw.Control(func(fd uintptr) {
		l.stays++
		e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(fd), Pad: l.stays} //nolint:gosec // descriptors are small
		if unix.EpollCtl(l.fd, unix.EPOLL_CTL_ADD, int(fd), &e) == nil {
			l.conns[e.Fd] = parked{c, until, leave, l.stays}
			watched = true
		}
	})
	if watched && len(l.conns) == 1 {
		_ = l.epoll.SetReadDeadline(time.Now().Add(sweepEvery)) // fails only when closed
	}
	return err == nil && watched
}

// looked is how many parked connections Evict looks at, at most. Among a few of them is one of the older ones.
const looked = 8

// Evict lets a connection leave that is among the first whose time is up; false when none is parked.
func (l *Lot) Evict() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen, first := 0, int32(-1)
	for fd, p := range l.conns {
		if first < 0 || p.until.Before(l.conns[first].until) {
			first = fd
		}
		if seen++; seen == looked {
			break
		}
	}
	l.release(first, Evicted)
	return seen > 0
}

// Len is the number of parked connections.
func (l *Lot) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Close lets all connections leave, and waits until they have. The leave of one on which something happened just before may still run.
func (l *Lot) Close() {
	l.mu.Lock()
	l.closed = true
	conns := l.conns
	l.conns = nil
	l.mu.Unlock()
	_ = l.epoll.Close() // ends the goroutine that watches
	l.waiting.Wait()
	for _, p := range conns {
		p.leave(Ended)
	}
}

// watch lets connections leave on which something happens, until the lot is closed.
func (l *Lot) watch(raw syscall.RawConn) {
	var events [128]unix.EpollEvent
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events[:], 0)
			return n > 0
		})
		switch {
		case err == nil:
			l.happened(events[:n])
		case errors.Is(err, os.ErrDeadlineExceeded):
			l.sweep(time.Now())
		default:
			return
		}
	}
}

// happened lets connections leave. An event may be older than the stay of the connection that has its descriptor by now: what was parked under it before
// has left meanwhile, by Evict for instance. The kernel gives the number of the stay back with the event.
func (l *Lot) happened(events []unix.EpollEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		if l.conns[e.Fd].stay != e.Pad {
			continue
		}
		reason := Readable
		if e.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			reason = Broken
		}
		l.release(e.Fd, reason)
	}
}

// sweep lets connections leave whose time is up, and says when to come again.
func (l *Lot) sweep(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for fd, p := range l.conns {
		if now.After(p.until) {
			l.release(fd, Expired)
		}
	}
	next := time.Time{}
	if len(l.conns) > 0 {
		next = now.Add(sweepEvery)
	}
	_ = l.epoll.SetReadDeadline(next) // fails only when closed
}

// release takes a connection out. The lock is held.
func (l *Lot) release(fd int32, reason Reason) {
	p, ok := l.conns[fd]
	if !ok {
		return
	}
	delete(l.conns, fd)
	_ = unix.EpollCtl(l.fd, unix.EPOLL_CTL_DEL, int(fd), nil) // the connection is open: nobody closes what is parked
	go p.leave(reason)
}
