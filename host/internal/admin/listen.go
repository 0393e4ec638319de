package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
)

// Listen opens an address of operators: host:port, or unix:///path of a socket that only this user can reach.
func Listen(address string) (net.Listener, error) {
	if path, unix := strings.CutPrefix(address, "unix://"); unix {
		return listenUnix(path)
	}
	return net.Listen("tcp", address)
}

// WarnReachable logs an Admin address that others can reach: whoever reaches it may read how the gateway is configured, and change it.
func WarnReachable(address net.Addr, logger *slog.Logger) {
	if a, ok := address.(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		logger.Warn("the Admin listener is on an address that other machines may reach, without authentication; expected a loopback address or a unix socket",
			"address", address.String())
	}
}

// CheckReachable refuses a unix socket to which every user of this machine can connect, such as one of systemd without SocketMode=: who asks over a unix
// socket is taken for the gateway's own user.
func CheckReachable(address net.Addr) error {
	a, ok := address.(*net.UnixAddr)
	if !ok {
		return nil
	}
	st, err := os.Stat(a.Name)
	if err != nil {
		return fmt.Errorf("looking who can connect to the socket: %w", err)
	}
	if st.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("found the socket %s with mode %#o, to which every user of this machine can connect; expected %#o: SocketMode=0600 in the unit of systemd",
			a.Name, st.Mode().Perm(), socketMode)
	}
	return nil
}

// socketMode lets only the gateway's user connect.
const socketMode = 0o600

// listenUnix makes a socket with socketMode. One that a gateway left which was killed is replaced.
func listenUnix(path string) (net.Listener, error) {
	ln, err := private(path)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(path) {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replacing the socket that an earlier gateway left: %w", err)
		}
		ln, err = private(path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil { // where the mode of the descriptor did not count
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}

// private opens a socket that has its mode before it has a name: Linux gives it to the file, so at no time can others connect. A umask would be one
// of all goroutines, and of the processes that they start meanwhile.
func private(path string) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if failed := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), socketMode) }); failed != nil {
			return failed
		}
		return err
	}}
	return config.Listen(context.Background(), "unix", path)
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
