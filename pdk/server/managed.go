package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// The environment of a managed server; docs/wire.md section 9.
const (
	cookieKey    = "OUTRIGGER_PLUGIN"
	cookieValue  = "82f1b1a5c0d94e1f"
	versionsKey  = "PLUGIN_PROTOCOL_VERSIONS" // go-plugin's
	runDirKey    = "OUTRIGGER_RUN_DIR"
	socketDirKey = "PLUGIN_UNIX_SOCKET_DIR" // go-plugin's, when there is no run directory
	lifelineKey  = "OUTRIGGER_LIFELINE_FD"
)

// managed serves the host that started this process.
func managed(plugins []pdk.Plugin) error {
	handshake, err := takeStdout()
	if err != nil {
		return err
	}
	sockets := &socketFiles{}
	defer sockets.remove()
	if err := watchLifeline(sockets); err != nil {
		return err
	}
	if versions := os.Getenv(versionsKey); versions != "" && !slices.Contains(strings.Split(versions, ","), "1") {
		return fmt.Errorf("the host speaks go-plugin protocol %s, this server 1", versions)
	}
	s, err := New(plugins...)
	if err != nil {
		return err
	}
	dir, err := sockets.directory()
	if err != nil {
		return err
	}
	var l Listeners
	if l.Control, err = sockets.listen(filepath.Join(dir, fmt.Sprintf("c%d.sock", os.Getpid()))); err != nil {
		return err
	}
	if l.Data, err = sockets.listen(filepath.Join(dir, fmt.Sprintf("d%d.sock", os.Getpid()))); err != nil {
		return err
	}
	// The host decides, when somebody presses Ctrl-C; and when its end of standard error is gone, the lifeline ends this process in order.
	signal.Ignore(os.Interrupt, syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if _, err := fmt.Fprintf(handshake, "1|1|unix|%s|grpc\n", l.Control.Addr()); err != nil {
		return fmt.Errorf("writing the handshake line: %w", err)
	}
	return s.Serve(ctx, l)
}

// takeStdout keeps standard output for the handshake line and makes descriptor 1 the same as standard error, so that nothing a plugin prints can
// be taken for it.
func takeStdout() (*os.File, error) {
	fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("keeping standard output for the handshake: %w", err)
	}
	if err := dup(2, 1); err != nil {
		return nil, fmt.Errorf("sending standard output to standard error: %w", err)
	}
	return os.NewFile(uintptr(fd), "handshake"), nil
}

// watchLifeline ends the process at once when the host is gone. Without the variable there is nothing to watch.
func watchLifeline(sockets *socketFiles) error {
	value := os.Getenv(lifelineKey)
	if value == "" {
		return nil
	}
	fd, err := strconv.Atoi(value)
	if err != nil || fd < 3 {
		return fmt.Errorf("%s is %q; expected the number of a descriptor from 3 on", lifelineKey, value)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		return fmt.Errorf("%s is %d, which is not open: %w", lifelineKey, fd, err)
	}
	unix.CloseOnExec(fd)
	lifeline := os.NewFile(uintptr(fd), "lifeline")
	go func() {
		_, _ = io.Copy(io.Discard, lifeline)
		sockets.remove()
		os.Exit(1)
	}()
	return nil
}

// socketFiles are the files that must not stay behind.
type socketFiles struct {
	mu    sync.Mutex
	paths []string
	dir   string // made by us
}

// directory is where sockets are made.
func (f *socketFiles) directory() (string, error) {
	for _, key := range []string{runDirKey, socketDirKey} {
		if dir := os.Getenv(key); dir != "" {
			return dir, nil
		}
	}
	dir, err := os.MkdirTemp("", "outrigger-")
	if err != nil {
		return "", fmt.Errorf("making a directory for sockets: %w", err)
	}
	f.mu.Lock()
	f.dir = dir
	f.mu.Unlock()
	return dir, nil
}

func (f *socketFiles) listen(path string) (net.Listener, error) {
	f.mu.Lock()
	f.paths = append(f.paths, path)
	f.mu.Unlock()
	return listenUnix(path)
}

func (f *socketFiles) remove() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, path := range f.paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			fmt.Fprintln(os.Stderr, "removing a socket:", err)
		}
	}
	if f.dir != "" {
		_ = os.Remove(f.dir)
	}
}
