package serving

import (
	"errors"
	"log/slog"
	"net"
	"syscall"
	"time"
)

// Patient is a listener that outlives a time in which the system has no room for another connection. The HTTP library takes the first such error for the
// end of the listener: whoever opened more connections than the gateway has file descriptors for would end it.
type Patient struct {
	net.Listener
	Logger *slog.Logger
}

// acceptAgain is the time after which a connection is accepted again when there was no room.
const acceptAgain = 50 * time.Millisecond

// Accept waits for a connection, and for room for it.
func (p Patient) Accept() (net.Conn, error) {
	for told := false; ; time.Sleep(acceptAgain) {
		c, err := p.Listener.Accept()
		if err == nil || !passing(err) {
			return c, err
		}
		if !told {
			told = true
			p.Logger.Error("a connection cannot be accepted: those that wait do so until there is room", "address", p.Addr().String(), "error", err.Error())
		}
	}
}

// passing reports whether an error of Accept is about one connection, or about what there is too little of at the moment.
func passing(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EPROTO, syscall.EPERM, syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH:
		return true
	}
	return false
}
