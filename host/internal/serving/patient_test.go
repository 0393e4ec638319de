package serving

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// poor is a listener that fails with one error after the other, and then accepts a connection.
type poor struct {
	net.Listener
	errs []error
}

func (p *poor) Accept() (net.Conn, error) {
	if len(p.errs) > 0 {
		err := p.errs[0]
		p.errs = p.errs[1:]
		return nil, err
	}
	c, _ := net.Pipe()
	return c, nil
}

func (p *poor) Addr() net.Addr { return &net.TCPAddr{} }

func accepting(errno syscall.Errno) error {
	return &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", errno)}
}

// A listener goes on after a time without file descriptors, says so once, and ends when it is closed.
func TestPatient(t *testing.T) {
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	p := Patient{&poor{errs: []error{accepting(syscall.EMFILE), accepting(syscall.EMFILE), accepting(syscall.ENOBUFS)}}, logger}
	c, err := p.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if n := strings.Count(log.String(), "too many open files"); n != 1 || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("log: %s", log.String())
	}
	for _, end := range []error{&net.OpError{Op: "accept", Err: net.ErrClosed}, io.EOF, accepting(syscall.EINVAL)} {
		p := Patient{&poor{errs: []error{accepting(syscall.EMFILE), end}}, logger}
		if _, err := p.Accept(); !errors.Is(err, end) {
			t.Errorf("%v, expected %v", err, end)
		}
	}
}
