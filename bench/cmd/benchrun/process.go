package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startTimeout bounds the start of one process, its plugin server included; stopTimeout its end.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
)

// process is a program that the runner started and ends.
type process struct {
	name    string
	cmd     *exec.Cmd
	log     string // the file with its standard error
	address string
	ended   chan struct{}
	err     error // set when ended is closed
}

// ownGroup keeps a child out of the terminal's reach, so that Ctrl-C comes to the runner alone and it ends its children in order; should the
// runner be killed, they get SIGTERM.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// launch starts a program and waits until it prints "... is ready on <address>".
func launch(ctx context.Context, name, dir string, env []string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(args[0], args[1:]...), log: filepath.Join(dir, "log"), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own
	p.cmd.SysProcAttr = ownGroup()
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = log
	out := &readyLine{found: make(chan string, 1)}
	p.cmd.Stdout = out
	p.cmd.WaitDelay = 5 * time.Second // for what it started to let go of standard output
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	late := time.NewTimer(startTimeout)
	defer late.Stop()
	select {
	case p.address = <-out.found:
		return p, nil
	case <-p.ended:
		err = fmt.Errorf("%s ended before it was ready: %w", name, orClean(p.err))
	case <-late.C:
		err = fmt.Errorf("%s was not ready within %s", name, startTimeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = p.stop()
	if tail := p.tail(); tail != "" && ctx.Err() == nil {
		err = fmt.Errorf("%w\n%s", err, tail)
	}
	return nil, err
}

// readyLine looks for the line that tells a program's address in its standard output and drops the rest.
type readyLine struct {
	found chan string // capacity 1
	line  []byte
}

func (r *readyLine) Write(b []byte) (int, error) {
	for part := range bytes.Lines(b) {
		r.line = append(r.line, part...)
		if !bytes.HasSuffix(part, []byte("\n")) {
			continue
		}
		if _, address, ok := strings.Cut(strings.TrimSpace(string(r.line)), " is ready on "); ok {
			select {
			case r.found <- address:
			default:
			}
		}
		r.line = r.line[:0]
	}
	return len(b), nil
}

func orClean(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// running says why the process does not run any more, if so.
func (p *process) running() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s ended: %w\n%s", p.name, orClean(p.err), p.tail())
	default:
		return nil
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process and waits for it. What is left after stopTimeout is killed; a gateway's reaper then ends its plugin servers.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	late := time.NewTimer(stopTimeout)
	defer late.Stop()
	select {
	case <-p.ended:
		return nil
	case <-late.C:
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
	return fmt.Errorf("%s did not end within %s and was killed\n%s", p.name, stopTimeout, p.tail())
}

// tail is the end of the process's log.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
