package launcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// Command is the launcher as a command: this very binary, even when its file was replaced or moved since. Its environment is empty: the
// program's is for the program alone. The caller adds the descriptors.
func Command() *exec.Cmd {
	return &exec.Cmd{Path: "/proc/self/exe", Args: []string{os.Args[0], Arg}, Env: []string{"GOMAXPROCS=1", "GOTRACEBACK=none"}}
}

// Socket is the host's end of the socket to one launcher.
type Socket struct{ conn *net.UnixConn }

// NewSocket makes a socket. child becomes the descriptor FD of the launcher; the caller closes its own copy after the start.
func NewSocket() (host *Socket, child *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make the socket to the launcher: %w", err)
	}
	child = os.NewFile(uintptr(fds[1]), "launcher socket")
	ours := os.NewFile(uintptr(fds[0]), "launcher socket")
	defer ours.Close() // FileConn has a copy
	conn, err := net.FileConn(ours)
	if err != nil {
		child.Close()
		return nil, nil, fmt.Errorf("make the socket to the launcher: %w", err)
	}
	return &Socket{conn.(*net.UnixConn)}, child, nil
}

// Launch sends the Spec and waits until the launcher has become the program, at most for d. A *Failure says what the launcher could not
// do. Launch returns nil too when the process was killed meanwhile: its end is told by whoever waits for it.
func (s *Socket) Launch(spec *Spec, d time.Duration) error {
	b, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("tell the launcher what to run: %w", err)
	}
	if err := s.conn.SetDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	if _, err = s.conn.Write(b); err == nil {
		err = s.conn.CloseWrite()
	}
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.ENOTCONN) {
		return nil // it was killed
	}
	if err != nil {
		return fmt.Errorf("tell the launcher what to run: %w", err)
	}
	answer, err := io.ReadAll(io.LimitReader(s.conn, 64<<10))
	switch {
	case errors.Is(err, unix.ECONNRESET):
		return nil
	case err != nil:
		return fmt.Errorf("wait for the launcher to become the program: %w", err)
	case len(answer) == 0:
		return nil
	}
	f := &Failure{}
	if err := json.Unmarshal(answer, f); err != nil {
		return fmt.Errorf("the launcher said %q, expected a failure or nothing: is it the host's binary?", answer)
	}
	return f
}

// Close frees the socket. A launcher that has no Spec yet ends.
func (s *Socket) Close() { s.conn.Close() }
