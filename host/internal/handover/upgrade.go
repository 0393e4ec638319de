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

	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
)

// longestVersion is the most that a new process tells, in bytes.
const longestVersion = 256

// Successor is a process that has taken over.
type Successor struct {
	PID     int
	Version string
}

// Refusal is why an upgrade does not begin.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// Upgrade starts the program of this process again, as it is on disk by now, with the same arguments, and returns when the new process serves: this one
// closes its listeners then. Needed are the plugin servers that are ready here, and have to be ready there first. When ctx ends, or the new process does,
// this process goes on as if nothing had happened; the new one, which may have accepted requests, has the time ending to end in order. The error is a
// Refusal when no upgrade has begun.
func (s *Sockets) Upgrade(ctx context.Context, needed []string, ending time.Duration) (*Successor, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	over, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer over()
	s.logger.Log(ctx, telemetry.LevelNotice, "an upgrade begins: the program is started again", "program", os.Args[0])
	path, err := program()
	if err != nil {
		return nil, fmt.Errorf("finding the program %q: %w", os.Args[0], err)
	}
	cmd := exec.Command(path, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	return s.handOver(ctx, cmd, needed, ending)
}

// begin refuses an upgrade that cannot be. Over is to be called at its end.
func (s *Sockets) begin() (over func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case os.Getpid() == 1:
		return nil, Refusal("this is the first process of its container, which ends with it; start a new container instead")
	case s.successor != nil:
		return nil, Refusal(fmt.Sprintf("process %d has taken over already", s.successor.PID))
	case s.underway != nil:
		return nil, Refusal("an upgrade is under way")
	case s.answer != nil:
		return nil, Refusal("this process is not ready yet")
	}
	s.underway, s.hurry, s.hurried = make(chan struct{}), make(chan struct{}), false
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		close(s.underway)
		s.underway = nil
	}, nil
}

// Settled is closed when no upgrade is under way; the context of one has ended.
func (s *Sockets) Settled() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.underway != nil {
		return s.underway
	}
	settled := make(chan struct{})
	close(settled)
	return settled
}

// Hurry ends a new process at once that has no more time anyway.
func (s *Sockets) Hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.underway != nil && !s.hurried {
		close(s.hurry)
		s.hurried = true
	}
}

// Successor is the process that has taken over; nil: none has.
func (s *Sockets) Successor() *Successor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.successor
}

// handOver starts a command with the sockets, and waits for it to serve.
func (s *Sockets) handOver(ctx context.Context, cmd *exec.Cmd, needed []string, ending time.Duration) (*Successor, error) {
	hear, say, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer hear.Close()
	listen, tell, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, say.Close())
	}
	defer tell.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{say, listen}
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
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	_, _ = say.Close(), listen.Close()
	return s.await(ctx, cmd, hear, tell, ending)
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

// await waits for the word of the new process and gives it its place, or ends it.
func (s *Sockets) await(ctx context.Context, cmd *exec.Cmd, hear, tell *os.File, ending time.Duration) (*Successor, error) {
	defer context.AfterFunc(ctx, func() { _ = hear.SetReadDeadline(time.Now()) })()
	line, err := bufio.NewReader(io.LimitReader(hear, longestVersion)).ReadString('\n')
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it went is in ProcessState
		close(ended)
	}()
	n := &Successor{PID: cmd.Process.Pid, Version: strings.TrimSpace(line)}
	if err == nil && s.yield(ctx, n, tell) {
		go s.watch(cmd, ended)
		return n, nil
	}
	_, _ = tell.WriteString(wordNo)
	if ctx.Err() != nil {
		s.logger.Warn("the new process is given up: it ends when it has answered the requests that it may have", "pid", n.PID, "reason", context.Cause(ctx).Error())
		_ = cmd.Process.Signal(syscall.SIGTERM)
		s.endWithin(ending, cmd, ended)
		return nil, fmt.Errorf("the new process %d was ended before it served: %w", n.PID, context.Cause(ctx))
	}
	s.endWithin(ending, cmd, ended) // it has closed the pipe without a word
	return nil, fmt.Errorf("the new process %d did not come to serve (%s); the log has its reasons", n.PID, cmd.ProcessState)
}

// yield gives a new process its place, unless ctx has ended or nobody listens any more. The files of unix sockets are the new one's from then on.
func (s *Sockets) yield(ctx context.Context, n *Successor, tell *os.File) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	if _, err := tell.WriteString(wordGo); err != nil {
		return false
	}
	s.successor = n
	s.unlink(false)
	return true
}

// endWithin waits for a process to end, and kills it when it takes too long.
func (s *Sockets) endWithin(limit time.Duration, cmd *exec.Cmd, ended <-chan struct{}) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ended:
		return
	case <-timer.C:
	case <-s.hurry:
	}
	_ = cmd.Process.Kill()
	<-ended
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
