package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/outrigger-gateway/outrigger/bench/probe"
)

// Times of this program with the gateway.
const (
	startLimit   = 90 * time.Second // until it listens, with its plugin servers
	stopLimit    = 40 * time.Second // for it to end in order, longer than drainTimeout
	drainTimeout = 20 * time.Second // of the gateway: longer than any request and any tunnel
)

// gateway is the program under test: one process after the other, as it is upgraded.
type gateway struct {
	program string
	dir     string
	address string
	admin   admin
	config  *configuration
	names   *nameServer
	log     *os.File
	// died ends, with its cause, when a process does that should not.
	died context.Context
	stop context.CancelCauseFunc

	mu   sync.Mutex
	live *process
}

// process is one process of the gateway.
type process struct {
	pid   int
	ended chan struct{}
	code  int // once it has ended; -1: unknown, or by a signal
	// replaced: another process serves in its place, or it was told to end.
	replaced bool
}

// startGateway starts the gateway and waits for its address.
func startGateway(ctx context.Context, o *options, up *upstream) (_ *gateway, err error) {
	program, err := filepath.Abs(o.gateway)
	if err != nil {
		return nil, err
	}
	repo, err := filepath.Abs(o.repo)
	if err != nil {
		return nil, err
	}
	g := &gateway{program: program}
	g.died, g.stop = context.WithCancelCause(context.Background())
	if g.names, err = startNameServer(); err != nil {
		return nil, err
	}
	if g.dir, err = os.MkdirTemp("", "faults"); err != nil { // short: paths of sockets are
		g.names.close()
		return nil, err
	}
	g.admin = admin{probe.NewAdmin(filepath.Join(g.dir, "admin.sock"), adminLimit)}
	g.config = newConfiguration(g.dir, repo, o, up, g.names)
	if err := g.launch(ctx, o); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

func (g *gateway) launch(ctx context.Context, o *options) error {
	// Processes of later upgrades become children of this one when those before them end.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("becoming the parent of upgraded gateways: %w", err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(g.dir, "run"), 0o700), g.config.writeSettings(), g.config.writeEntities(0)); err != nil {
		return err
	}
	var err error
	if g.log, err = os.Create(filepath.Join(o.out, "gateway.log")); err != nil {
		return err
	}
	cmd := exec.Command(g.program, "run", "--settings", g.config.settings())
	cmd.Stderr = g.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	read, write, err := os.Pipe() // no pipe of the command's: its end is not that of the first process, which leaves it to the next one
	if err != nil {
		return err
	}
	defer func() { _ = write.Close() }()
	cmd.Stdout = write
	if err := cmd.Start(); err != nil {
		return errors.Join(err, read.Close())
	}
	p := &process{pid: cmd.Process.Pid, ended: make(chan struct{})}
	g.live = p
	line := make(chan string, 1)
	go func() {
		defer func() { _ = read.Close() }()
		r := bufio.NewReader(read)
		first, _ := r.ReadString('\n')
		line <- first
		_, _ = io.Copy(io.Discard, r)
	}()
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		g.hasEnded(p, cmd.ProcessState.ExitCode())
	}()
	select {
	case first := <-line:
		_, rest, found := strings.Cut(strings.TrimSpace(first), " is ready on ")
		if !found {
			return fmt.Errorf("the gateway said %q, expected a line with its address; its log is %s", first, g.log.Name())
		}
		g.address, _, _ = strings.Cut(rest, ",")
		return nil
	case <-p.ended:
		return context.Cause(g.died)
	case <-time.After(startLimit):
		return fmt.Errorf("the gateway did not listen within %v; its log is %s", startLimit, g.log.Name())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hasEnded notes the end of a process.
func (g *gateway) hasEnded(p *process, code int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.code = code
	if !p.replaced {
		g.stop(fmt.Errorf("process %d of the gateway ended by itself, with code %d; its log is %s", p.pid, code, g.log.Name()))
	}
	close(p.ended)
}

// current is the process that serves.
func (g *gateway) current() *process {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.live
}

func (g *gateway) signal(s syscall.Signal) error { return syscall.Kill(g.current().pid, s) }

// succeed puts the process of an upgrade in the place of the one before, and gives that.
func (g *gateway) succeed(pid int) (before *process) {
	heir := &process{pid: pid, ended: make(chan struct{})}
	g.mu.Lock()
	before = g.live
	before.replaced = true
	g.live = heir
	g.mu.Unlock()
	go func() {
		<-before.ended // then its child is one of this process
		var status unix.WaitStatus
		code := -1
		for {
			got, err := unix.Wait4(pid, &status, 0, nil)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err == nil && got == pid {
				code = status.ExitStatus()
			}
			break
		}
		g.hasEnded(heir, code)
	}()
	return before
}

// close ends the gateway in order. An error is one of it.
func (g *gateway) close() error {
	var err error
	if p := g.current(); p != nil && g.died.Err() == nil {
		g.mu.Lock()
		p.replaced = true
		g.mu.Unlock()
		_ = syscall.Kill(p.pid, syscall.SIGTERM)
		select {
		case <-p.ended:
			if p.code != 0 {
				err = fmt.Errorf("the gateway ended with code %d; its log is %s", p.code, g.log.Name())
			}
		case <-time.After(stopLimit):
			err = fmt.Errorf("the gateway did not end within %v", stopLimit)
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
			<-p.ended
		}
	}
	err = errors.Join(err, g.sweep())
	g.names.close()
	if g.log != nil {
		_ = g.log.Close()
	}
	return errors.Join(err, os.RemoveAll(g.dir))
}

// sweep kills processes of the gateway that are left, such as one of an upgrade of which nobody was told. They are an error.
func (g *gateway) sweep() error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	var left []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		command, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil || !bytes.HasPrefix(command, []byte(g.program+"\x00run\x00--settings\x00"+g.config.settings()+"\x00")) {
			continue // ended since, or none of ours: the settings are in a directory of this run
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
		left = append(left, pid)
	}
	if len(left) > 0 {
		return fmt.Errorf("after the end of the gateway there were still its processes %v, which were killed", left)
	}
	return nil
}
