package handover

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// endTime is how long a new process that is not to take over may take to end after SIGTERM.
const endTime = 10 * time.Second

// longestVersion is the most that a new process tells, in bytes.
const longestVersion = 256

// Successor is a process that has taken over.
type Successor struct {
	PID     int
	Version string
}

// Upgrade starts the program of this process again, as it is on disk by now, with the same arguments, and returns when the new process serves: this one
// closes its listeners then. Needed are the plugin servers that are ready here, and have to be ready there first. When ctx ends, or the new process does,
// this process goes on as if nothing had happened.
func (s *Sockets) Upgrade(ctx context.Context, needed []string) (*Successor, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := s.begin(); err != nil {
		return nil, err
	}
	n, err := s.upgrade(ctx, needed)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.upgrading = false
	if err != nil {
		return nil, err
	}
	s.successor = n.PID
	s.unlink(false)
	return n, nil
}

// begin refuses an upgrade that cannot be.
func (s *Sockets) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case os.Getpid() == 1:
		return errors.New("this is the first process of its container, which ends with it; start a new container instead")
	case s.successor != 0:
		return fmt.Errorf("process %d has taken over already", s.successor)
	case s.upgrading:
		return errors.New("an upgrade is under way")
	case s.answer != nil:
		return errors.New("this process is not ready yet")
	}
	s.upgrading = true
	return nil
}

func (s *Sockets) upgrade(ctx context.Context, needed []string) (*Successor, error) {
	path, err := program()
	if err != nil {
		return nil, fmt.Errorf("finding the program %q: %w", os.Args[0], err)
	}
	hear, say, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer hear.Close()
	cmd := exec.Command(path, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{say}
	defer func() {
		for _, f := range cmd.ExtraFiles {
			_ = f.Close()
		}
	}()
	n := note{Needed: needed, Sockets: []name{}}
	for _, o := range s.sockets() {
		f, err := duplicate(o)
		if err != nil {
			return nil, fmt.Errorf("passing on the socket of %s %s: %w", o.Setting, o.Address, err)
		}
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		n.Sockets = append(n.Sockets, o.name)
	}
	text, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), variable+"="+string(text))
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	_ = say.Close()
	return s.await(ctx, cmd, hear)
}

func (s *Sockets) sockets() []*socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*socket(nil), s.open...)
}

// duplicate makes a copy of the descriptor of a socket. File of its listener would make the socket block, in this process too.
func duplicate(o *socket) (*os.File, error) {
	raw, err := o.ln.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var f *os.File
	var failed error
	err = raw.Control(func(fd uintptr) {
		copied, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			failed = err
			return
		}
		f = os.NewFile(uintptr(copied), o.Setting)
	})
	return f, errors.Join(err, failed)
}

// await waits for the word of the new process, or ends it.
func (s *Sockets) await(ctx context.Context, cmd *exec.Cmd, hear *os.File) (*Successor, error) {
	defer context.AfterFunc(ctx, func() { _ = hear.SetReadDeadline(time.Now()) })()
	line, err := bufio.NewReader(io.LimitReader(hear, longestVersion)).ReadString('\n')
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it went is in ProcessState
		close(ended)
	}()
	pid := cmd.Process.Pid
	if err == nil {
		go s.watch(cmd, ended)
		return &Successor{PID: pid, Version: strings.TrimSpace(line)}, nil
	}
	if late := ctx.Err(); late != nil {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(endTime):
			_ = cmd.Process.Kill()
			<-ended
		}
		return nil, fmt.Errorf("the new process %d was ended before it served: %w", pid, context.Cause(ctx))
	}
	select {
	case <-ended:
	case <-time.After(endTime): // it has closed the pipe without a word
		_ = cmd.Process.Kill()
		<-ended
	}
	return nil, fmt.Errorf("the new process %d did not come to serve (%s); the log has its reasons", pid, cmd.ProcessState)
}

// watch tells when the new process ends before this one has.
func (s *Sockets) watch(cmd *exec.Cmd, ended <-chan struct{}) {
	<-ended
	s.logger.Error("the new process ended while this one still had requests to finish", "pid", cmd.Process.Pid, "ended", cmd.ProcessState.String())
}

// program is where the program of this process is on disk: by the name with which it was started, so that a link may lead to another version by now.
func program() (string, error) {
	path, err := exec.LookPath(os.Args[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return os.Executable()
	}
	return filepath.Abs(path)
}
