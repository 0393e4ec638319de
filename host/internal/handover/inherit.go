package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
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
	verdictFD   = 4 // pipe from it
	firstSocket = 5
)

// Words of the old process to one that serves.
const (
	wordGo = "go\n" // this place is yours
	wordNo = "no\n" // end
)

// inherit takes what the older process has left.
func (s *Sockets) inherit(text string) error {
	var n note
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return fmt.Errorf("%s: found %.200q, expected what an older process of the gateway writes: %w", variable, text, err)
	}
	for _, fd := range []int{answerFD, verdictFD} {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
			return fmt.Errorf("%s is set, but descriptor %d is no pipe to an older process", variable, fd)
		}
		syscall.CloseOnExec(fd)
	}
	if err := unix.SetNonblock(verdictFD, true); err != nil { // reading it has a time limit
		return fmt.Errorf("the pipe of the older process: %w", err)
	}
	s.older, s.needed = true, n.Needed
	s.answer, s.verdict = os.NewFile(answerFD, "answer to the older process"), os.NewFile(verdictFD, "verdict of the older process")
	for i, socket := range n.Sockets {
		fd := firstSocket + i
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), socket.Setting+" "+socket.Address)
		addr, err := addressOf(f)
		if err != nil {
			return fmt.Errorf("descriptor %d, for %s %s: %w", fd, socket.Setting, socket.Address, err)
		}
		s.given = append(s.given, &given{socket, f, addr})
	}
	return nil
}

// addressOf is where a socket listens.
func addressOf(f *os.File) (net.Addr, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var listens int
	if cerr := raw.Control(func(fd uintptr) { listens, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ACCEPTCONN) }); cerr != nil {
		return nil, cerr
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("found no socket: %w", err)
	case listens == 0:
		return nil, errors.New("found a socket that does not listen for connections, such as that of one connection (Accept=yes of systemd) or of datagrams")
	}
	ln, err := net.FileListener(f) // a copy
	if err != nil {
		return nil, err
	}
	return ln.Addr(), ln.Close()
}

// takeOver tells the older process that this one serves, and hears what it says to that. One that has ended meanwhile says nothing: its place is free.
func (s *Sockets) takeOver(version string, answer *os.File) error {
	_, err := answer.WriteString(version + "\n")
	err = errors.Join(err, answer.Close())
	defer s.verdict.Close()
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("telling it: %w", err)
	}
	// Without a deadline: a new process that stopped waiting might miss the word that the old one gives up its place. The word comes, or the end of the
	// pipe with that of the old process.
	word, err := io.ReadAll(io.LimitReader(s.verdict, int64(len(wordGo))))
	switch {
	case err != nil:
		return fmt.Errorf("hearing whether this one may: %w", err)
	case len(word) == 0:
		s.logger.Warn("the older process has ended before it could hand over: this one takes its place")
	case string(word) != wordGo:
		return errors.New("it goes on itself, for a reason that its log has")
	}
	return nil
}

// activated takes the sockets that systemd opened for this process.
func (s *Sockets) activated() error {
	var errs []error
	for _, f := range activation.Files(true) {
		addr, err := addressOf(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.Name(), err))
			continue
		}
		s.given = append(s.given, &given{name{Systemd: true}, f, addr})
	}
	return errors.Join(errs...)
}

// same reports whether a socket is at an address of a setting: host:port, or unix:///path. A socket for all addresses is that of 0.0.0.0 and of [::].
func same(addr net.Addr, address string) bool {
	if path, unix := strings.CutPrefix(address, "unix://"); unix {
		u, ok := addr.(*net.UnixAddr)
		return ok && filepath.Clean(u.Name) == filepath.Clean(path)
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
