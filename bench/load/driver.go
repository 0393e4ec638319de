package load

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/outrigger-gateway/outrigger/bench/stats"
)

// driver is one run. All of it belongs to one thread.
type driver struct {
	spec       Spec
	address    *net.TCPAddr
	begin, end func()

	epoll  int
	events []unix.EpollEvent
	conns  []*conn
	idle   []*conn // at a fixed rate: those without a request, the last used at the end
	buf    []byte  // what was read, shared by all connections

	base      time.Time // all times are nanoseconds since then
	from, to  int64     // the measurement
	looked    int64     // when the timeouts were last looked at
	busy      int       // requests without an answer
	next      int64     // at a fixed rate: the number of the next request
	measuring bool
	ended     bool
	usedCPU   time.Duration
	used      []time.Duration // by the watched processes

	latencies *stats.Histogram
	result    Result
}

// conn is one connection.
type conn struct {
	fd       int
	index    int // in driver.conns
	out      []byte
	waiting  bool  // epoll tells when it can be written to
	busy     bool  // a request waits for its answer
	start    int64 // when its latency began
	response response
}

// lookAt is how often timeouts are looked for, nanoseconds.
const lookAt = int64(100 * time.Millisecond)

// open opens all connections.
func (d *driver) open() (err error) {
	runtime.LockOSThread() // until close: the precision of timers belongs to the thread
	d.epoll = -1
	// Without it a wait is up to 50 µs late.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("load: asking for precise timers: %w", err)
	}
	if d.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	d.events = make([]unix.EpollEvent, min(d.spec.Connections, 1024))
	for i := range d.spec.Connections {
		c := &conn{fd: -1, index: i}
		if err := d.connect(c); err != nil {
			return fmt.Errorf("load: connection %d of %d to %s: %w", i+1, d.spec.Connections, d.spec.Address, err)
		}
		d.conns = append(d.conns, c)
	}
	d.idle = append(d.idle, d.conns...)
	return nil
}

func (d *driver) close() {
	for _, c := range d.conns {
		if c.fd >= 0 {
			_ = unix.Close(c.fd)
		}
	}
	if d.epoll >= 0 {
		_ = unix.Close(d.epoll)
	}
	runtime.UnlockOSThread()
}

// connect opens the connection of c.
func (d *driver) connect(c *conn) error {
	family, to := unix.AF_INET, unix.Sockaddr(nil)
	if v4 := d.address.IP.To4(); v4 != nil {
		to = &unix.SockaddrInet4{Port: d.address.Port, Addr: [4]byte(v4)}
	} else {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: d.address.Port, Addr: [16]byte(d.address.IP.To16())}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = errors.Join(unix.Connect(fd, to), unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), unix.SetNonblock(fd, true))
	if err == nil {
		err = unix.EpollCtl(d.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.index)})
	}
	if err != nil {
		_ = unix.Close(fd)
		return err
	}
	c.fd = fd
	c.waiting, c.busy, c.out = false, false, nil
	c.response.reset()
	return nil
}

// run drives until the measurement has ended and every request is answered.
func (d *driver) run() (Result, error) {
	d.base = time.Now()
	d.from = int64(d.spec.Warm)
	d.to = d.from + int64(d.spec.Time)
	if d.spec.Rate == 0 {
		d.idle = d.idle[:0]
		for _, c := range d.conns {
			d.send(c, d.now())
		}
	}
	for {
		now := d.now()
		if d.advance(now); d.ended && d.busy == 0 {
			break
		}
		if now-d.looked >= lookAt {
			d.looked = now
			d.expire(now)
		}
		n, err := d.wait(d.pause(now))
		if err != nil {
			return Result{}, err
		}
		for i := range n {
			d.serve(d.conns[d.events[i].Fd], d.events[i].Events)
		}
	}
	return d.summary(), nil
}

func (d *driver) now() int64 { return int64(time.Since(d.base)) }

// advance begins and ends the measurement, and at a fixed rate sends what is due.
func (d *driver) advance(now int64) {
	if !d.measuring && now >= d.from {
		d.measuring = true
		d.usedCPU, d.used = usedCPU(), d.watched()
		if d.begin != nil {
			d.begin()
		}
	}
	if d.spec.Rate > 0 {
		d.sendDue(now)
	}
	if !d.ended && now >= d.to && (d.spec.Rate == 0 || d.due(d.next) >= d.to) {
		d.ended = true
		d.usedCPU = usedCPU() - d.usedCPU
		for i, t := range d.watched() {
			if d.used[i] >= 0 && t >= 0 {
				t -= d.used[i]
			}
			d.used[i] = t
		}
		if d.end != nil {
			d.end()
		}
	}
}

// due is the moment at which a request should start.
func (d *driver) due(number int64) int64 { return int64(float64(number) / d.spec.Rate * 1e9) }

// sendDue sends the requests whose moment has come, as long as there are connections without one. What finds none is sent later, and its
// latency counts from its moment all the same.
func (d *driver) sendDue(now int64) {
	for len(d.idle) > 0 {
		at := d.due(d.next)
		if at > now || at >= d.to {
			return
		}
		c := d.idle[len(d.idle)-1]
		d.idle = d.idle[:len(d.idle)-1]
		d.next++
		d.send(c, at)
	}
}

// pause is how long nothing has to be done, unless something arrives.
func (d *driver) pause(now int64) int64 {
	until := now + lookAt
	switch {
	case !d.measuring:
		until = min(until, d.from)
	case now < d.to:
		until = min(until, d.to)
	}
	if d.spec.Rate > 0 && len(d.idle) > 0 {
		if at := d.due(d.next); at < d.to {
			until = min(until, at)
		}
	}
	return max(0, until-now)
}

// wait waits for connections, at most so many nanoseconds.
func (d *driver) wait(pause int64) (int, error) {
	limit := unix.NsecToTimespec(pause)
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(d.epoll), uintptr(unsafe.Pointer(&d.events[0])), uintptr(len(d.events)),
		uintptr(unsafe.Pointer(&limit)), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR:
		return 0, nil
	case unix.ENOSYS:
		return 0, errors.New("load: this kernel has no epoll_pwait2; expected Linux 5.11 or newer")
	}
	return 0, fmt.Errorf("load: waiting for connections: %w", errno)
}

// send starts a request whose latency counts from start.
func (d *driver) send(c *conn, start int64) {
	c.busy, c.start = true, start
	c.out = d.spec.Request
	d.busy++
	d.write(c)
}

// write writes as much of the request as the connection takes.
func (d *driver) write(c *conn) {
	for len(c.out) > 0 {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(c.fd), uintptr(unsafe.Pointer(&c.out[0])), uintptr(len(c.out)))
		switch errno {
		case 0:
			c.out = c.out[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			d.watch(c, true)
			return
		default:
			d.broken(c, &d.result.Errors.Write, fmt.Errorf("writing a request: %w", errno))
			return
		}
	}
	d.watch(c, false)
}

// watch says whether epoll is to tell when c can be written to.
func (d *driver) watch(c *conn, writing bool) {
	if c.waiting == writing {
		return
	}
	c.waiting = writing
	events := uint32(unix.EPOLLIN)
	if writing {
		events |= unix.EPOLLOUT
	}
	if err := unix.EpollCtl(d.epoll, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: events, Fd: int32(c.index)}); err != nil {
		d.broken(c, &d.result.Errors.Write, err)
	}
}

// serve does what epoll says is possible.
func (d *driver) serve(c *conn, events uint32) {
	if c.fd < 0 {
		return
	}
	if events&unix.EPOLLOUT != 0 && len(c.out) > 0 {
		d.write(c)
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) == 0 || c.fd < 0 {
		return
	}
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(c.fd), uintptr(unsafe.Pointer(&d.buf[0])), uintptr(len(d.buf)))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
	case errno != 0:
		d.broken(c, &d.result.Errors.Read, fmt.Errorf("reading an answer: %w", errno))
	case n == 0 && !c.busy:
		d.reopen(c)
	case n == 0:
		d.broken(c, &d.result.Errors.Read, errors.New("the server closed the connection before it answered"))
	default:
		d.read(c, d.buf[:n])
	}
}

// read takes bytes of an answer.
func (d *driver) read(c *conn, b []byte) {
	if !c.busy {
		d.broken(c, &d.result.Errors.Malformed, fmt.Errorf("found %d bytes that belong to no request", len(b)))
		return
	}
	rest, done, err := c.response.feed(b)
	switch {
	case err != nil:
		d.broken(c, &d.result.Errors.Malformed, err)
	case done && len(rest) > 0:
		d.broken(c, &d.result.Errors.Malformed, fmt.Errorf("found %d bytes behind the answer", len(rest)))
	case done:
		d.answered(c)
	}
}

// answered counts an answer and goes on with the connection.
func (d *driver) answered(c *conn) {
	now := d.now()
	r := &c.response
	switch {
	case r.status != d.spec.Status:
		d.failed(&d.result.Errors.Status, "found status "+strconv.Itoa(r.status)+", expected "+strconv.Itoa(d.spec.Status))
	case d.spec.Body >= 0 && r.length != d.spec.Body:
		d.failed(&d.result.Errors.Body, fmt.Sprintf("found a body of %d bytes, expected %d", r.length, d.spec.Body))
	default:
		d.result.Answered++
		if d.counts(c.start, now) {
			d.latencies.Record(time.Duration(now - c.start))
		}
	}
	unfinished := len(c.out) > 0 // answered before it was sent: what is left of it would be read as the next request
	closes := r.closes
	c.busy = false
	d.busy--
	r.reset()
	if closes || unfinished {
		d.reopen(c)
		return
	}
	d.free(c, now)
}

// counts says whether a request is part of the measurement: in the closed loop when its answer comes in time, and not before whoever watches was
// told of the begin; at a fixed rate when it starts in time, however late its answer is.
func (d *driver) counts(start, now int64) bool {
	if d.spec.Rate > 0 {
		return start >= d.from && start < d.to
	}
	return d.measuring && now < d.to
}

// free gives a connection its next request: at once in the closed loop, else when one is due.
func (d *driver) free(c *conn, now int64) {
	switch {
	case d.spec.Rate > 0:
		d.idle = append(d.idle, c)
		d.sendDue(now)
	case now < d.to:
		d.send(c, now)
	}
}

// failed counts an error.
func (d *driver) failed(counter *int, why string) {
	*counter++
	if d.result.Errors.First == "" {
		d.result.Errors.First = why
	}
}

// broken counts an error after which a connection cannot be used, and opens it again.
func (d *driver) broken(c *conn, counter *int, why error) {
	d.failed(counter, why.Error())
	if c.busy {
		c.busy = false
		d.busy--
	} else {
		d.forget(c)
	}
	d.replace(c)
}

// reopen opens a connection again that the server has closed between two answers.
func (d *driver) reopen(c *conn) {
	d.result.Reopened++
	d.forget(c)
	d.replace(c)
}

// forget takes c out of the idle connections.
func (d *driver) forget(c *conn) {
	for i, other := range d.idle {
		if other == c {
			d.idle = append(d.idle[:i], d.idle[i+1:]...)
			return
		}
	}
}

// replace opens c again. Where that fails, the connection is gone for the rest of the run.
func (d *driver) replace(c *conn) {
	_ = unix.Close(c.fd)
	c.fd = -1
	if d.ended {
		return
	}
	if err := d.connect(c); err != nil {
		d.failed(&d.result.Errors.Connect, err.Error())
		return
	}
	d.free(c, d.now())
}

// expire gives up requests that nobody answered in time. At a fixed rate it also gives up, after the end, when no connection is left.
func (d *driver) expire(now int64) {
	for _, c := range d.conns {
		if c.busy && now-c.start > int64(d.spec.Timeout) {
			d.broken(c, &d.result.Errors.Timeout, fmt.Errorf("no answer within %s", d.spec.Timeout))
		}
	}
	if now < d.to+int64(d.spec.Timeout) || d.spec.Rate == 0 || d.ended {
		return
	}
	for at := d.due(d.next); at < d.to; at = d.due(d.next) { // they never found a connection
		d.next++
		d.failed(&d.result.Errors.Timeout, "found no connection within "+d.spec.Timeout.String())
	}
}

func (d *driver) summary() Result {
	r := d.result
	r.Requests = int(d.latencies.Count())
	r.Elapsed = d.spec.Time
	r.PerSecond = float64(r.Requests) / r.Elapsed.Seconds()
	r.P50, r.P90, r.P99 = d.latencies.Quantile(0.5), d.latencies.Quantile(0.9), d.latencies.Quantile(0.99)
	r.P999, r.Max = d.latencies.Quantile(0.999), d.latencies.Max()
	r.CPU, r.Used = d.usedCPU, d.used
	return r
}

// watched are the processor times of the watched processes.
func (d *driver) watched() []time.Duration {
	times := make([]time.Duration, len(d.spec.Watch))
	for i, pid := range d.spec.Watch {
		times[i] = ProcessCPU(pid)
	}
	return times
}
