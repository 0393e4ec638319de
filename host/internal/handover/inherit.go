package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// variable tells a new process what it inherits, as JSON of a note. It is taken out of the environment at once.
const variable = "OUTRIGGER_HANDOVER"

// note is what an old process tells the new one.
type note struct {
	Sockets []name   `json:"sockets"` // from the descriptor firstSocket on
	Needed  []string `json:"needed"`  // plugin servers that are ready in the old process
}

// Descriptors that a new process inherits.
const (
	answerFD    = 3 // pipe to the old process
	firstSocket = 4
)

// inherit takes what the older process has left.
func (s *Sockets) inherit(text string) error {
	var n note
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return fmt.Errorf("%s: found %.200q, expected what an older process of the gateway writes: %w", variable, text, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(answerFD, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return fmt.Errorf("%s is set, but descriptor %d is no pipe to an older process", variable, answerFD)
	}
	syscall.CloseOnExec(answerFD)
	s.older, s.needed = true, n.Needed
	s.answer = os.NewFile(answerFD, "answer to the older process")
	for i, socket := range n.Sockets {
		fd := firstSocket + i
		if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil {
			return fmt.Errorf("descriptor %d, for %s %s, is no socket: %w", fd, socket.Setting, socket.Address, err)
		}
		syscall.CloseOnExec(fd)
		s.given = append(s.given, &given{name: socket, file: os.NewFile(uintptr(fd), socket.Setting+" "+socket.Address)})
	}
	return nil
}

// activated takes the sockets that systemd opened for this process.
func (s *Sockets) activated() error {
	var errs []error
	for _, f := range activation.Files(true) {
		ln, err := net.FileListener(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: found something else than a socket that listens for connections: %w", f.Name(), err))
			continue
		}
		s.given = append(s.given, &given{name: name{Systemd: true}, file: f, addr: ln.Addr()})
		_ = ln.Close() // a copy, to learn its address
	}
	return errors.Join(errs...)
}

// same reports whether a socket is at an address of a setting: host:port, or unix:///path. A socket for all addresses is that of 0.0.0.0 and of [::].
func same(addr net.Addr, address string) bool {
	if path, unix := strings.CutPrefix(address, "unix://"); unix {
		u, ok := addr.(*net.UnixAddr)
		return ok && u.Name == path
	}
	found, ok := addr.(*net.TCPAddr)
	if !ok {
		return false
	}
	wanted, err := net.ResolveTCPAddr("tcp", address)
	if err != nil || wanted.Port != found.Port {
		return false
	}
	if all := wanted.IP == nil || wanted.IP.IsUnspecified(); all {
		return found.IP.IsUnspecified()
	}
	return found.IP.Equal(wanted.IP)
}
