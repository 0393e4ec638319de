package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxSocketPath is the longest path of a unix socket, in bytes.
const maxSocketPath = 107

// parseListen splits unix:///path or tcp://host:port.
func parseListen(address string) (network, where string, err error) {
	network, where, found := strings.Cut(address, "://")
	switch {
	case !found || where == "":
	case network == "unix":
		return network, where, nil
	case network == "tcp":
		if _, _, err := net.SplitHostPort(where); err != nil {
			return "", "", fmt.Errorf("address %q: %w", address, err)
		}
		return network, where, nil
	}
	return "", "", fmt.Errorf("address %q: expected unix:///path or tcp://host:port", address)
}

// isLoopback reports whether a host of a tcp address is on this machine alone.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// listen listens on an address as parseListen gives it.
func listen(network, where string) (net.Listener, error) {
	if network == "unix" {
		return listenUnix(where)
	}
	l, err := net.Listen(network, where)
	if err != nil {
		return nil, fmt.Errorf("listening on %s://%s: %w", network, where, err)
	}
	return l, nil
}

var umask sync.Mutex // of the process; held while it is not what it was

// listenUnix makes a socket that its owner alone may use. A socket file that nobody listens on is replaced.
func listenUnix(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("listening on unix://%s: the path has %d bytes; at most %d are possible", path, len(path), maxSocketPath)
	}
	l, err := bindUnix(path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if !abandoned(path) {
			return nil, fmt.Errorf("listening on unix://%s: something else is there", path)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("removing an abandoned socket: %w", err)
		}
		l, err = bindUnix(path)
	}
	if err != nil {
		return nil, fmt.Errorf("listening on unix://%s: %w", path, err)
	}
	return l, nil
}

func bindUnix(path string) (net.Listener, error) {
	umask.Lock()
	defer umask.Unlock()
	old := unix.Umask(0o177)
	defer unix.Umask(old)
	return net.Listen("unix", path)
}

// abandoned reports whether a path is a socket that nobody listens on.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// patientListener gets over what keeps a connection from being accepted and passes: too many open files, no memory, a peer that has gone again.
type patientListener struct {
	net.Listener
	plane  string
	logger *slog.Logger
}

// acceptPause is how long it waits then.
const acceptPause = 50 * time.Millisecond

// Accept fails when the listener is closed or lost, and with what the kernel has not said: a listener of another make may say by it that it is closed.
func (l patientListener) Accept() (net.Conn, error) {
	for told := false; ; told = true {
		conn, err := l.Listener.Accept()
		if err == nil || !passes(err) {
			return conn, err
		}
		if !told {
			l.logger.Warn("accepting a connection failed; it is tried again", "plane", l.plane, "error", err)
		}
		time.Sleep(acceptPause)
	}
}

// passes reports whether an error of accept is one of the kernel, but for those that say that the descriptor is not that of a listener any more: a
// plugin has closed one that is not its own.
func passes(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	return errno != syscall.EBADF && errno != syscall.EINVAL && errno != syscall.ENOTSOCK
}
