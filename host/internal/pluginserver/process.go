package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/reaper"
	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
)

// lifelineFD is the number of the lifeline in the child: the first descriptor after the standard ones.
const lifelineFD = 3

// drainOutput is how long the output of a dead process is still read when a descendant that left the group holds it open.
const drainOutput = time.Second

// process is one managed process. It implements go-plugin's runner.Runner: go-plugin does the handshake, and everything about the
// operating system is here.
//
// The process leads a group of its own, has /dev/null as standard input, inherits no descriptor but its outputs and the lifeline, and
// its group is killed when the leader ends. go-plugin sees a standard output that holds the handshake line alone, and a standard error
// that is empty; both end with the process.
type process struct {
	command []string
	dir     string
	env     []string // set by go-plugin's RunnerFunc
	tmpDir  string   // for sockets; owned by the account
	account *account // nil: the host's
	limits  limits
	reaper  *reaper.Reaper
	logger  *slog.Logger
	stdoutR *io.PipeReader // what go-plugin sees
	stdoutW *io.PipeWriter
	stderrR *io.PipeReader
	stderrW *io.PipeWriter

	cmd      *exec.Cmd
	pid      atomic.Int64
	lifeline *os.File
	tail     lastLine
	output   sync.WaitGroup
	exited   chan struct{} // closed when the process has been waited for and its output was read

	limitErr error // why it was killed at once

	mu       sync.Mutex
	killed   bool // before or after the start: a start is refused
	reaped   bool
	byItself bool // ended, and nobody here had killed it
	waitErr  error
}

func newProcess(command []string, dir string, l limits, a *account, r *reaper.Reaper, logger *slog.Logger) *process {
	p := &process{
		command: command, dir: dir, limits: l, account: a, reaper: r, logger: logger,
		exited: make(chan struct{}),
	}
	p.stdoutR, p.stdoutW = io.Pipe()
	p.stderrR, p.stderrW = io.Pipe()
	return p
}

// errKilled is why a process does not start that was killed before.
var errKilled = errors.New("stopped before it was started")

// Start starts the process. Part of runner.Runner.
func (p *process) Start(context.Context) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() {
		if err != nil {
			p.reaped = true
			p.waitErr = err
			p.stdoutW.Close()
			p.stderrW.Close()
			close(p.exited)
		}
	}()
	if p.killed {
		return errKilled
	}
	var files [6]*os.File // read and write ends of stdout, stderr and lifeline
	defer func() {
		for i, f := range files {
			if f != nil && (err != nil || i == 1 || i == 3 || i == 4) { // the child has its own copies
				f.Close()
			}
		}
	}()
	for i := 0; i < len(files); i += 2 {
		if files[i], files[i+1], err = os.Pipe(); err != nil {
			return err
		}
	}
	p.cmd = exec.Command(p.command[0], p.command[1:]...)
	p.cmd.Dir, p.cmd.Env = p.dir, p.env
	p.cmd.Stdout, p.cmd.Stderr = files[1], files[3]
	p.cmd.ExtraFiles = []*os.File{files[4]}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.account != nil {
		p.cmd.SysProcAttr.Credential = p.account.credential
	}
	if err = p.cmd.Start(); err != nil {
		return explainExec(p.command[0], p.dir, err)
	}
	pid := p.cmd.Process.Pid
	p.pid.Store(int64(pid))
	p.reaper.Add(pid)
	p.lifeline = files[5]
	if p.limitErr = p.limits.apply(pid); p.limitErr != nil {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
	p.output.Go(func() { p.readStdout(files[0]) })
	p.output.Go(func() { p.readStderr(files[2]) })
	go p.wait(files[0], files[2])
	return nil
}

// readStdout passes the handshake line on and logs every other line.
func (p *process) readStdout(out *os.File) {
	defer out.Close() // stdoutW stays open until the process ends: go-plugin must not take its end of file for the reason
	shaken := false
	eachLine(out, func(line string, part int, more bool) {
		if !shaken && part == 0 && isHandshake(line) {
			shaken = true
			_, _ = io.WriteString(p.stdoutW, line+"\n")
			return
		}
		p.logLine("stdout", line, part, more)
	})
}

func (p *process) readStderr(out *os.File) {
	defer out.Close()
	eachLine(out, func(line string, part int, more bool) { p.logLine("stderr", line, part, more) })
}

func (p *process) logLine(stream, line string, part int, more bool) {
	if part <= 1 {
		p.tail.set(stream, line)
	}
	attrs := []any{"pid", p.pid.Load(), "stream", stream}
	if part > 0 {
		attrs = append(attrs, "part", part, "more", more)
	}
	p.logger.Log(context.Background(), telemetry.LevelNotice, line, attrs...) // visible by default: it may be why the server ended
}

// wait ends with the process. The group is killed, and taken back from the reaper, before the leader is waited for: until then the
// number of the group has no other owner.
func (p *process) wait(stdout, stderr *os.File) {
	pid := p.cmd.Process.Pid
	waitLeader(pid)
	p.mu.Lock()
	p.byItself = !p.killed
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	p.reaper.Del(pid)
	p.reaped = true
	p.waitErr = p.cmd.Wait()
	p.mu.Unlock()
	p.lifeline.Close()
	end := time.Now().Add(drainOutput)
	_ = stdout.SetReadDeadline(end)
	_ = stderr.SetReadDeadline(end)
	p.output.Wait()
	p.stdoutW.Close()
	p.stderrW.Close()
	close(p.exited)
}

// signal sends sig to the whole group, as long as it is ours.
func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sig == syscall.SIGKILL {
		p.killed = true
	}
	if pid := p.pid.Load(); pid != 0 && !p.reaped {
		_ = syscall.Kill(-int(pid), sig)
	}
}

// endedByItself says whether the process has ended before anybody here killed it.
func (p *process) endedByItself() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byItself
}

// ending says how the process ended, for messages. It is called after exited was closed.
func (p *process) ending() string { return p.endingWhen("") }

// endingWhen is ending with a word on when it was.
func (p *process) endingWhen(when string) string {
	p.mu.Lock()
	err := p.waitErr
	p.mu.Unlock()
	if p.pid.Load() == 0 {
		return err.Error()
	}
	if p.limitErr != nil {
		return p.limitErr.Error()
	}
	s := "exit status 0"
	if err != nil {
		s = err.Error()
	}
	s = fmt.Sprintf("ended with %s%s (pid %d, started as %q)", s, when, p.pid.Load(), strings.Join(p.command, " "))
	if line := p.tail.String(); line != "" {
		s += "; its last line on " + line
	}
	return s
}

// The rest of runner.Runner.

// Wait returns when the process has ended.
func (p *process) Wait(context.Context) error {
	<-p.exited
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waitErr
}

// Kill kills the group; it does not wait.
func (p *process) Kill(context.Context) error { p.signal(syscall.SIGKILL); return nil }

// Stdout is the handshake line.
func (p *process) Stdout() io.ReadCloser { return p.stdoutR }

// Stderr is empty.
func (p *process) Stderr() io.ReadCloser { return p.stderrR }

// Name is the program.
func (p *process) Name() string { return p.command[0] }

// ID is the pid; empty before the start.
func (p *process) ID() string {
	if pid := p.pid.Load(); pid != 0 {
		return strconv.FormatInt(pid, 10)
	}
	return ""
}

// Diagnose is unused: our own messages say more.
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost and HostToPlugin: host and plugin see the same files.
func (p *process) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin is PluginToHost's inverse.
func (p *process) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

// lastLine keeps the last line that is not blank, which is where interpreters name the reason of their end. Stack frames may follow it: an
// indented line does not take the place of one that is not, nor does the version that Node.js says last.
type lastLine struct {
	mu       sync.Mutex
	line     string
	indented bool
}

func (l *lastLine) set(stream, line string) {
	text := strings.TrimSpace(line)
	if text == "" || strings.HasPrefix(line, "Node.js v") {
		return
	}
	indented := line[0] == ' ' || line[0] == '\t'
	l.mu.Lock()
	defer l.mu.Unlock()
	if indented && !l.indented && l.line != "" {
		return
	}
	l.line, l.indented = fmt.Sprintf("%s: %q", stream, shorten(text)), indented
}

func (l *lastLine) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.line
}
