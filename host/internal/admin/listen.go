package admin

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
)

// ListenStatus opens an address for those who watch the gateway: host:port, or unix:///path of a socket that only this user can reach.
func ListenStatus(address string) (net.Listener, error) {
	if path, unix := strings.CutPrefix(address, "unix://"); unix {
		return listenUnix(path)
	}
	return net.Listen("tcp", address)
}

// Listen opens an Admin address, in the same words. One that others can reach is logged as a warning: whoever reaches it may read how the gateway
// is configured, and change it.
func Listen(address string, logger *slog.Logger) (net.Listener, error) {
	ln, err := ListenStatus(address)
	if err != nil {
		return nil, err
	}
	if a, ok := ln.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		logger.Warn("the Admin listener is on an address that other machines may reach, without authentication; expected a loopback address or a unix socket",
			"address", ln.Addr().String())
	}
	return ln, nil
}

// listenUnix makes a socket with mode 0600. One that a gateway left which was killed is replaced.
func listenUnix(path string) (net.Listener, error) {
	ln, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(path) {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replacing the socket that an earlier gateway left: %w", err)
		}
		ln, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}

// abandoned reports whether a file is a socket on which nobody listens.
func abandoned(path string) bool {
	if st, err := os.Lstat(path); err != nil || st.Mode().Type() != os.ModeSocket {
		return false
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
